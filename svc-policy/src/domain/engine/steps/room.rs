//! Room eligibility and proportion (rule R8).
//!
//! Rent above the eligible amount of its day is cut. A charge that goes with the room keeps eligible ÷ actual: of its
//! day if it is dated, of all days that are not intensive care if it is not. Never touched: intensive care, packages,
//! medicines, consumables, implants, diagnostics; and all charges of a hospital without differential billing.

use std::collections::BTreeMap;

use caremesh_kernel::{Date, Fraction, split_largest_remainder};

use crate::domain::engine::opening;
use crate::domain::engine::priced::{Part, Reason};
use crate::domain::engine::run::{LineRun, Run, Why};
use crate::domain::plan::{LineKind, RoomRule, Step};

/// Rent of one day, or of the undated room lines together.
#[derive(Default)]
struct Rent {
    actual: i64,
    eligible: i64,
    /// What the day's room lines have not used up of `eligible` yet.
    left: i64,
}

#[derive(Default)]
struct Stay<'a> {
    rule: Option<&'a RoomRule>,
    days: BTreeMap<Date, Rent>,
    icu: Vec<Date>,
    undated: Rent,
}

pub(super) fn run(run: &mut Run<'_>) {
    if run.plan.rooms.is_empty() || !run.lines.iter().any(|line| line.line.kind == LineKind::Room) {
        return;
    }
    let mut stay = stay(run);
    let Some(rule) = stay.rule else { return };
    let whole_stay = stay.factor_of_all_days();
    for line in run.lines.iter_mut().filter(|line| line.is_indemnity() && line.amount > 0) {
        let (kept, reason) = match line.line.kind {
            LineKind::Room => (stay.eligible_rent(line), Reason::RoomRentAboveEligible),
            _ if !run.event.differential_billing || !goes_with_room(line.line.kind) => continue,
            _ => (stay.factor(line.line.date, whole_stay).of(line.amount), Reason::RoomProportion),
        };
        let cut = line.amount - kept;
        line.cut(Part::RoomCut, cut, &Why { step: Step::Room, rule: &rule.id, reason, account: None });
    }
}

fn goes_with_room(kind: LineKind) -> bool {
    match kind {
        LineKind::Associated | LineKind::Consultation | LineKind::Other => true,
        LineKind::Room
        | LineKind::Icu
        | LineKind::Package
        | LineKind::Pharmacy
        | LineKind::Consumable
        | LineKind::Implant
        | LineKind::Diagnostic
        | LineKind::FixedBenefit => false,
    }
}

fn stay<'a>(run: &Run<'a>) -> Stay<'a> {
    let mut stay = Stay::default();
    for line in run.lines.iter().filter(|line| line.line.kind == LineKind::Icu) {
        stay.icu.extend(days_of(line).unwrap_or_default());
    }
    for line in run.lines.iter().filter(|line| line.line.kind == LineKind::Room && line.amount > 0) {
        let circumstance = run.circumstance(line.line, line.date);
        let Some(rule) = run.plan.rooms.iter().find(|rule| rule.when.applies(&circumstance)) else {
            continue;
        };
        stay.rule = stay.rule.or(Some(rule));
        stay.add(line, per_day(rule, line, run));
    }
    for rent in stay.days.values_mut() {
        rent.left = rent.eligible;
    }
    stay
}

/// Eligible rent of a day; `None` where the category is eligible whatever it costs.
fn per_day(rule: &RoomRule, line: &LineRun<'_>, run: &Run<'_>) -> Option<i64> {
    let category = line.line.room_category.as_ref();
    if category.is_some_and(|category| rule.categories.contains(category)) {
        return None;
    }
    Some(opening::resolve(rule.per_day, run.cover, line.date))
}

fn number_of_days(line: &LineRun<'_>) -> i64 {
    line.line.days.unwrap_or(1).max(1)
}

fn days_of(line: &LineRun<'_>) -> Option<Vec<Date>> {
    let first = line.line.date?;
    Some((0..number_of_days(line)).map(|offset| first.plus_days(offset)).collect())
}

/// The rent of a line on each of its days; the days of one line share it evenly.
fn rent_of_days(line: &LineRun<'_>) -> Vec<i64> {
    let days = usize::try_from(number_of_days(line)).unwrap_or(1);
    split_largest_remainder(line.amount, &vec![1; days])
}

impl Stay<'_> {
    fn add(&mut self, line: &LineRun<'_>, per_day: Option<i64>) {
        let Some(days) = days_of(line) else {
            let cap = per_day.map_or(i64::MAX, |cap| cap.saturating_mul(number_of_days(line)));
            self.undated.actual += line.amount;
            self.undated.eligible += line.amount.min(cap);
            return;
        };
        for (day, rent) in days.into_iter().zip(rent_of_days(line)) {
            let of_day = self.days.entry(day).or_default();
            of_day.actual += rent;
            // Two rents of one day share one cap; an eligible category adds what it costs.
            of_day.eligible = match per_day {
                Some(cap) => (of_day.eligible + rent).min(cap.max(of_day.eligible)),
                None => of_day.eligible + rent,
            };
        }
    }

    /// What of a room line is eligible: what its days have left, or its own undated eligible amount.
    fn eligible_rent(&mut self, line: &LineRun<'_>) -> i64 {
        let Some(days) = days_of(line) else {
            return self.undated.factor().of(line.amount);
        };
        let mut kept = 0;
        for (day, rent) in days.into_iter().zip(rent_of_days(line)) {
            let Some(of_day) = self.days.get_mut(&day) else { continue };
            let eligible = rent.min(of_day.left);
            of_day.left -= eligible;
            kept += eligible;
        }
        kept
    }

    /// The factor of a charge that goes with the room.
    fn factor(&self, date: Option<Date>, whole_stay: Fraction) -> Fraction {
        match date {
            Some(day) if self.icu.contains(&day) => Fraction::ONE,
            Some(day) => self.days.get(&day).map_or(whole_stay, Rent::factor),
            None => whole_stay,
        }
    }

    fn factor_of_all_days(&self) -> Fraction {
        let wards = self.days.iter().filter(|(day, _)| !self.icu.contains(day)).map(|(_, rent)| rent);
        let (eligible, actual) = wards
            .chain([&self.undated])
            .fold((0, 0), |(eligible, actual), rent| (eligible + rent.eligible, actual + rent.actual));
        Fraction::kept(eligible, actual)
    }
}

impl Rent {
    fn factor(&self) -> Fraction {
        Fraction::kept(self.eligible, self.actual)
    }
}
