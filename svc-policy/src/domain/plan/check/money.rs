//! Rules for premium tables, fixed benefits, and what a country asks of its plans.

use std::collections::BTreeSet;

use super::{Broken, amount, broken, in_file};
use crate::domain::engine::MAX_AMOUNT;
use crate::domain::plan::costs::WaitingKind;
use crate::domain::plan::error::PlanError;
use crate::domain::plan::jurisdiction::Jurisdiction;
use crate::domain::plan::premiums::MemberRate;
use crate::domain::plan::version::PlanVersion;

pub(super) fn premium(plan: &PlanVersion) -> Result<(), Broken> {
    let rules = &plan.premium;
    if rules.members.is_empty() == rules.families.is_empty() {
        return broken("premium", "give exactly one of members and families");
    }
    for (index, rate) in rules.members.iter().enumerate() {
        let path = format!("premium.members[{index}]");
        rate_row(plan, &path, rate.sum_insured_minor, rate.premium_minor)?;
        let clashes = |other: &&MemberRate| {
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

pub(super) fn fixed_benefits(plan: &PlanVersion) -> Result<(), Broken> {
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

pub(super) fn pre_existing_within(plan: &PlanVersion, country: &Jurisdiction) -> Result<(), Broken> {
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
pub(in crate::domain::plan) fn jurisdiction(file: &str, country: &Jurisdiction) -> Result<(), PlanError> {
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
