//! Where an active policy stands by time alone: paid, in grace, lapsed, or at the end of its last term. The worker writes
//! down what this says; a late worker changes nothing, because every reader asks the same question.

use caremesh_kernel::Date;

/// What the law and the plan give a late payer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// Days after the due day in which a premium can still be paid.
    pub grace_days: u32,
    /// Whether events in those days are covered before the premium has come.
    pub covers_in_grace: bool,
}

/// Where an active policy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is overdue.
    InForce,
    /// A premium is overdue.
    InGrace {
        /// The first day on which it is too late.
        until: Date,
        /// The first day that is not covered unless it is paid.
        cover_ends: Date,
    },
    /// The grace days have passed.
    Lapsed {
        /// The first day without cover.
        cover_ends: Date,
    },
    /// The last term is over.
    TermOver {
        /// The first day without cover.
        cover_ends: Date,
    },
}

/// Where a policy stands on a day: `due` is the day of its first unpaid premium, `end` the end of its last term. The due day
/// itself is in time; after it come `grace_days` whole days, and the next day is too late.
#[must_use]
pub fn standing(due: Option<Date>, end: Date, clocks: Clocks, today: Date) -> Standing {
    let overdue = due.filter(|due| *due < today && *due < end);
    if let Some(due) = overdue {
        let until = due.plus_days(1 + i64::from(clocks.grace_days));
        let cover_ends = if clocks.covers_in_grace { until.min(end) } else { due };
        if today >= until {
            return Standing::Lapsed { cover_ends };
        }
        if today < end {
            return Standing::InGrace { until, cover_ends };
        }
    }
    if today >= end { Standing::TermOver { cover_ends: end } } else { Standing::InForce }
}
