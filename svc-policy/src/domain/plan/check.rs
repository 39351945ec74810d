//! The rules that a plan or jurisdiction file must keep. The first one that is broken is named with its path.

mod money;
mod spending;

use std::collections::BTreeSet;

use super::costs::{Waiting, WaitingKind};
use super::error::PlanError;
use super::jurisdiction::Jurisdiction;
use super::version::{PlanVersion, Step};
use super::when::When;
use crate::domain::engine::MAX_AMOUNT;

use money::{fixed_benefits, pre_existing_within, premium};
use spending::{accounts, copays, deductibles, expansions, out_of_pocket, rooms, sublimits};

pub(super) use money::jurisdiction;

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
    if plan.bonus.is_some_and(|bonus| bonus.at_most_bps > 10_000 || bonus.per_term_bps > bonus.at_most_bps) {
        return broken("bonus", "must be at most 10000 basis points, and each term's at most that");
    }
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
