//! One version of a plan, whole. Immutable once published (INV-P4): every field is read-only data, and its digest is
//! kept with whatever was decided on it.

use caremesh_kernel::{Bps, Currency, Date, DateRange, OrganisationId, PlanId, PlanVersionId, Uuid};
use serde::{Deserialize, Serialize};

use super::accounts::{AccountRule, Bonus, Limit};
use super::costs::{
    Copay, Deductible, Exclusion, Expansion, FixedBenefit, OutOfPocket, RoomRule, SubLimit, Waiting,
};
use super::error::PlanError;
use super::people::FamilyRules;
use super::people::Underwriting;
use super::premiums::PremiumRules;
use super::when::{EventKind, LineKind};
use super::{check, digest};
use crate::domain::account::LayerKind;

/// Namespace of the ids of plans and their versions. Never to change.
const PLAN_NAMESPACE: Uuid = Uuid::from_u128(0x1d8f_0c52_43be_4f6a_9e07_75b1_c2aa_84d9);

/// A step of the engine. A plan version lists them in its own order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Step {
    /// Agreed price: what is billed above it is written off by the provider.
    AgreedPrice,
    /// What the plan does not cover at all.
    NonPayable,
    /// Room eligibility and proportionate deduction.
    Room,
    /// Sub-limits on the allowed amount, also in times or days.
    SublimitAllowed,
    /// What another payer has paid.
    OtherPayer,
    /// Deductibles.
    Deductible,
    /// Co-pay per line.
    Copay,
    /// Out-of-pocket maximum.
    OutOfPocket,
    /// Sub-limits on the amount after the deductible.
    SublimitAfterDeductible,
    /// Sub-limits on what the plan pays.
    SublimitPlanPaid,
    /// Pools, by layer in draw order; what no layer may pay is exceeded.
    Pool,
}

impl Step {
    /// Every step, in the default order of rule R2.
    pub const DEFAULT_ORDER: [Self; 11] = [
        Self::AgreedPrice,
        Self::NonPayable,
        Self::Room,
        Self::SublimitAllowed,
        Self::OtherPayer,
        Self::Deductible,
        Self::Copay,
        Self::OutOfPocket,
        Self::SublimitAfterDeductible,
        Self::SublimitPlanPaid,
        Self::Pool,
    ];

    /// The name in contract and plan file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AgreedPrice => "AGREED_PRICE",
            Self::NonPayable => "NON_PAYABLE",
            Self::Room => "ROOM",
            Self::SublimitAllowed => "SUBLIMIT_ALLOWED",
            Self::OtherPayer => "OTHER_PAYER",
            Self::Deductible => "DEDUCTIBLE",
            Self::Copay => "COPAY",
            Self::OutOfPocket => "OUT_OF_POCKET",
            Self::SublimitAfterDeductible => "SUBLIMIT_AFTER_DEDUCTIBLE",
            Self::SublimitPlanPaid => "SUBLIMIT_PLAN_PAID",
            Self::Pool => "POOL",
        }
    }
}

/// Which date of an event chooses term, segment and period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CrossingRule {
    /// The event date (admission, order, appointment) for all that belongs to the event.
    #[default]
    AdmissionDate,
    /// Each line's own date.
    ServiceDate,
    /// By days of the stay in each term.
    ProrataDays,
}

/// For whom one sum insured is bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SumInsuredScope {
    /// One pool for the family: a floater.
    Family,
    /// One for each member.
    Member,
}

/// An insurer that carries a share of the risk. The ledger stays at 100 %; settlement splits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carrier {
    /// The insurer.
    pub insurer: OrganisationId,
    /// Its name.
    pub name: String,
    /// Its share; the shares of a plan version add up to 10,000.
    pub share_bps: Bps,
    /// Whether it leads: settles with the member and collects from the others.
    #[serde(default)]
    pub leads: bool,
}

/// Something that can be claimed, as a reader knows it and as it is usually recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Benefit {
    /// Benefit code of lines, `SURGERY`.
    pub code: String,
    /// What a member reads.
    pub name: String,
    /// The kind of event it usually belongs to.
    pub event: EventKind,
    /// The kind of charge it usually is.
    pub kind: LineKind,
}

/// One version of a plan. Read with [`PlanVersion::from_toml`], which validates it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanVersion {
    /// The plan's code, `NG-FAMILY-FLOATER`; with the label it gives the ids.
    pub code: String,
    /// The version's label, `2026.1`.
    pub label: String,
    /// What a buyer reads.
    pub name: String,
    /// Two or three sentences for a buyer.
    pub summary: String,
    /// ISO 3166-1 alpha-2 code of the jurisdiction.
    pub jurisdiction: String,
    /// Currency of every amount in it.
    pub currency: Currency,
    /// Start dates for which it is sold.
    pub on_sale: DateRange,
    /// Length of a term in months.
    #[serde(default = "a_year")]
    pub term_months: u32,
    /// Whether one sum insured is for the family or for each member.
    pub sum_insured_scope: SumInsuredScope,
    /// The sums insured a buyer can choose from, ascending, minor units.
    pub sums_insured_minor: Vec<i64>,
    /// Which date of an event decides.
    #[serde(default)]
    pub crossing_rule: CrossingRule,
    /// The steps of the engine, in order.
    #[serde(default = "default_steps")]
    pub steps: Vec<Step>,
    /// In which order the layers of an account are drawn.
    #[serde(default = "default_draw_order")]
    pub draw_order: Vec<LayerKind>,
    /// What can be claimed. Where it is given, a rule may name no other benefit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub benefits: Vec<Benefit>,
    /// Who carries the risk.
    pub carriers: Vec<Carrier>,
    /// What is counted.
    pub accounts: Vec<AccountRule>,
    /// Which lines spend from which accounts.
    pub expansions: Vec<Expansion>,
    /// Limits inside the sum insured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sublimits: Vec<SubLimit>,
    /// What the member pays before the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deductibles: Vec<Deductible>,
    /// What the member pays beside the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copays: Vec<Copay>,
    /// The most the member pays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub out_of_pocket: Vec<OutOfPocket>,
    /// Eligible room rent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rooms: Vec<RoomRule>,
    /// What is not covered yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Waiting>,
    /// What is never covered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclusions: Vec<Exclusion>,
    /// Benefits of a fixed amount.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixed_benefits: Vec<FixedBenefit>,
    /// What a term without a claim adds to the next one's sum insured; nothing if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bonus: Option<Bonus>,
    /// Whom an underwriter looks at first; nobody if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub underwriting: Option<Underwriting>,
    /// Who may be insured together.
    pub family: FamilyRules,
    /// What it costs.
    pub premium: PremiumRules,
}

fn a_year() -> u32 {
    12
}

fn default_steps() -> Vec<Step> {
    Step::DEFAULT_ORDER.to_vec()
}

/// Base first, restored last (R7: drawn after base).
fn default_draw_order() -> Vec<LayerKind> {
    vec![LayerKind::Base, LayerKind::Increase, LayerKind::Bonus, LayerKind::Rollover, LayerKind::Restored]
}

impl PlanVersion {
    /// Reads and validates one plan version.
    ///
    /// # Errors
    /// [`PlanError`] with file, path and the rule that is broken.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, PlanError> {
        let version: Self =
            toml::from_str(text).map_err(|error| PlanError::unreadable(file, text, &error))?;
        check::version(file, &version)?;
        Ok(version)
    }

    /// Id of the plan, over all versions: follows from the code.
    #[must_use]
    pub fn plan_id(&self) -> PlanId {
        PlanId::derive(PLAN_NAMESPACE, &[&self.code])
    }

    /// Id of this version: follows from code and label.
    #[must_use]
    pub fn id(&self) -> PlanVersionId {
        PlanVersionId::derive(PLAN_NAMESPACE, &[&self.code, &self.label])
    }

    /// SHA-256 of the canonical content as 64 hexadecimal digits. Two files that say the same have the same digest,
    /// however they are laid out; a published version whose digest changed has been tampered with (INV-P4).
    #[must_use]
    pub fn content_digest(&self) -> String {
        digest::of(self)
    }

    /// The account rule with this code.
    #[must_use]
    pub fn account(&self, code: &str) -> Option<&AccountRule> {
        self.accounts.iter().find(|account| account.code == code)
    }

    /// The benefit with this code, where the plan lists its benefits.
    #[must_use]
    pub fn benefit(&self, code: &str) -> Option<&Benefit> {
        self.benefits.iter().find(|benefit| benefit.code == code)
    }

    /// The fixed benefit with this benefit code.
    #[must_use]
    pub fn fixed_benefit(&self, benefit: &str) -> Option<&FixedBenefit> {
        self.fixed_benefits.iter().find(|fixed| fixed.benefit == benefit)
    }

    /// Place of a layer kind in the draw order, lower first.
    #[must_use]
    pub fn draw_position(&self, kind: LayerKind) -> i32 {
        let place = self.draw_order.iter().position(|known| *known == kind).unwrap_or(self.draw_order.len());
        i32::try_from(place).unwrap_or(i32::MAX).saturating_mul(10)
    }

    /// Whether cover may start on that day.
    #[must_use]
    pub fn is_on_sale(&self, start: Date) -> bool {
        self.on_sale.contains(start)
    }

    /// The term that starts on that day.
    #[must_use]
    pub fn term_from(&self, start: Date) -> DateRange {
        let end = start.plus_months(i32::try_from(self.term_months).unwrap_or(i32::MAX));
        DateRange::new(start, end).unwrap_or(DateRange::of_days(start, 0))
    }

    /// The accounts whose limit is the sum insured itself.
    pub fn sum_insured_accounts(&self) -> impl Iterator<Item = &AccountRule> {
        self.accounts.iter().filter(|account| account.limit == Limit::SumInsured)
    }
}
