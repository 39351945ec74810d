//! A stay over the end of a term or segment: which lines, or which share of them, each segment is asked to price.

use caremesh_kernel::{Date, DateRange, split_largest_remainder};

use super::request::{Event, Line};
use crate::domain::plan::CrossingRule;

/// What one segment is asked to price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portion {
    /// Index of the segment in the list that was given.
    pub segment: usize,
    /// The event, with its claim-level amounts for this segment.
    pub event: Event,
    /// The lines, or shares of lines, of this segment.
    pub lines: Vec<Line>,
}

/// Deals the lines of an event out to segments (contiguous, half-open, ascending), as the crossing rule says.
///
/// ADMISSION_DATE: all to the segment of the event date. SERVICE_DATE: each line to the segment of its own date, undated
/// lines to that of the event date; another payer's money without line detail in proportion to what is billed.
/// PRORATA_DAYS: every amount by days of the stay in each segment, largest remainder, earlier segments first; times and
/// days likewise. What falls into no segment is in no portion: there is no cover for it.
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

fn by_date(
    event: &Event,
    lines: &[Line],
    segments: &[DateRange],
    date_of: impl Fn(&Line) -> Date,
) -> Vec<Portion> {
    let of_segment = |segment: &DateRange| -> Vec<Line> {
        lines.iter().filter(|line| segment.contains(date_of(line))).cloned().collect()
    };
    let dealt: Vec<Vec<Line>> = segments.iter().map(of_segment).collect();
    let billed = |lines: &Vec<Line>| lines.iter().map(|line| line.billed_minor).sum();
    let shares =
        split_largest_remainder(event.other_payer_minor, &dealt.iter().map(billed).collect::<Vec<i64>>());
    let portions = dealt.into_iter().zip(shares).enumerate();
    portions
        .filter(|(_, (lines, _))| !lines.is_empty())
        .map(|(segment, (lines, other_payer_minor))| Portion {
            segment,
            event: Event { other_payer_minor, ..event.clone() },
            lines,
        })
        .collect()
}

fn by_days(event: &Event, lines: &[Line], segments: &[DateRange]) -> Vec<Portion> {
    let days: Vec<i64> = segments.iter().map(|segment| days_in(event, *segment)).collect();
    if days.iter().sum::<i64>() == 0 {
        return Vec::new();
    }
    let mut portions: Vec<Portion> = split_largest_remainder(event.other_payer_minor, &days)
        .into_iter()
        .enumerate()
        .map(|(segment, other_payer_minor)| Portion {
            segment,
            event: Event { other_payer_minor, ..event.clone() },
            lines: Vec::new(),
        })
        .collect();
    for line in lines {
        for (portion, share) in portions.iter_mut().zip(shares(line, &days)) {
            portion.lines.push(share);
        }
    }
    portions.retain(|portion| days[portion.segment] > 0);
    portions
}

/// Days of the stay in a segment: from admission up to the day of discharge; a stay of no night is one day.
fn days_in(event: &Event, segment: DateRange) -> i64 {
    let end = event.discharge.unwrap_or(event.date).max(event.date.plus_days(1));
    let stay = DateRange::new(event.date, end).unwrap_or(DateRange::of_days(event.date, 1));
    stay.intersect(segment).map_or(0, DateRange::days)
}

fn shares(line: &Line, days: &[i64]) -> Vec<Line> {
    let split = |amount: i64| split_largest_remainder(amount, days);
    let split_optional = |amount: Option<i64>| -> Vec<Option<i64>> {
        amount.map_or_else(|| vec![None; days.len()], |amount| split(amount).into_iter().map(Some).collect())
    };
    let (billed, non_payable, other) =
        (split(line.billed_minor), split(line.non_payable_minor), split(line.other_payer_minor));
    let (agreed, counts, line_days) =
        (split_optional(line.agreed_minor), split_optional(line.count), split_optional(line.days));
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
