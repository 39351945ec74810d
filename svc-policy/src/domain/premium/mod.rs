//! Premium arithmetic (rule R10): quote, instalments, earned premium, refunds. Tax is apart from all of it.
//!
//! Entry points: [`quote`], [`mid_term_premium`], [`earned`], [`Cancellation::refund`], [`credit_next_instalments`],
//! [`carrier_shares`]. Pure; amounts in minor units of the plan's currency.

mod difference;
mod quote;
mod refund;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(in crate::domain) use difference::shared;
pub use difference::{Insured, Sold, difference};
pub use quote::{
    Instalment, MemberPremium, Premium, PremiumError, Proposal, ProposedMember, TaxAmount, mid_term_premium,
    quote, renewal,
};
pub use refund::{Cancellation, MemberRisk, credit_next_instalments, earned};

use caremesh_kernel::{OrganisationId, split_largest_remainder};

use crate::domain::plan::PlanVersion;

/// An amount split over the carriers by their shares, largest remainder, in the order of the plan version. The leading
/// carrier is treated as any other.
#[must_use]
pub fn carrier_shares(plan: &PlanVersion, amount_minor: i64) -> Vec<(OrganisationId, i64)> {
    let weights: Vec<i64> = plan.carriers.iter().map(|carrier| i64::from(carrier.share_bps.get())).collect();
    let shares = split_largest_remainder(amount_minor, &weights);
    plan.carriers.iter().map(|carrier| carrier.insurer).zip(shares).collect()
}
