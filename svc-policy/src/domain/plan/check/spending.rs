//! Rules for accounts and for what spends from them: expansions, sub-limits, cost shares, rooms.

use std::collections::BTreeSet;

use super::{Broken, amount, broken, is_code};
use crate::domain::account::{Measure, ScopeKind, WhenFull};
use crate::domain::plan::accounts::{AccountRule, Limit, Period};
use crate::domain::plan::costs::{Basis, Copay};
use crate::domain::plan::version::PlanVersion;

pub(super) fn accounts(plan: &PlanVersion) -> Result<(), Broken> {
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

pub(super) fn expansions(plan: &PlanVersion) -> Result<(), Broken> {
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

pub(super) fn sublimits(plan: &PlanVersion) -> Result<(), Broken> {
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

pub(super) fn deductibles(plan: &PlanVersion) -> Result<(), Broken> {
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

pub(super) fn copays(plan: &PlanVersion) -> Result<(), Broken> {
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

pub(super) fn out_of_pocket(plan: &PlanVersion) -> Result<(), Broken> {
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

pub(super) fn rooms(plan: &PlanVersion) -> Result<(), Broken> {
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
