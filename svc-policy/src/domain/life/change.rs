//! From when a policy may be changed: who may join and leave on which day, and when it may be cancelled.

use caremesh_kernel::{Date, DateRange, Timestamp, Zone};

use crate::domain::eligibility::{FamilyBreach, family_breaches};
use crate::domain::plan::{FamilyRules, Jurisdiction, Relation};

/// How far ahead a change can be asked for, in days.
const AHEAD_DAYS: i64 = 90;

/// Why a policy ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// The policyholder gives it back within the free-look days.
    FreeLook,
    /// The policyholder does not want it any longer.
    HolderRequest,
}

/// Why a member leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveReason {
    /// The member died; the day of death is covered.
    Death,
    /// The member is family no longer.
    FamilyChange,
    /// The family asks for it.
    HolderRequest,
}

impl RemoveReason {
    /// Its name in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Death => "DECEASED",
            Self::FamilyChange | Self::HolderRequest => "REMOVED",
        }
    }
}

/// Why a change is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefusal {
    /// The policy's state does not allow it.
    #[error("the policy is not in force")]
    NotInForce,
    /// The change cannot take effect on that day.
    #[error("the change cannot take effect on this day")]
    Day,
    /// The next term cannot be bought today: too early, too late, or the present one is not paid.
    #[error("the next term cannot be bought today")]
    RenewalNotOpen,
    /// The free-look days are over.
    #[error("the free-look days are over")]
    FreeLookOver,
    /// The plan does not allow the family as it would be.
    #[error("the plan does not allow this family: {} rules broken", .0.len())]
    Family(Vec<FamilyBreach>),
    /// The person is covered by this policy.
    #[error("the person is a member")]
    AlreadyMember,
    /// The member's cover has ended.
    #[error("the member's cover has ended")]
    NotCovered,
    /// The policy cannot go on under that plan.
    #[error("the plan cannot take the other's place: {0}")]
    OtherPlan(&'static str),
}

/// The day from which a child that was born during the term is covered, when the birth is told in time: the day of birth.
#[must_use]
pub fn newborn_start(
    law: &Jurisdiction,
    relation: Relation,
    birth: Date,
    term: DateRange,
    today: Date,
) -> Option<Date> {
    let told_in_time = birth <= today && birth.days_until(today) <= i64::from(law.newborn_notice_days);
    let child = matches!(relation, Relation::Child | Relation::Grandchild);
    (child && told_in_time && term.contains(birth)).then_some(birth)
}

/// Whether somebody may join on a day. Cover never begins before today, but for a newborn, whose cover may begin at birth
/// and who is not too young for it.
///
/// # Errors
/// [`ChangeRefusal::Day`], [`ChangeRefusal::Family`].
pub fn check_addition(
    rules: &FamilyRules,
    family: &[(Relation, Date)],
    (from, newborn): (Date, bool),
    term: DateRange,
    today: Date,
) -> Result<(), ChangeRefusal> {
    if !term.contains(from) || (from < today && !newborn) {
        return Err(ChangeRefusal::Day);
    }
    let joining = family.len().saturating_sub(1);
    // Those who are members keep their place; only who joins is held against the ages.
    let concerns = |breach: &FamilyBreach| match breach {
        FamilyBreach::TooYoung { member } => *member == joining && !newborn,
        FamilyBreach::TooOld { member } | FamilyBreach::RelationNotInsured { member } => *member == joining,
        FamilyBreach::TooManyOfRelation { .. }
        | FamilyBreach::TooFewMembers { .. }
        | FamilyBreach::TooManyMembers { .. } => true,
    };
    let breaches: Vec<_> = family_breaches(rules, family, from).into_iter().filter(concerns).collect();
    if breaches.is_empty() { Ok(()) } else { Err(ChangeRefusal::Family(breaches)) }
}

/// The first day without cover when a member leaves. A death may be told late, and its own day is covered; all others
/// leave today or later. At least as many members as the plan demands stay.
///
/// # Errors
/// [`ChangeRefusal::NotCovered`], [`ChangeRefusal::Day`], [`ChangeRefusal::Family`].
pub fn check_removal(
    rules: &FamilyRules,
    staying: usize,
    cover: DateRange,
    (reason, day): (RemoveReason, Date),
    today: Date,
) -> Result<Date, ChangeRefusal> {
    let (from, earliest) = match reason {
        RemoveReason::Death => (day.plus_days(1), cover.start()),
        RemoveReason::FamilyChange | RemoveReason::HolderRequest => (day, today.max(cover.start())),
    };
    if cover.end() <= day {
        return Err(ChangeRefusal::NotCovered);
    }
    if from < earliest || (reason == RemoveReason::Death && day > today) {
        return Err(ChangeRefusal::Day);
    }
    let least = rules.min_members;
    let enough = reason == RemoveReason::Death || staying >= usize::try_from(least).unwrap_or(usize::MAX);
    if enough { Ok(from) } else { Err(ChangeRefusal::Family(vec![FamilyBreach::TooFewMembers { least }])) }
}

/// The first day without cover when a policy is cancelled on its holder's wish. Free look: the holder gives the policy back
/// within the days of the law, counted from the purchase, and cover ends today. Later: with the notice of the law.
///
/// # Errors
/// [`ChangeRefusal::FreeLookOver`], [`ChangeRefusal::Day`].
pub fn check_cancellation(
    law: &Jurisdiction,
    zone: &Zone,
    bought: Timestamp,
    (reason, wish): (CancelReason, Option<Date>),
    term: DateRange,
    today: Date,
) -> Result<Date, ChangeRefusal> {
    let (earliest, latest) = match reason {
        CancelReason::FreeLook => {
            let over = zone.day_of(bought).plus_days(i64::from(law.free_look_days));
            if today >= over {
                return Err(ChangeRefusal::FreeLookOver);
            }
            (today, today)
        }
        CancelReason::HolderRequest => {
            (today.plus_days(i64::from(law.cancellation_notice_days)), today.plus_days(AHEAD_DAYS))
        }
    };
    let day = wish.unwrap_or(earliest);
    if day < earliest || day > latest || day >= term.end() {
        return Err(ChangeRefusal::Day);
    }
    Ok(day.max(term.start()))
}

/// From when what is covered may change: today or later, at most ninety days ahead, within the term, and not before a change
/// of the same kind that was made already: `last` is the first day of the term's last segment.
///
/// # Errors
/// [`ChangeRefusal::Day`].
pub fn check_from(
    wish: Option<Date>,
    term: DateRange,
    last: Date,
    today: Date,
) -> Result<Date, ChangeRefusal> {
    let from = wish.unwrap_or(today.max(term.start()));
    let ahead = from > today.plus_days(AHEAD_DAYS).max(term.start());
    if from < today || from < last || ahead || !term.contains(from) {
        return Err(ChangeRefusal::Day);
    }
    Ok(from)
}

/// How long before the end of a term the next one can be bought, in days.
const RENEWAL_AHEAD_DAYS: i64 = 60;

/// Whether the next term can be offered today: from sixty days before the end of the present one to the last day of the
/// renewal grace, when everything of the present one is paid.
///
/// # Errors
/// [`ChangeRefusal::RenewalNotOpen`].
pub fn check_renewal(
    law: &Jurisdiction,
    term: DateRange,
    owes: bool,
    today: Date,
) -> Result<(), ChangeRefusal> {
    let opens = term.end().plus_days(-RENEWAL_AHEAD_DAYS);
    let too_late = term.end().plus_days(i64::from(law.grace_days_renewal));
    if owes || today < opens || today >= too_late { Err(ChangeRefusal::RenewalNotOpen) } else { Ok(()) }
}

/// Whether a member goes on in the next term, or has grown out of the plan by its first day.
#[must_use]
pub fn renews(rules: &FamilyRules, relation: Relation, birth: Date, start: Date) -> bool {
    let ages_out = rules.relation(relation).and_then(|rule| rule.ages_out_at);
    ages_out.is_none_or(|age| birth.age_on(start) < age)
}

/// What a change of a policy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndorsementKind {
    /// A member joined.
    AddMember,
    /// A member left.
    RemoveMember,
    /// The policy was cancelled.
    Cancel,
    /// The grace days passed.
    Lapse,
    /// A payment that was made in time was booked after the lapse.
    Reinstate,
    /// The last term ended.
    Expire,
    /// The next term was paid.
    Renew,
    /// The sum insured was raised or lowered.
    SumInsured,
    /// Another plan version holds from then on.
    Plan,
    /// A bonus was taken back after a late claim.
    Bonus,
    /// Other nominees.
    Nominees,
    /// Another bank account.
    Bank,
}

impl EndorsementKind {
    const ALL: [Self; 12] = [
        Self::AddMember,
        Self::RemoveMember,
        Self::Cancel,
        Self::Lapse,
        Self::Reinstate,
        Self::Expire,
        Self::Renew,
        Self::SumInsured,
        Self::Plan,
        Self::Bonus,
        Self::Nominees,
        Self::Bank,
    ];

    /// Its name in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AddMember => "ADD_MEMBER",
            Self::RemoveMember => "REMOVE_MEMBER",
            Self::Cancel => "CANCEL",
            Self::Lapse => "LAPSE",
            Self::Reinstate => "REINSTATE",
            Self::Expire => "EXPIRE",
            Self::Renew => "RENEW",
            Self::SumInsured => "SUM_INSURED",
            Self::Plan => "PLAN",
            Self::Bonus => "BONUS",
            Self::Nominees => "NOMINEES",
            Self::Bank => "BANK",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}
