//! What pricing answers: per line where its amount went and why, the legs, the grants, the versions read.

use std::ops::AddAssign;

use caremesh_kernel::AccountId;
use serde::{Deserialize, Serialize};

use crate::domain::account::{Grant, Leg};
use crate::domain::plan::Step;

/// Where a line's amount went. Minor units, none negative.
///
/// Always: claimed = writeoff + noncovered + room_cut + sublimit_cut + other_payer + deductible + copay + exceeded +
/// payable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Breakdown {
    /// What was billed.
    pub claimed: i64,
    /// Above the agreed price; nobody pays it.
    pub writeoff: i64,
    /// What the plan does not cover.
    pub noncovered: i64,
    /// Cut because of the room.
    pub room_cut: i64,
    /// Cut by sub-limits.
    pub sublimit_cut: i64,
    /// Paid by another payer.
    pub other_payer: i64,
    /// The member's deductible.
    pub deductible: i64,
    /// The member's co-pay.
    pub copay: i64,
    /// What no layer had room for.
    pub exceeded: i64,
    /// What the plan pays.
    pub payable: i64,
    /// What was allowed: claimed less write-off, noncovered, room cut and sub-limits on the allowed amount. Not a part
    /// of the sum above.
    pub allowed: i64,
}

impl Breakdown {
    /// Whether the parts sum to what was claimed and none is negative.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        let parts = self.parts();
        parts.iter().all(|part| *part >= 0) && parts.iter().sum::<i64>() == self.claimed
    }

    /// What the member pays out of pocket: everything but the plan's, the other payer's and the write-off.
    #[must_use]
    pub fn member_pays(&self) -> i64 {
        self.claimed - self.writeoff - self.other_payer - self.payable
    }

    fn parts(&self) -> [i64; 9] {
        [
            self.writeoff,
            self.noncovered,
            self.room_cut,
            self.sublimit_cut,
            self.other_payer,
            self.deductible,
            self.copay,
            self.exceeded,
            self.payable,
        ]
    }

    pub(super) fn part_mut(&mut self, part: Part) -> &mut i64 {
        match part {
            Part::Writeoff => &mut self.writeoff,
            Part::Noncovered => &mut self.noncovered,
            Part::RoomCut => &mut self.room_cut,
            Part::SublimitCut => &mut self.sublimit_cut,
            Part::OtherPayer => &mut self.other_payer,
            Part::Deductible => &mut self.deductible,
            Part::Copay => &mut self.copay,
            Part::Exceeded => &mut self.exceeded,
        }
    }
}

impl AddAssign for Breakdown {
    fn add_assign(&mut self, other: Self) {
        self.claimed += other.claimed;
        self.writeoff += other.writeoff;
        self.noncovered += other.noncovered;
        self.room_cut += other.room_cut;
        self.sublimit_cut += other.sublimit_cut;
        self.other_payer += other.other_payer;
        self.deductible += other.deductible;
        self.copay += other.copay;
        self.exceeded += other.exceeded;
        self.payable += other.payable;
        self.allowed += other.allowed;
    }
}

/// Where a cut's amount goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Part {
    /// [`Breakdown::writeoff`].
    Writeoff,
    /// [`Breakdown::noncovered`].
    Noncovered,
    /// [`Breakdown::room_cut`].
    RoomCut,
    /// [`Breakdown::sublimit_cut`].
    SublimitCut,
    /// [`Breakdown::other_payer`].
    OtherPayer,
    /// [`Breakdown::deductible`].
    Deductible,
    /// [`Breakdown::copay`].
    Copay,
    /// [`Breakdown::exceeded`].
    Exceeded,
}

/// Why an amount changed, as a code of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// Billed above the agreed price.
    AboveAgreedPrice,
    /// The provider is paid by capitation.
    Capitated,
    /// No expansion of the plan takes the line.
    BenefitNotInPlan,
    /// The line's day lies outside the cover.
    OutsideCover,
    /// An exclusion.
    Excluded,
    /// A waiting period has not passed.
    WaitingPeriod,
    /// An item that is never payable.
    NonPayableItem,
    /// Rent above what is eligible.
    RoomRentAboveEligible,
    /// A charge that goes with a room above what is eligible.
    RoomProportion,
    /// A sub-limit is reached.
    SublimitReached,
    /// No more times are left.
    TimesUsedUp,
    /// No more days are left.
    DaysUsedUp,
    /// Another payer paid it.
    PaidByOtherPayer,
    /// The deductible is not satisfied yet.
    Deductible,
    /// The member's share.
    Copay,
    /// The out-of-pocket maximum is reached: the plan takes over.
    OutOfPocketMaximumReached,
    /// The member's share of an amount that a sub-limit has taken away falls away with it.
    CopayOfReducedAmount,
    /// No layer has room for it.
    BenefitExhausted,
    /// Days at the beginning of a stay that a fixed benefit does not pay.
    DaysNotPaid,
}

impl Reason {
    /// The code in contract and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AboveAgreedPrice => "ABOVE_AGREED_PRICE",
            Self::Capitated => "CAPITATED",
            Self::BenefitNotInPlan => "BENEFIT_NOT_IN_PLAN",
            Self::OutsideCover => "OUTSIDE_COVER",
            Self::Excluded => "EXCLUDED",
            Self::WaitingPeriod => "WAITING_PERIOD",
            Self::NonPayableItem => "NON_PAYABLE_ITEM",
            Self::RoomRentAboveEligible => "ROOM_RENT_ABOVE_ELIGIBLE",
            Self::RoomProportion => "ROOM_PROPORTION",
            Self::SublimitReached => "SUBLIMIT_REACHED",
            Self::TimesUsedUp => "TIMES_USED_UP",
            Self::DaysUsedUp => "DAYS_USED_UP",
            Self::PaidByOtherPayer => "PAID_BY_OTHER_PAYER",
            Self::Deductible => "DEDUCTIBLE",
            Self::Copay => "COPAY",
            Self::OutOfPocketMaximumReached => "OUT_OF_POCKET_MAXIMUM_REACHED",
            Self::CopayOfReducedAmount => "COPAY_OF_REDUCED_AMOUNT",
            Self::BenefitExhausted => "BENEFIT_EXHAUSTED",
            Self::DaysNotPaid => "DAYS_NOT_PAID",
        }
    }
}

/// One change of what the plan still pays for a line, by one rule. Folding them from `claimed` gives `payable`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// The step that made it.
    pub step: Step,
    /// Id of the rule in the plan version; empty where the platform's own rule decides.
    pub rule: String,
    /// Why.
    pub reason: Reason,
    /// Where the difference went; `after > before` takes it from there again.
    pub part: Part,
    /// The line's amount before, minor units.
    pub before_minor: i64,
    /// The line's amount after, minor units.
    pub after_minor: i64,
    /// The account that limited it, where one did.
    pub account: Option<AccountId>,
}

/// The price of one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinePrice {
    /// The line's sequence.
    pub sequence: u32,
    /// Where its amount went.
    pub breakdown: Breakdown,
    /// Every change, in the order in which it happened.
    pub cuts: Vec<Cut>,
}

/// The version of an account that the price was computed on; 0 where the account has no row yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadVersion {
    /// The account.
    pub account: AccountId,
    /// Its version.
    pub version: i64,
}

/// The whole price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Priced {
    /// Per line, ascending by sequence.
    pub lines: Vec<LinePrice>,
    /// Sums over the lines.
    pub total: Breakdown,
    /// The legs that a hold or a direct capture would carry, by line.
    pub legs: Vec<Leg>,
    /// Layers that must be granted first (restoration).
    pub grants: Vec<Grant>,
    /// The accounts that were read, ascending by id: post with these versions.
    pub read: Vec<ReadVersion>,
}
