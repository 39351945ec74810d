//! When a policyholder is reminded, of what: a premium that falls due, one that is overdue, grace that ends, a term that ends.
//! A reminder has a first day and a day from which it would be pointless, so a late worker sends what still helps, once.

use caremesh_kernel::Date;

use super::standing::Clocks;
use crate::domain::plan::ReminderRules;

/// What a reminder is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReminderKind {
    /// A premium falls due soon.
    PremiumDue,
    /// A premium is overdue.
    PremiumOverdue,
    /// The grace of an overdue premium ends soon.
    GraceEnds,
    /// The term ends soon.
    TermEnds,
}

impl ReminderKind {
    /// Its name in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PremiumDue => "PREMIUM_DUE",
            Self::PremiumOverdue => "PREMIUM_OVERDUE",
            Self::GraceEnds => "GRACE_ENDS",
            Self::TermEnds => "TERM_ENDS",
        }
    }
}

/// A reminder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reminder {
    /// What it is about.
    pub kind: ReminderKind,
    /// The first day on which it is sent.
    pub on: Date,
    /// The first day on which it is too late for it.
    pub until: Date,
}

/// Every reminder of a policy whose first unpaid premium is due on `due` and whose last term ends on `end`, by their days.
#[must_use]
pub fn reminders(due: Option<Date>, end: Date, clocks: Clocks, rules: &ReminderRules) -> Vec<Reminder> {
    let mut all = series(ReminderKind::TermEnds, end, &rules.before_end);
    if let Some(due) = due.filter(|due| *due < end) {
        let lapse = due.plus_days(1 + i64::from(clocks.grace_days));
        let last = series(ReminderKind::GraceEnds, lapse, &rules.before_lapse);
        let overdue = due.plus_days(1);
        let until = last.first().map_or(lapse, |next| next.on);
        all.extend(series(ReminderKind::PremiumDue, overdue, &shifted(&rules.before_due)));
        all.push(Reminder { kind: ReminderKind::PremiumOverdue, on: overdue, until });
        all.extend(last.into_iter().filter(|reminder| overdue < reminder.on));
    }
    all.retain(|reminder| reminder.on < reminder.until && reminder.on < end);
    all.sort_by_key(|reminder| (reminder.on, reminder.kind));
    all
}

/// The due day itself is in time: what is before it is counted from the day after.
fn shifted(days: &[u32]) -> Vec<u32> {
    days.iter().map(|day| day + 1).collect()
}

/// Reminders of one kind: each is sent until the next one is.
fn series(kind: ReminderKind, limit: Date, days: &[u32]) -> Vec<Reminder> {
    let mut on: Vec<Date> = days.iter().map(|days| limit.plus_days(-i64::from(*days))).collect();
    on.sort_unstable();
    on.dedup();
    let until = on.iter().skip(1).copied().chain([limit]);
    on.iter().zip(until).map(|(on, until)| Reminder { kind, on: *on, until }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        text.parse().expect("a day")
    }

    fn on(all: &[Reminder], today: &str) -> Vec<ReminderKind> {
        let today = day(today);
        all.iter().filter(|it| it.on <= today && today < it.until).map(|it| it.kind).collect()
    }

    #[test]
    fn each_day_has_at_most_one_reminder_of_a_kind_and_a_late_one_only_while_it_helps() {
        let clocks = Clocks { grace_days: 30, covers_in_grace: false };
        let rules = ReminderRules::default();
        let all = reminders(Some(day("2026-04-01")), day("2027-01-01"), clocks, &rules);
        assert_eq!(on(&all, "2026-03-17"), []);
        assert_eq!(on(&all, "2026-03-18"), [ReminderKind::PremiumDue], "fourteen days before");
        assert_eq!(on(&all, "2026-04-01"), [ReminderKind::PremiumDue], "the due day is in time");
        assert_eq!(on(&all, "2026-04-02"), [ReminderKind::PremiumOverdue]);
        assert_eq!(on(&all, "2026-04-25"), [ReminderKind::GraceEnds], "seven days before 2 May");
        assert_eq!(on(&all, "2026-05-02"), [], "lapsed");
        assert_eq!(on(&all, "2026-12-02"), [ReminderKind::TermEnds]);
        let sent: Vec<_> =
            all.iter().filter(|it| it.kind == ReminderKind::TermEnds).map(|it| it.on).collect();
        assert_eq!(sent, [day("2026-12-02"), day("2026-12-25")]);
    }

    #[test]
    fn short_grace_has_no_reminder_before_the_premium_is_overdue() {
        let clocks = Clocks { grace_days: 5, covers_in_grace: true };
        let all = reminders(Some(day("2026-04-01")), day("2027-01-01"), clocks, &ReminderRules::default());
        assert!(all.iter().all(|it| it.kind != ReminderKind::GraceEnds));
        assert_eq!(reminders(None, day("2027-01-01"), clocks, &ReminderRules::default()).len(), 2);
    }
}
