//! A stay over the end of a term or segment: which lines, or which share of them, each segment is asked to price.

use caremesh_kernel::{Date, DateRange, split_largest_remainder};

use super::request::{Event, Line};
use crate::domain::plan::CrossingRule;

/// What one segment is asked to price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portion {
    /// Index of the segment in the list that was given; none for what no segment covers.
    pub segment: Option<usize>,
    /// The event, with its claim-level amounts for this segment; its date is the first day of the event in it.
    pub event: Event,
    /// The lines, or shares of lines, of this segment.
    pub lines: Vec<Line>,
}

/// Deals the lines of an event out to segments (days of cover: half-open, ascending, without overlap), as the crossing
/// rule says. A portion without a segment comes last.
///
/// ADMISSION_DATE: all to the segment of the event date. SERVICE_DATE: each line to the segment of its own date, undated
/// lines to that of the event date; another payer's money without line detail in proportion to what is billed.
/// PRORATA_DAYS: every amount by days of the stay in each segment, largest remainder, earlier segments first; times and
/// days likewise. What falls on days of no segment is in the portion without one: there is no cover for it.
#[must_use]
pub fn split_by_crossing(
    rule: CrossingRule,
    event: &Event,
    lines: &[Line],
    segments: &[DateRange],
) -> Vec<Portion> {
    match rule {
        CrossingRule::AdmissionDate => by_date(event, lines, segments, |_| event.date),
        CrossingRule::ServiceDate => by_date(event, lines, segments, |line| line.date.unwrap_or(event.date)),
        CrossingRule::ProrataDays => by_days(event, lines, segments),
    }
}

/// The event as a segment sees it: dated on its first day there, because that day chooses term, period and layers (R6).
fn event_in(event: &Event, segment: Option<&DateRange>, other_payer_minor: i64) -> Event {
    let date = segment.map_or(event.date, |segment| event.date.max(segment.start()));
    // A bill from after the discharge may lie in a segment that the stay itself does not reach.
    let discharge = event.discharge.filter(|discharge| date == event.date || *discharge >= date);
    Event { other_payer_minor, date, discharge, ..event.clone() }
}

fn by_date(
    event: &Event,
    lines: &[Line],
    segments: &[DateRange],
    date_of: impl Fn(&Line) -> Date,
) -> Vec<Portion> {
    let place = |line: &Line| segments.iter().position(|segment| segment.contains(date_of(line)));
    let places = (0..segments.len()).map(Some).chain([None]);
    let of_place = |at: Option<usize>| -> (Option<usize>, Vec<Line>) {
        (at, lines.iter().filter(|line| place(line) == at).cloned().collect())
    };
    let dealt: Vec<_> = places.map(of_place).filter(|(_, lines)| !lines.is_empty()).collect();
    let billed = |dealt: &(_, Vec<Line>)| dealt.1.iter().map(|line| line.billed_minor).sum();
    let weights: Vec<i64> = dealt.iter().map(billed).collect();
    let shares = split_largest_remainder(event.other_payer_minor, &weights);
    let portion = |((segment, lines), other): ((Option<usize>, Vec<Line>), i64)| Portion {
        event: event_in(event, segment.map(|index| &segments[index]), other),
        segment,
        lines,
    };
    dealt.into_iter().zip(shares).map(portion).collect()
}

fn by_days(event: &Event, lines: &[Line], segments: &[DateRange]) -> Vec<Portion> {
    let stay = stay(event);
    let in_segment = |segment: &DateRange| stay.intersect(*segment).map_or(0, DateRange::days);
    let mut days: Vec<i64> = segments.iter().map(in_segment).collect();
    days.push(stay.days() - days.iter().sum::<i64>());
    let places = (0..segments.len()).map(Some).chain([None]);
    let (places, days): (Vec<Option<usize>>, Vec<i64>) =
        places.zip(days).filter(|(_, days)| *days > 0).unzip();
    if places.len() == 1 {
        let segment = places[0];
        let event = event_in(event, segment.map(|index| &segments[index]), event.other_payer_minor);
        return vec![Portion { segment, event, lines: lines.to_vec() }];
    }
    let others = split_largest_remainder(event.other_payer_minor, &days);
    let mut portions: Vec<Portion> = places
        .iter()
        .zip(others)
        .map(|(segment, other)| Portion {
            segment: *segment,
            event: event_in(event, segment.map(|index| &segments[index]), other),
            lines: Vec::new(),
        })
        .collect();
    for line in lines {
        for (portion, share) in portions.iter_mut().zip(shares(line, &days)) {
            portion.lines.push(share);
        }
    }
    portions
}

/// Days of the stay: from admission up to the day of discharge; a stay of no night is one day.
fn stay(event: &Event) -> DateRange {
    let end = event.discharge.unwrap_or(event.date).max(event.date.plus_days(1));
    DateRange::new(event.date, end).unwrap_or(DateRange::of_days(event.date, 1))
}

fn shares(line: &Line, days: &[i64]) -> Vec<Line> {
    let split = |amount: i64| split_largest_remainder(amount, days);
    let split_optional = |amount: Option<i64>| -> Vec<Option<i64>> {
        amount.map_or_else(|| vec![None; days.len()], |amount| split(amount).into_iter().map(Some).collect())
    };
    let (billed, non_payable, other) =
        (split(line.billed_minor), split(line.non_payable_minor), split(line.other_payer_minor));
    // A line that is not said to be several times is once, and once in all: the first segment has it.
    let counts = split_optional(Some(line.count.unwrap_or(1)));
    let (agreed, line_days) = (split_optional(line.agreed_minor), split_optional(line.days));
    (0..days.len())
        .map(|i| Line {
            billed_minor: billed[i],
            non_payable_minor: non_payable[i],
            other_payer_minor: other[i],
            agreed_minor: agreed[i],
            count: counts[i],
            days: line_days[i],
            ..line.clone()
        })
        .collect()
}
