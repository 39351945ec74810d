//! Jurisdictions as data: currency, zone, clocks and premium tax of one country. Defaults, not legal advice.

use caremesh_kernel::{Bps, Currency, Date, Zone};
use serde::{Deserialize, Serialize};

use super::check;
use super::error::PlanError;

/// A rate of premium tax, from a day on until the next rate of the same kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PremiumTax {
    /// Name of the tax, `GST`.
    pub code: String,
    /// Kind of cover it is for, as plans name it in `premium.tax_kind`.
    pub kind: String,
    /// First day of the rate; the day the term starts decides.
    pub from: Date,
    /// The rate.
    pub bps: Bps,
}

/// Days of reminders as the law or the insurer's own habit sets them; data of a jurisdiction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReminderRules {
    /// Days before a premium falls due.
    pub before_due: Vec<u32>,
    /// Days before the grace of an overdue premium ends.
    pub before_lapse: Vec<u32>,
    /// Days before the last term ends.
    pub before_end: Vec<u32>,
}

impl Default for ReminderRules {
    fn default() -> Self {
        Self { before_due: vec![14, 3], before_lapse: vec![7], before_end: vec![30, 7] }
    }
}

/// The rules of one country.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jurisdiction {
    /// ISO 3166-1 alpha-2 code.
    pub code: String,
    /// What a person reads.
    pub name: String,
    /// Currency of its plans.
    pub currency: Currency,
    /// The zone whose days are policy days.
    pub zone: Zone,
    /// Days in which a new policyholder may give the policy back.
    pub free_look_days: u32,
    /// Days of grace for a premium that is paid in instalments.
    pub grace_days_instalment: u32,
    /// Days of grace for a renewal.
    pub grace_days_renewal: u32,
    /// Whether events in the grace days of an instalment are covered before it is paid.
    #[serde(default)]
    pub covers_in_grace: bool,
    /// Days after birth in which a child can be added with cover from birth.
    #[serde(default)]
    pub newborn_notice_days: u32,
    /// Whether waiting periods are waived for a child that was added with cover from birth.
    #[serde(default)]
    pub newborn_waiting_waived: bool,
    /// Months of continuous cover after which a claim is not contested except for fraud; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moratorium_months: Option<u32>,
    /// Longest allowed waiting period for pre-existing conditions in months; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_existing_max_months: Option<u32>,
    /// How far back a condition counts as pre-existing, months; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_existing_look_back_months: Option<u32>,
    /// Longest break, in days, after which cover with another insurer is still credited; no credit at all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portability_break_days: Option<u32>,
    /// Days of notice with which a policyholder may cancel.
    pub cancellation_notice_days: u32,
    /// Minutes in which a pre-authorisation is answered.
    pub preauthorisation_minutes: u32,
    /// Days after the event in which a claim can be filed.
    pub filing_days: u32,
    /// Days after a decision in which it can be appealed.
    pub appeal_days: u32,
    /// Whether several policies may each pay, together never more than the cost.
    pub holder_chooses_first_insurer: bool,
    /// When a policyholder is reminded.
    #[serde(default)]
    pub reminders: ReminderRules,
    /// Premium tax rates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub premium_tax: Vec<PremiumTax>,
}

impl Jurisdiction {
    /// Reads and validates one jurisdiction.
    ///
    /// # Errors
    /// [`PlanError`] with file, path and the rule that is broken.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, PlanError> {
        let jurisdiction: Self =
            toml::from_str(text).map_err(|error| PlanError::unreadable(file, text, &error))?;
        check::jurisdiction(file, &jurisdiction)?;
        Ok(jurisdiction)
    }

    /// The taxes on a kind of cover whose term starts on that day: of each tax the latest rate that has begun.
    #[must_use]
    pub fn premium_taxes(&self, kind: &str, start: Date) -> Vec<&PremiumTax> {
        let begun = |tax: &&PremiumTax| tax.kind == kind && tax.from <= start;
        let mut taxes: Vec<&PremiumTax> = self.premium_tax.iter().filter(begun).collect();
        taxes.sort_by(|a, b| a.code.cmp(&b.code).then(b.from.cmp(&a.from)));
        taxes.dedup_by(|later, kept| later.code == kept.code);
        taxes
    }
}
