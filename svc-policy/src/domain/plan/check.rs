//! The rules that a plan or jurisdiction file must keep. The first one that is broken is named with its path.

use std::collections::BTreeSet;

use super::accounts::{AccountRule, Limit, Period};
use super::costs::{Basis, Copay, Waiting, WaitingKind};
use super::error::PlanError;
use super::jurisdiction::Jurisdiction;
use super::version::{PlanVersion, Step};
use super::when::When;
use crate::domain::account::{Measure, ScopeKind, WhenFull};
use crate::domain::engine::MAX_AMOUNT;

/// Broken rule, with its path, before the file is known.
type Broken = (String, String);

fn broken<T>(path: impl Into<String>, rule: impl Into<String>) -> Result<T, Broken> {
    Err((path.into(), rule.into()))
}

fn in_file<T>(file: &str, checked: Result<T, Broken>) -> Result<T, PlanError> {
    checked.map_err(|(path, rule)| PlanError { file: file.to_owned(), path, rule })
}

/// Checks a plan version by itself.
pub(super) fn version(file: &str, plan: &PlanVersion) -> Result<(), PlanError> {
    let parts = [
        head,
        carriers,
        steps,
        benefits,
        unique_ids,
        accounts,
        expansions,
        sublimits,
        deductibles,
        copays,
        out_of_pocket,
        rooms,
        waiting,
        exclusions,
        fixed_benefits,
        family,
        premium,
    ];
    in_file(file, parts.iter().try_for_each(|part: &fn(&PlanVersion) -> Result<(), Broken>| part(plan)))
}

/// Checks a plan version against the country it is sold in.
pub(super) fn against_jurisdiction(
    file: &str,
    plan: &PlanVersion,
    jurisdiction: Option<&Jurisdiction>,
) -> Result<(), PlanError> {
    let checked = match jurisdiction {
        None => broken("jurisdiction", format!("there is no jurisdiction file for {:?}", plan.jurisdiction)),
        Some(country) if country.currency != plan.currency => {
            broken("currency", format!("{} plans are in {}", country.code, country.currency))
        }
        Some(country) => pre_existing_within(plan, country),
    };
    in_file(file, checked)
}

fn pre_existing_within(plan: &PlanVersion, country: &Jurisdiction) -> Result<(), Broken> {
    let Some(most) = country.pre_existing_max_months else { return Ok(()) };
    for (index, rule) in plan.waiting.iter().enumerate() {
        let months = rule.months.unwrap_or(0).max(rule.days.unwrap_or(0).div_ceil(31));
        if rule.kind == WaitingKind::PreExisting && months > most {
            return broken(
                format!("waiting[{index}]"),
                format!("{} allows at most {most} months", country.code),
            );
        }
    }
    Ok(())
}

/// Checks a jurisdiction by itself.
pub(super) fn jurisdiction(file: &str, country: &Jurisdiction) -> Result<(), PlanError> {
    let two_letters = country.code.len() == 2 && country.code.bytes().all(|b| b.is_ascii_uppercase());
    let mut starts = BTreeSet::new();
    let twice = country.premium_tax.iter().position(|tax| !starts.insert((&tax.code, &tax.kind, tax.from)));
    let checked = match twice {
        _ if !two_letters => broken("code", "must be two upper-case letters (ISO 3166-1)"),
        Some(index) => {
            broken(format!("premium_tax[{index}]"), "the same tax and kind starts twice on one day")
        }
        None => Ok(()),
    };
    in_file(file, checked)
}

fn head(plan: &PlanVersion) -> Result<(), Broken> {
    if !is_code(&plan.code, b'-') {
        return broken("code", "must be upper-case letters, digits and '-', starting with a letter");
    }
    if plan.on_sale.is_empty() {
        return broken("on_sale", "must contain at least one day");
    }
    if plan.term_months == 0 || plan.term_months > 60 {
        return broken("term_months", "must be 1 to 60");
    }
    let sums = &plan.sums_insured_minor;
    if sums.is_empty() || sums[0] <= 0 || sums.windows(2).any(|pair| pair[0] >= pair[1]) {
        return broken("sums_insured_minor", "must be positive and ascending, at least one");
    }
    amount("sums_insured_minor", sums[sums.len() - 1])?;
    let kinds: BTreeSet<_> = plan.draw_order.iter().collect();
    if kinds.len() != plan.draw_order.len() {
        return broken("draw_order", "names a kind of layer twice");
    }
    Ok(())
}

fn is_code(text: &str, joiner: u8) -> bool {
    text.as_bytes().first().is_some_and(u8::is_ascii_uppercase)
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == joiner)
}

fn amount(path: impl Into<String>, minor: i64) -> Result<(), Broken> {
    if (0..=MAX_AMOUNT).contains(&minor) {
        Ok(())
    } else {
        broken(path, format!("must be 0 to {MAX_AMOUNT}"))
    }
}

fn carriers(plan: &PlanVersion) -> Result<(), Broken> {
    let sum: u32 = plan.carriers.iter().map(|carrier| u32::from(carrier.share_bps)).sum();
    if sum != 10_000 {
        return broken("carriers", format!("the shares add up to {sum} basis points, not 10000"));
    }
    match plan.carriers.iter().filter(|carrier| carrier.leads).count() {
        1 => Ok(()),
        leaders => broken("carriers", format!("exactly one carrier leads, not {leaders}")),
    }
}

fn steps(plan: &PlanVersion) -> Result<(), Broken> {
    let given: BTreeSet<_> = plan.steps.iter().collect();
    if given.len() != plan.steps.len() {
        return broken("steps", "names a step twice");
    }
    if let Some(missing) = Step::DEFAULT_ORDER.iter().find(|step| !given.contains(step)) {
        return broken("steps", format!("{} is missing", missing.name()));
    }
    // The maximum bounds what the member was charged and gives back to the plan; pools pay what is then left.
    let place = |step: Step| plan.steps.iter().position(|known| *known == step);
    for (first, then) in [
        (Step::Deductible, Step::OutOfPocket),
        (Step::Copay, Step::OutOfPocket),
        (Step::OutOfPocket, Step::Pool),
        (Step::SublimitAfterDeductible, Step::Pool),
    ] {
        if place(first) > place(then) {
            return broken("steps", format!("{} must come before {}", first.name(), then.name()));
        }
    }
    Ok(())
}

/// A code that no benefit has is a slip of the pen: the rule would never apply.
fn benefits(plan: &PlanVersion) -> Result<(), Broken> {
    let mut codes = BTreeSet::new();
    for (index, benefit) in plan.benefits.iter().enumerate() {
        if !is_code(&benefit.code, b'_') || !codes.insert(&benefit.code) {
            return broken(
                format!("benefits[{index}].code"),
                "must be upper-case letters, digits and '_', and be there once",
            );
        }
    }
    let conditions = (plan.expansions.iter().map(|r| (&r.id, &r.when)))
        .chain(plan.sublimits.iter().map(|r| (&r.id, &r.when)))
        .chain(plan.deductibles.iter().map(|r| (&r.id, &r.when)))
        .chain(plan.copays.iter().map(|r| (&r.id, &r.when)))
        .chain(plan.out_of_pocket.iter().map(|r| (&r.id, &r.when)))
        .chain(plan.rooms.iter().map(|r| (&r.id, &r.when)))
        .chain(plan.waiting.iter().map(|r| (&r.id, &r.when)))
        .chain(plan.exclusions.iter().map(|r| (&r.id, &r.when)));
    for (id, when) in conditions {
        let unknown = when.benefits.iter().find(|code| !codes.is_empty() && !codes.contains(code));
        if let Some(code) = unknown {
            return broken(format!("{id}.when.benefits"), format!("{code:?} is not one of benefits"));
        }
    }
    Ok(())
}

/// Ids name rules in cuts and reasons, so that each may be there once in the whole version.
fn unique_ids(plan: &PlanVersion) -> Result<(), Broken> {
    let restorations = plan.accounts.iter().filter_map(|account| account.restoration.as_ref());
    let ids = plan
        .expansions
        .iter()
        .map(|r| &r.id)
        .chain(plan.sublimits.iter().map(|r| &r.id))
        .chain(plan.deductibles.iter().map(|r| &r.id))
        .chain(plan.copays.iter().map(|r| &r.id))
        .chain(plan.out_of_pocket.iter().map(|r| &r.id))
        .chain(plan.rooms.iter().map(|r| &r.id))
        .chain(plan.waiting.iter().map(|r| &r.id))
        .chain(plan.exclusions.iter().map(|r| &r.id))
        .chain(plan.fixed_benefits.iter().map(|r| &r.id))
        .chain(restorations.map(|r| &r.id));
    let mut seen = BTreeSet::new();
    for id in ids {
        if !is_code(id, b'_') {
            return broken(
                "id",
                format!("{id:?} must be upper-case letters, digits and '_', starting with a letter"),
            );
        }
        if !seen.insert(id) {
            return broken("id", format!("{id:?} names two rules"));
        }
    }
    Ok(())
}

fn accounts(plan: &PlanVersion) -> Result<(), Broken> {
    let mut codes = BTreeSet::new();
    for (index, account) in plan.accounts.iter().enumerate() {
        let path = format!("accounts[{index}]");
        if !is_code(&account.code, b'_') || !codes.insert(&account.code) {
            return broken(
                format!("{path}.code"),
                "must be upper-case letters, digits and '_', and be there once",
            );
        }
        account_limit(&path, account)?;
        if account.period == Period::RollingMonths(0) {
            return broken(format!("{path}.period"), "a rolling window has at least one month");
        }
        if account.scope == ScopeKind::MemberGroup && plan.family.groups.is_empty() {
            return broken(format!("{path}.scope"), "MEMBER_GROUP needs family.groups");
        }
        if account.restoration.is_some() && account.measure != Measure::PlanPaid {
            return broken(format!("{path}.restoration"), "only an account of measure PLAN_PAID is restored");
        }
    }
    Ok(())
}

fn account_limit(path: &str, account: &AccountRule) -> Result<(), Broken> {
    match account.limit {
        Limit::Amount(limit) => amount(format!("{path}.limit"), limit),
        Limit::Unlimited => Ok(()),
        Limit::SumInsured | Limit::Percent { .. } if !account.measure.is_money() => {
            broken(format!("{path}.limit"), "times and days are no share of a sum insured")
        }
        Limit::SumInsured | Limit::Percent { .. } => Ok(()),
    }
}

/// The account with this code, if its measure is one of those that the rule can use.
fn account<'a>(
    plan: &'a PlanVersion,
    path: String,
    code: &str,
    measures: &[Measure],
) -> Result<&'a AccountRule, Broken> {
    let Some(found) = plan.account(code) else {
        return broken(path, format!("there is no account {code:?}"));
    };
    if measures.contains(&found.measure) {
        return Ok(found);
    }
    let wanted: Vec<_> = measures.iter().map(|measure| measure.name()).collect();
    broken(path, format!("account {code:?} measures {}, not {}", found.measure.name(), wanted.join(" or ")))
}

fn expansions(plan: &PlanVersion) -> Result<(), Broken> {
    for (index, expansion) in plan.expansions.iter().enumerate() {
        let path = format!("expansions[{index}]");
        if expansion.pools.is_empty() || expansion.pools.iter().any(Vec::is_empty) {
            return broken(format!("{path}.pools"), "needs at least one group of at least one account");
        }
        for code in expansion.pools.iter().flatten() {
            account(plan, format!("{path}.pools"), code, &[Measure::PlanPaid])?;
        }
        for code in &expansion.counts {
            account(plan, format!("{path}.counts"), code, &[Measure::Count, Measure::Days])?;
        }
        once_each(&path, expansion.pools.iter().flatten().chain(&expansion.counts))?;
    }
    Ok(())
}

/// An account that one line met twice would be filled twice.
fn once_each<'a>(path: &str, codes: impl Iterator<Item = &'a String>) -> Result<(), Broken> {
    let mut seen = BTreeSet::new();
    for code in codes {
        if !seen.insert(code) {
            return broken(path, format!("names account {code:?} twice"));
        }
    }
    Ok(())
}

fn sublimits(plan: &PlanVersion) -> Result<(), Broken> {
    for (index, rule) in plan.sublimits.iter().enumerate() {
        let measures: &[Measure] = match rule.basis {
            Basis::Allowed => &[Measure::Allowed, Measure::Count, Measure::Days],
            Basis::AfterDeductible => &[Measure::Allowed],
            Basis::PlanPaid => &[Measure::PlanPaid],
        };
        let path = format!("sublimits[{index}].account");
        account(plan, path.clone(), &rule.account, measures)?;
        let also_a_pool =
            plan.expansions.iter().any(|e| e.pools.iter().flatten().any(|code| *code == rule.account));
        if also_a_pool {
            return broken(path, format!("account {:?} is a pool already", rule.account));
        }
    }
    Ok(())
}

fn stop_taking(path: &str, rule: &AccountRule) -> Result<(), Broken> {
    match rule.when_full {
        WhenFull::StopTaking => Ok(()),
        _ => broken(path, format!("account {:?} must STOP_TAKING when full", rule.code)),
    }
}

fn deductibles(plan: &PlanVersion) -> Result<(), Broken> {
    for (index, rule) in plan.deductibles.iter().enumerate() {
        let path = format!("deductibles[{index}].accounts");
        if rule.accounts.is_empty() {
            return broken(path, "needs at least one account");
        }
        once_each(&path, rule.accounts.iter())?;
        for code in &rule.accounts {
            stop_taking(&path, account(plan, path.clone(), code, &[Measure::Deductible])?)?;
        }
    }
    Ok(())
}

fn copays(plan: &PlanVersion) -> Result<(), Broken> {
    for (index, rule) in plan.copays.iter().enumerate() {
        let path = format!("copays[{index}]");
        let given = [rule.bps.is_some(), rule.fixed_minor.is_some(), rule.account.is_some()];
        if given.iter().filter(|one| **one).count() != 1 {
            return broken(path, "give exactly one of bps, fixed_minor and account");
        }
        copay_amounts(&path, rule)?;
        let Some(code) = &rule.account else { continue };
        let path = format!("{path}.account");
        stop_taking(&path, account(plan, path.clone(), code, &[Measure::MemberPaid])?)?;
    }
    Ok(())
}

fn copay_amounts(path: &str, rule: &Copay) -> Result<(), Broken> {
    if rule.at_most_minor.is_some() && rule.bps.is_none() {
        return broken(format!("{path}.at_most_minor"), "only bounds a co-pay by bps");
    }
    amount(format!("{path}.at_most_minor"), rule.at_most_minor.unwrap_or(0))?;
    amount(format!("{path}.fixed_minor"), rule.fixed_minor.unwrap_or(0))
}

fn out_of_pocket(plan: &PlanVersion) -> Result<(), Broken> {
    for (index, rule) in plan.out_of_pocket.iter().enumerate() {
        let path = format!("out_of_pocket[{index}].accounts");
        if rule.accounts.is_empty() {
            return broken(path, "needs at least one account");
        }
        once_each(&path, rule.accounts.iter())?;
        for code in &rule.accounts {
            stop_taking(&path, account(plan, path.clone(), code, &[Measure::MemberPaid])?)?;
            if plan.copays.iter().any(|copay| copay.account.as_ref() == Some(code)) {
                return broken(path, format!("account {code:?} is that of a co-pay already"));
            }
        }
    }
    Ok(())
}

fn rooms(plan: &PlanVersion) -> Result<(), Broken> {
    for (index, rule) in plan.rooms.iter().enumerate() {
        match rule.per_day {
            Limit::Amount(minor) => amount(format!("rooms[{index}].per_day"), minor)?,
            Limit::Percent { .. } | Limit::Unlimited => {}
            Limit::SumInsured => {
                return broken(format!("rooms[{index}].per_day"), "must be an amount or a percentage");
            }
        }
    }
    Ok(())
}

fn waiting(plan: &PlanVersion) -> Result<(), Broken> {
    for (index, rule) in plan.waiting.iter().enumerate() {
        let path = format!("waiting[{index}]");
        if rule.days.is_some() == rule.months.is_some() {
            return broken(path, "give exactly one of days and months");
        }
        if rule.days.unwrap_or(0) > 3_660 || rule.months.unwrap_or(0) > 120 {
            return broken(path, "is longer than ten years");
        }
        waits_for_something(&path, rule)?;
    }
    Ok(())
}

fn waits_for_something(path: &str, rule: &Waiting) -> Result<(), Broken> {
    match rule.kind {
        WaitingKind::SpecificDisease if rule.when.conditions.is_empty() => {
            broken(format!("{path}.when.conditions"), "SPECIFIC_DISEASE lists its conditions")
        }
        WaitingKind::Maternity if rule.when == When::default() => {
            broken(format!("{path}.when"), "MATERNITY lists its benefits or conditions")
        }
        _ => Ok(()),
    }
}

fn exclusions(plan: &PlanVersion) -> Result<(), Broken> {
    match plan.exclusions.iter().position(|rule| rule.when == When::default()) {
        Some(index) => broken(format!("exclusions[{index}].when"), "would exclude everything"),
        None => Ok(()),
    }
}

fn fixed_benefits(plan: &PlanVersion) -> Result<(), Broken> {
    let mut benefits = BTreeSet::new();
    for (index, rule) in plan.fixed_benefits.iter().enumerate() {
        let path = format!("fixed_benefits[{index}]");
        amount(format!("{path}.amount_minor"), rule.amount_minor)?;
        if rule.amount_minor > MAX_AMOUNT / 10_000 {
            return broken(format!("{path}.amount_minor"), "is too much for one day");
        }
        if !(0..=366).contains(&rule.skip_days) {
            return broken(format!("{path}.skip_days"), "must be 0 to 366");
        }
        if !benefits.insert(&rule.benefit) {
            return broken(format!("{path}.benefit"), "has a fixed benefit already");
        }
    }
    Ok(())
}

fn family(plan: &PlanVersion) -> Result<(), Broken> {
    let rules = &plan.family;
    if rules.min_members == 0 || rules.min_members > rules.max_members || rules.max_members > 20 {
        return broken("family", "min_members is 1 to max_members, max_members at most 20");
    }
    let mut seen = BTreeSet::new();
    for (index, rule) in rules.relations.iter().enumerate() {
        let path = format!("family.relations[{index}]");
        if !seen.insert(rule.relation) {
            return broken(path, "the relation has a rule already");
        }
        if rule.max_age.is_some_and(|max| max < rule.min_age) {
            return broken(path, "max_age is below min_age");
        }
    }
    Ok(())
}

fn premium(plan: &PlanVersion) -> Result<(), Broken> {
    let rules = &plan.premium;
    if rules.members.is_empty() == rules.families.is_empty() {
        return broken("premium", "give exactly one of members and families");
    }
    for (index, rate) in rules.members.iter().enumerate() {
        let path = format!("premium.members[{index}]");
        rate_row(plan, &path, rate.sum_insured_minor, rate.premium_minor)?;
        let clashes = |other: &&super::premiums::MemberRate| {
            other.sum_insured_minor == rate.sum_insured_minor
                && other.relations == rate.relations
                && other.ages.from <= rate.ages.to
                && rate.ages.from <= other.ages.to
        };
        if rules.members[..index].iter().any(|other| clashes(&other)) {
            return broken(path, "overlaps an earlier row");
        }
    }
    for (index, rate) in rules.families.iter().enumerate() {
        rate_row(plan, &format!("premium.families[{index}]"), rate.sum_insured_minor, rate.premium_minor)?;
    }
    if rules.loadings.iter().any(|loading| loading.bps > 100_000) || rules.loadings.len() > 8 {
        return broken("premium.loadings", "at most 8, each at most 100000 basis points");
    }
    if rules.discounts.len() > 8 {
        return broken("premium.discounts", "at most 8");
    }
    let dates_in_term =
        |count: u32, apart: u32| (1..=12).contains(&count) && (count - 1) * apart < plan.term_months;
    match rules.instalments.iter().position(|way| !dates_in_term(way.count, way.months_apart)) {
        _ if rules.instalments.is_empty() => broken("premium.instalments", "needs at least one way to pay"),
        Some(index) => broken(format!("premium.instalments[{index}]"), "1 to 12, all due within the term"),
        None => Ok(()),
    }
}

fn rate_row(
    plan: &PlanVersion,
    path: &str,
    sum_insured_minor: i64,
    premium_minor: i64,
) -> Result<(), Broken> {
    if !plan.sums_insured_minor.contains(&sum_insured_minor) {
        return broken(format!("{path}.sum_insured_minor"), "is not one of sums_insured_minor");
    }
    amount(format!("{path}.premium_minor"), premium_minor)
}
