//! Plans as a buyer, a front end and a partner read them.

use caremesh_kernel::Money;
use caremesh_mesh::wire::ToWire;
use caremesh_proto::policy::v1 as wire;
use caremesh_proto::r#type::v1 as types;

use super::{price, words};
use crate::domain::plan::{
    AccountRule, Carrier, Copay, CrossingRule, Deductible, Exclusion, Expansion, Limit, OutOfPocket, Period,
    PlanVersion, RelationRule, SumInsuredScope, Waiting, WaitingKind,
};

/// A plan with its newest version.
pub(in crate::grpc) fn plan(version: &PlanVersion, zone: &str) -> wire::Plan {
    wire::Plan {
        plan_id: version.plan_id().to_string(),
        code: version.code.clone(),
        name: version.name.clone(),
        jurisdiction_code: version.jurisdiction.clone(),
        currency_code: version.currency.code().to_owned(),
        current_version: Some(plan_version(version, zone)),
    }
}

/// A plan version.
pub(in crate::grpc) fn plan_version(version: &PlanVersion, zone: &str) -> wire::PlanVersion {
    let money = |minor: &i64| Money::new(version.currency, *minor).to_wire();
    wire::PlanVersion {
        plan_version_id: version.id().to_string(),
        plan_id: version.plan_id().to_string(),
        label: version.label.clone(),
        on_sale: Some(version.on_sale.to_wire()),
        content_digest: version.content_digest(),
        sum_insured_options: version.sums_insured_minor.iter().map(money).collect(),
        family_floater: version.sum_insured_scope == SumInsuredScope::Family,
        time_zone: zone.to_owned(),
        account_rules: version.accounts.iter().map(|rule| account_rule(rule, version)).collect(),
        cost_share_rules: cost_shares(version),
        waiting_rules: version.waiting.iter().map(waiting_rule).collect(),
        exclusion_rules: version.exclusions.iter().map(exclusion_rule).collect(),
        relation_rules: version.family.relations.iter().map(relation_rule).collect(),
        carriers: version.carriers.iter().map(carrier).collect(),
        steps: version.steps.iter().map(|step| price::step(*step).into()).collect(),
        crossing_rule: crossing_rule(version.crossing_rule).into(),
    }
}

/// A carrier.
pub(in crate::grpc) fn carrier(carrier: &Carrier) -> wire::Carrier {
    wire::Carrier {
        organisation_id: carrier.insurer.to_string(),
        name: carrier.name.clone(),
        share_bps: carrier.share_bps.get().into(),
        leads: carrier.leads,
    }
}

fn account_rule(rule: &AccountRule, version: &PlanVersion) -> wire::AccountRule {
    let (limit, limit_bps) = match rule.limit {
        Limit::Amount(amount) => (Some(amount), None),
        Limit::SumInsured => (None, Some(10_000)),
        Limit::Percent { bps, .. } => (None, i32::try_from(bps).ok()),
        Limit::Unlimited => (None, None),
    };
    let draws = |expansion: &&Expansion| {
        expansion.pools.iter().flatten().chain(&expansion.counts).any(|code| *code == rule.code)
    };
    let mut benefits: Vec<String> = version
        .expansions
        .iter()
        .filter(draws)
        .flat_map(|expansion| expansion.when.benefits.clone())
        .collect();
    benefits.sort_unstable();
    benefits.dedup();
    wire::AccountRule {
        code: rule.code.clone(),
        measure: words::measure(rule.measure).into(),
        scope_kind: words::scope_kind(rule.scope).into(),
        period_kind: period_kind(rule.period).into(),
        limit,
        limit_bps,
        when_full: words::when_full(rule.when_full).into(),
        benefit_codes: benefits,
    }
}

fn period_kind(period: Period) -> wire::PeriodKind {
    match period {
        Period::Day => wire::PeriodKind::Day,
        Period::Month => wire::PeriodKind::Month,
        Period::PolicyYear => wire::PeriodKind::PolicyYear,
        Period::Term => wire::PeriodKind::Term,
        Period::Lifetime => wire::PeriodKind::Lifetime,
        Period::RollingMonths(_) => wire::PeriodKind::Rolling,
    }
}

fn cost_shares(version: &PlanVersion) -> Vec<wire::CostShareRule> {
    let deductibles = version.deductibles.iter().map(|rule| deductible(rule, version));
    let copays = version.copays.iter().map(|rule| copay(rule, version));
    let maxima = version.out_of_pocket.iter().map(|rule| maximum(rule, version));
    deductibles.chain(copays).chain(maxima).collect()
}

fn deductible(rule: &Deductible, version: &PlanVersion) -> wire::CostShareRule {
    wire::CostShareRule {
        rule_id: rule.id.clone(),
        kind: wire::CostShareKind::Deductible.into(),
        benefit_codes: rule.when.benefits.clone(),
        member_share_bps: None,
        amount: limit_of(version, rule.accounts.first()),
    }
}

fn copay(rule: &Copay, version: &PlanVersion) -> wire::CostShareRule {
    let fixed = rule.fixed_minor.map(|minor| Money::new(version.currency, minor).to_wire());
    wire::CostShareRule {
        rule_id: rule.id.clone(),
        kind: wire::CostShareKind::Copay.into(),
        benefit_codes: rule.when.benefits.clone(),
        member_share_bps: rule.bps.map(|bps| bps.get().into()),
        amount: fixed.or_else(|| limit_of(version, rule.account.as_ref())),
    }
}

fn maximum(rule: &OutOfPocket, version: &PlanVersion) -> wire::CostShareRule {
    wire::CostShareRule {
        rule_id: rule.id.clone(),
        kind: wire::CostShareKind::OutOfPocketMaximum.into(),
        benefit_codes: rule.when.benefits.clone(),
        member_share_bps: None,
        amount: limit_of(version, rule.accounts.first()),
    }
}

/// The limit of an account where it is a fixed amount.
fn limit_of(version: &PlanVersion, account: Option<&String>) -> Option<types::Money> {
    let rule = version.account(account?)?;
    let Limit::Amount(minor) = rule.limit else { return None };
    Some(Money::new(version.currency, minor).to_wire())
}

/// The code system of conditions in plan files.
const ICD_10: &str = "http://hl7.org/fhir/sid/icd-10";

fn condition(prefix: impl AsRef<str>) -> types::Coding {
    types::Coding { system: ICD_10.to_owned(), code: prefix.as_ref().to_owned(), display: String::new() }
}

fn waiting_rule(rule: &Waiting) -> wire::WaitingRule {
    let kind = match rule.kind {
        WaitingKind::Initial => wire::WaitingKind::Initial,
        WaitingKind::SpecificDisease => wire::WaitingKind::SpecificDisease,
        WaitingKind::PreExisting => wire::WaitingKind::PreExisting,
        WaitingKind::Maternity => wire::WaitingKind::Maternity,
    };
    let whole = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    wire::WaitingRule {
        rule_id: rule.id.clone(),
        kind: kind.into(),
        days: rule.days.map(whole),
        months: rule.months.map(whole),
        conditions: rule.when.conditions.iter().map(condition).collect(),
    }
}

fn exclusion_rule(rule: &Exclusion) -> wire::ExclusionRule {
    wire::ExclusionRule {
        rule_id: rule.id.clone(),
        description: rule.name.clone(),
        benefit_codes: rule.when.benefits.clone(),
        conditions: rule.when.conditions.iter().map(condition).collect(),
    }
}

fn relation_rule(rule: &RelationRule) -> wire::RelationRule {
    let whole = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    wire::RelationRule {
        relation: words::relation(rule.relation).into(),
        minimum_age_years: whole(rule.min_age),
        maximum_age_years: rule.max_age.map(whole),
        maximum_count: rule.max_count.map(whole),
        minimum_age_days: rule.min_age_days.map(whole),
    }
}

fn crossing_rule(rule: CrossingRule) -> wire::CrossingRule {
    match rule {
        CrossingRule::AdmissionDate => wire::CrossingRule::AdmissionDate,
        CrossingRule::ServiceDate => wire::CrossingRule::ServiceDate,
        CrossingRule::ProrataDays => wire::CrossingRule::ProrataDays,
    }
}
