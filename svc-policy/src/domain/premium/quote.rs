//! What cover costs: rates, loadings, the family's discount, tax and instalments.
//!
//! A member's premium is rate × loadings, rounded once. The discount is taken once on the family's sum and shared by
//! largest remainder. Instalments are equal by largest remainder, earlier ones first.

use caremesh_kernel::{Bps, Date, DateRange, Fraction, checked_half_up, split_largest_remainder};

use crate::domain::eligibility::{FamilyBreach, family_breaches};
use crate::domain::engine::MAX_AMOUNT;
use crate::domain::plan::{Jurisdiction, PlanVersion, Relation};

/// Somebody who would be a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposedMember {
    /// Relation to the policyholder.
    pub relation: Relation,
    /// Day of birth.
    pub birth: Date,
    /// ICD-10 codes of declared conditions; for loadings.
    pub conditions: Vec<String>,
    /// What an underwriter asks on top, basis points.
    pub load_bps: u32,
}

/// What a premium is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The family, in the order in which premiums are answered.
    pub members: Vec<ProposedMember>,
    /// One of the plan's sums insured, minor units.
    pub sum_insured_minor: i64,
    /// First day of cover.
    pub start: Date,
    /// Number of instalments; 1 is the whole at once.
    pub instalments: u32,
}

/// Why there is no premium.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PremiumError {
    /// The plan is not sold for this start date.
    #[error("the plan is not on sale for a start on {0}")]
    NotOnSale(Date),
    /// The plan has other sums insured.
    #[error("the plan does not offer this sum insured")]
    SumInsuredNotOffered,
    /// The plan has other ways to pay.
    #[error("the plan cannot be paid in {0} instalments")]
    InstalmentsNotOffered(u32),
    /// The plan does not allow this family; every reason.
    #[error("the plan does not allow this family: {} rules broken", .0.len())]
    FamilyNotAllowed(Vec<FamilyBreach>),
    /// The premium table has no row.
    #[error("the premium table has no rate for member {member}")]
    NoRate {
        /// Index in the proposal.
        member: usize,
    },
    /// The result does not fit; the plan's factors are beyond reason.
    #[error("the premium does not fit 64 bits")]
    Overflow,
}

/// The premium of one member for the term, without tax.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberPremium {
    /// Rate with loadings, before the family's discount, minor units.
    pub gross_minor: i64,
    /// After the member's share of the discount, minor units.
    pub net_minor: i64,
}

/// One tax on the premium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaxAmount {
    /// Name of the tax.
    pub code: String,
    /// Its rate.
    pub bps: Bps,
    /// On the net premium, half-up, minor units.
    pub amount_minor: i64,
}

/// One payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instalment {
    /// From 1.
    pub number: u32,
    /// Day on which it is due.
    pub due: Date,
    /// Premium, minor units.
    pub net_minor: i64,
    /// Tax, minor units.
    pub tax_minor: i64,
}

impl Instalment {
    /// What is to be paid, minor units.
    #[must_use]
    pub fn amount_minor(&self) -> i64 {
        self.net_minor + self.tax_minor
    }
}

/// The whole premium of a term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Premium {
    /// Per member, in the order of the proposal; they sum to `gross_minor` and `net_minor`.
    pub members: Vec<MemberPremium>,
    /// Sum before discount, minor units.
    pub gross_minor: i64,
    /// The family's discount, minor units.
    pub discount_minor: i64,
    /// Sum after discount, without tax, minor units.
    pub net_minor: i64,
    /// Taxes, by code.
    pub taxes: Vec<TaxAmount>,
    /// Sum of the taxes, minor units.
    pub tax_minor: i64,
    /// Net with tax, minor units.
    pub total_minor: i64,
    /// Payments; they sum to `total_minor`.
    pub instalments: Vec<Instalment>,
    /// Days of the term.
    pub term: DateRange,
}

/// The premium of a family for a whole term.
///
/// # Errors
/// [`PremiumError`]; the family's breaches all together.
pub fn quote(
    plan: &PlanVersion,
    jurisdiction: &Jurisdiction,
    proposal: &Proposal,
) -> Result<Premium, PremiumError> {
    check(plan, proposal)?;
    computed(plan, jurisdiction, proposal)
}

/// The premium of the next term of a family that is insured: whoever was let in stays, however old; the plan must be on sale
/// and offer the sum insured.
///
/// # Errors
/// As [`quote`].
pub fn renewal(
    plan: &PlanVersion,
    jurisdiction: &Jurisdiction,
    proposal: &Proposal,
) -> Result<Premium, PremiumError> {
    check_offered(plan, proposal)?;
    computed(plan, jurisdiction, proposal)
}

fn computed(
    plan: &PlanVersion,
    jurisdiction: &Jurisdiction,
    proposal: &Proposal,
) -> Result<Premium, PremiumError> {
    let (members, discount_minor) = members(plan, proposal)?;
    let gross_minor: i64 = members.iter().map(|member| member.gross_minor).sum();
    let net_minor = gross_minor - discount_minor;
    let taxes = taxes(plan, jurisdiction, proposal.start, net_minor);
    let tax_minor = taxes.iter().map(|tax| tax.amount_minor).sum();
    let term = plan.term_from(proposal.start);
    let instalments = instalments(plan, proposal, net_minor, tax_minor)?;
    let total_minor = net_minor + tax_minor;
    Ok(Premium {
        members,
        gross_minor,
        discount_minor,
        net_minor,
        taxes,
        tax_minor,
        total_minor,
        instalments,
        term,
    })
}

/// Each member's rate with loadings, less the member's share of the discount, which is taken once on the sum; and the discount.
fn members(plan: &PlanVersion, proposal: &Proposal) -> Result<(Vec<MemberPremium>, i64), PremiumError> {
    let gross = (0..proposal.members.len())
        .map(|member| gross(plan, proposal, member, Fraction::ONE))
        .collect::<Result<Vec<i64>, _>>()?;
    let discount_minor = discount(plan, proposal.members.len(), gross.iter().sum())?;
    let shares = split_largest_remainder(discount_minor, &gross);
    let part = |(gross, share): (&i64, i64)| MemberPremium { gross_minor: *gross, net_minor: gross - share };
    Ok((gross.iter().zip(shares).map(part).collect(), discount_minor))
}

/// The net premium of each member for the whole term.
pub(super) fn nets(plan: &PlanVersion, proposal: &Proposal) -> Result<Vec<i64>, PremiumError> {
    Ok(members(plan, proposal)?.0.iter().map(|member| member.net_minor).collect())
}

fn check_offered(plan: &PlanVersion, proposal: &Proposal) -> Result<(), PremiumError> {
    if !plan.is_on_sale(proposal.start) {
        return Err(PremiumError::NotOnSale(proposal.start));
    }
    if !plan.sums_insured_minor.contains(&proposal.sum_insured_minor) {
        return Err(PremiumError::SumInsuredNotOffered);
    }
    Ok(())
}

fn check(plan: &PlanVersion, proposal: &Proposal) -> Result<(), PremiumError> {
    check_offered(plan, proposal)?;
    let people: Vec<(Relation, Date)> = proposal.members.iter().map(|m| (m.relation, m.birth)).collect();
    let breaches = family_breaches(&plan.family, &people, proposal.start);
    if breaches.is_empty() { Ok(()) } else { Err(PremiumError::FamilyNotAllowed(breaches)) }
}

/// A member's rate with all loadings and one more factor: one multiplication, rounded once.
fn gross(
    plan: &PlanVersion,
    proposal: &Proposal,
    member: usize,
    factor: Fraction,
) -> Result<i64, PremiumError> {
    let rate = rate(plan, proposal, member)?;
    let who = &proposal.members[member];
    let underwritten = Fraction::new(10_000 + i64::from(who.load_bps), 10_000);
    let underwritten = underwritten.map_err(|_| PremiumError::Overflow)?;
    let mut whole = factor.times(underwritten).ok_or(PremiumError::Overflow)?;
    for loading in &plan.premium.loadings {
        let declared =
            |prefix: &String| who.conditions.iter().any(|condition| condition.starts_with(prefix.as_str()));
        let applies = (loading.conditions.is_empty() || loading.conditions.iter().any(declared))
            && (loading.relations.is_empty() || loading.relations.contains(&who.relation));
        if applies {
            let loaded =
                Fraction::new(10_000 + i64::from(loading.bps), 10_000).map_err(|_| PremiumError::Overflow)?;
            whole = whole.times(loaded).ok_or(PremiumError::Overflow)?;
        }
    }
    let premium = checked_half_up(rate, whole.num(), whole.den());
    premium.filter(|premium| *premium <= MAX_AMOUNT).ok_or(PremiumError::Overflow)
}

/// The member's row of the table, or the member's equal share of the family's row.
fn rate(plan: &PlanVersion, proposal: &Proposal, member: usize) -> Result<i64, PremiumError> {
    let missing = PremiumError::NoRate { member };
    if plan.premium.families.is_empty() {
        return member_rate(plan, proposal, member).ok_or(missing);
    }
    let whole = family_rate(plan, proposal).ok_or(missing)?;
    Ok(split_largest_remainder(whole, &vec![1; proposal.members.len()])[member])
}

/// A row for the member's relation goes before one for all.
fn member_rate(plan: &PlanVersion, proposal: &Proposal, member: usize) -> Option<i64> {
    let who = &proposal.members[member];
    let age = who.birth.age_on(proposal.start);
    let rows = plan.premium.members.iter().filter(|row| {
        row.sum_insured_minor == proposal.sum_insured_minor
            && row.ages.contains(age)
            && (row.relations.is_empty() || row.relations.contains(&who.relation))
    });
    rows.max_by_key(|row| !row.relations.is_empty()).map(|row| row.premium_minor)
}

fn family_rate(plan: &PlanVersion, proposal: &Proposal) -> Option<i64> {
    let ages: Vec<u32> = proposal.members.iter().map(|member| member.birth.age_on(proposal.start)).collect();
    let eldest = *ages.iter().max()?;
    let adults = ages.iter().filter(|age| **age >= plan.family.adult_from_age).count();
    let children = ages.len() - adults;
    let fits = |row: &&crate::domain::plan::FamilyRate| {
        row.sum_insured_minor == proposal.sum_insured_minor
            && row.eldest.contains(eldest)
            && usize::try_from(row.adults) == Ok(adults)
            && usize::try_from(row.children) == Ok(children)
    };
    plan.premium.families.iter().find(fits).map(|row| row.premium_minor)
}

/// What stays after every discount that applies, as one factor.
fn kept_by_discounts(plan: &PlanVersion, members: usize) -> Result<Fraction, PremiumError> {
    let number = u32::try_from(members).unwrap_or(u32::MAX);
    let mut kept = Fraction::ONE;
    for discount in &plan.premium.discounts {
        if number < discount.min_members || discount.max_members.is_some_and(|most| number > most) {
            continue;
        }
        let stays = i64::from(discount.bps.complement().get());
        let stays = Fraction::new(stays, 10_000).map_err(|_| PremiumError::Overflow)?;
        kept = kept.times(stays).ok_or(PremiumError::Overflow)?;
    }
    Ok(kept)
}

fn discount(plan: &PlanVersion, members: usize, sum_minor: i64) -> Result<i64, PremiumError> {
    let kept = kept_by_discounts(plan, members)?;
    checked_half_up(sum_minor, kept.den() - kept.num(), kept.den()).ok_or(PremiumError::Overflow)
}

fn taxes(plan: &PlanVersion, jurisdiction: &Jurisdiction, start: Date, net_minor: i64) -> Vec<TaxAmount> {
    let rates = jurisdiction.premium_taxes(&plan.premium.tax_kind, start);
    let amount = |tax: &crate::domain::plan::PremiumTax| TaxAmount {
        code: tax.code.clone(),
        bps: tax.bps,
        amount_minor: tax.bps.of(net_minor),
    };
    rates.into_iter().map(amount).collect()
}

fn instalments(
    plan: &PlanVersion,
    proposal: &Proposal,
    net: i64,
    tax: i64,
) -> Result<Vec<Instalment>, PremiumError> {
    let count = proposal.instalments;
    let way = plan.premium.instalments.iter().find(|way| way.count == count);
    let way = way.ok_or(PremiumError::InstalmentsNotOffered(count))?;
    let equal = vec![1; usize::try_from(count).unwrap_or(1)];
    let parts = split_largest_remainder(net, &equal).into_iter().zip(split_largest_remainder(tax, &equal));
    let due = |index: u32| {
        let months = i32::try_from(index * way.months_apart).unwrap_or(i32::MAX);
        proposal.start.plus_months(months)
    };
    Ok((0u32..)
        .zip(parts)
        .map(|(index, (net_minor, tax_minor))| Instalment {
            number: index + 1,
            due: due(index),
            net_minor,
            tax_minor,
        })
        .collect())
}

/// The net premium of one member who joins for the rest of a term: rate × loadings × what discounts leave × days ÷ term
/// days, one multiplication, rounded once (R10). `proposal` is the family as it then is; `start` its day of joining.
///
/// # Errors
/// [`PremiumError::NoRate`], [`PremiumError::Overflow`].
pub fn mid_term_premium(
    plan: &PlanVersion,
    proposal: &Proposal,
    member: usize,
    term: DateRange,
) -> Result<i64, PremiumError> {
    let covered =
        term.intersect(DateRange::new(proposal.start, Date::MAX).unwrap_or(term)).map_or(0, DateRange::days);
    let days = Fraction::new(covered, term.days().max(1)).map_err(|_| PremiumError::Overflow)?;
    let discounts = kept_by_discounts(plan, proposal.members.len())?;
    gross(plan, proposal, member, discounts.times(days).ok_or(PremiumError::Overflow)?)
}
