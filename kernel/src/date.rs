//! Civil days and half-open ranges of them: birth, service, cover.
//!
//! A day here has no hours and no zone; an instant becomes a day only through a [`crate::Zone`].

use std::fmt;
use std::str::FromStr;

use jiff::{Span, ToSpan, civil};
use serde::{Deserialize, Serialize};

/// Why a day or a range was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DateError {
    /// No such day in the calendar, or beyond the years 1 to 9999.
    #[error("{0} is not a day of the calendar between the years 1 and 9999")]
    NoSuchDay(String),
    /// A range must end after it starts, or on the same day when it is empty.
    #[error("the range ends on {end}, before its start {start}")]
    Reversed {
        /// First day.
        start: Date,
        /// First day after the range.
        end: Date,
    },
}

/// A day of the calendar, years 1 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date(civil::Date);

impl Date {
    /// First day that can be named.
    pub const MIN: Self = Self(civil::date(1, 1, 1));
    /// Last day that can be named; also "without end" as the end of a range.
    pub const MAX: Self = Self(civil::date(9999, 12, 31));

    /// The day of that year, month (1–12) and day of month (1–31).
    ///
    /// # Errors
    /// [`DateError::NoSuchDay`].
    pub fn new(year: i32, month: u32, day: u32) -> Result<Self, DateError> {
        let refused = || DateError::NoSuchDay(format!("{year}-{month}-{day}"));
        let narrow = || -> Option<_> {
            let (year, month, day) =
                (i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
            civil::Date::new(year, month, day).ok()
        };
        narrow().map(Self).filter(|date| *date >= Self::MIN).ok_or_else(refused)
    }

    /// Year, 1 to 9999.
    #[must_use]
    pub fn year(self) -> i32 {
        i32::from(self.0.year())
    }

    /// Month, 1 to 12.
    #[must_use]
    pub fn month(self) -> u32 {
        u32::from(self.0.month().unsigned_abs())
    }

    /// Day of the month, 1 to 31.
    #[must_use]
    pub fn day(self) -> u32 {
        u32::from(self.0.day().unsigned_abs())
    }

    /// The day `days` later (earlier if negative), stopping at [`Date::MIN`] and [`Date::MAX`].
    #[must_use]
    pub fn plus_days(self, days: i64) -> Self {
        self.plus(Span::new().try_days(days).ok(), days)
    }

    /// The same day of the month `months` later (earlier if negative); a day the month does not have becomes its
    /// last (31 January plus one month is 28 or 29 February). Stops at [`Date::MIN`] and [`Date::MAX`].
    #[must_use]
    pub fn plus_months(self, months: i32) -> Self {
        self.plus(Span::new().try_months(months).ok(), i64::from(months))
    }

    fn plus(self, span: Option<Span>, direction: i64) -> Self {
        let beyond = if direction < 0 { Self::MIN } else { Self::MAX };
        let moved = span.and_then(|span| self.0.checked_add(span).ok()).map(Self);
        moved.map_or(beyond, |day| day.max(Self::MIN))
    }

    /// Days from here to `later`; negative if it lies before.
    #[must_use]
    pub fn days_until(self, later: Self) -> i64 {
        i64::from(self.0.until(later.0).map_or(0, |span| span.get_days()))
    }

    /// Completed years on the day `on` of somebody born here: the birthday counts. Born on 29 February, a year is
    /// completed on 1 March of an ordinary year. 0 before birth.
    #[must_use]
    pub fn age_on(self, on: Self) -> u32 {
        let before_birthday = (on.month(), on.day()) < (self.month(), self.day());
        let years = on.year() - self.year() - i32::from(before_birthday);
        u32::try_from(years).unwrap_or(0)
    }

    /// First day of the month.
    #[must_use]
    pub fn first_of_month(self) -> Self {
        Self(self.0.first_of_month())
    }

    /// First day of the next month, [`Date::MAX`] after the last one.
    #[must_use]
    pub fn first_of_next_month(self) -> Self {
        self.0.first_of_month().checked_add(1.month()).map_or(Self::MAX, Self)
    }

    pub(crate) fn civil(self) -> civil::Date {
        self.0
    }

    pub(crate) fn from_civil(date: civil::Date) -> Self {
        Self(date).max(Self::MIN)
    }
}

impl FromStr for Date {
    type Err = DateError;

    /// Only the form `2026-11-21`.
    fn from_str(text: &str) -> Result<Self, DateError> {
        let refused = || DateError::NoSuchDay(text.chars().take(16).collect());
        let shaped = text.len() == 10
            && text.bytes().enumerate().all(|(i, b)| match i {
                4 | 7 => b == b'-',
                _ => b.is_ascii_digit(),
            });
        if !shaped {
            return Err(refused());
        }
        text.parse().ok().map(Self).filter(|date| *date >= Self::MIN).ok_or_else(refused)
    }
}

impl TryFrom<String> for Date {
    type Error = DateError;
    fn try_from(text: String) -> Result<Self, DateError> {
        text.parse()
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year(), self.month(), self.day())
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Days from `start` up to, and without, `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawRange", into = "RawRange")]
pub struct DateRange {
    start: Date,
    end: Date,
}

impl DateRange {
    /// Every day.
    pub const ALWAYS: Self = Self { start: Date::MIN, end: Date::MAX };

    /// The days from `start` up to, and without, `end`; empty if both are the same.
    ///
    /// # Errors
    /// [`DateError::Reversed`] if `end` lies before `start`.
    pub fn new(start: Date, end: Date) -> Result<Self, DateError> {
        if end < start { Err(DateError::Reversed { start, end }) } else { Ok(Self { start, end }) }
    }

    /// The `days` days from `start` on; none if `days` is negative.
    #[must_use]
    pub fn of_days(start: Date, days: i64) -> Self {
        Self { start, end: start.plus_days(days.max(0)) }
    }

    /// First day.
    #[must_use]
    pub fn start(self) -> Date {
        self.start
    }

    /// First day after the range.
    #[must_use]
    pub fn end(self) -> Date {
        self.end
    }

    /// Number of days.
    #[must_use]
    pub fn days(self) -> i64 {
        self.start.days_until(self.end)
    }

    /// Whether there is no day in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Whether the day lies in it.
    #[must_use]
    pub fn contains(self, day: Date) -> bool {
        self.start <= day && day < self.end
    }

    /// The days in both; `None` if there is none.
    #[must_use]
    pub fn intersect(self, other: Self) -> Option<Self> {
        let (start, end) = (self.start.max(other.start), self.end.min(other.end));
        (start < end).then_some(Self { start, end })
    }

    /// Whether some day lies in both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.intersect(other).is_some()
    }

    /// The days in order.
    pub fn iter(self) -> impl Iterator<Item = Date> {
        (0..self.days()).map(move |offset| self.start.plus_days(offset))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRange {
    start: Date,
    end: Date,
}

impl TryFrom<RawRange> for DateRange {
    type Error = DateError;
    fn try_from(raw: RawRange) -> Result<Self, DateError> {
        Self::new(raw.start, raw.end)
    }
}

impl From<DateRange> for RawRange {
    fn from(range: DateRange) -> Self {
        Self { start: range.start, end: range.end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_that_is_not_in_the_calendar_is_refused() {
        assert!(Date::new(2025, 2, 29).is_err());
        assert!(Date::new(0, 1, 1).is_err());
        for text in ["2025-02-29", "2025-2-3", "20250203", "2025-02-03T00:00", "", "-025-02-03"] {
            assert!(text.parse::<Date>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn months_end_where_the_month_ends() {
        assert_eq!(day("2024-01-31").plus_months(1), day("2024-02-29"));
        assert_eq!(day("2025-01-31").plus_months(1), day("2025-02-28"));
        assert_eq!(day("2024-02-29").plus_months(12), day("2025-02-28"));
        assert_eq!(day("2024-12-15").first_of_next_month(), day("2025-01-01"));
    }

    #[test]
    fn a_term_counts_365_or_366_days() {
        let days = |start: &str, end: &str| DateRange::new(day(start), day(end)).unwrap().days();
        assert_eq!(days("2025-03-01", "2026-03-01"), 365);
        assert_eq!(days("2023-03-01", "2024-03-01"), 366);
    }

    #[test]
    fn who_is_born_on_29_february_ages_on_1_march_of_an_ordinary_year() {
        let born = day("2004-02-29");
        assert_eq!(born.age_on(day("2025-02-28")), 20);
        assert_eq!(born.age_on(day("2025-03-01")), 21);
        assert_eq!(born.age_on(day("2024-02-29")), 20);
        assert_eq!(born.age_on(day("2003-01-01")), 0);
    }

    #[test]
    fn the_ends_of_the_calendar_hold() {
        assert_eq!(Date::MAX.plus_days(1), Date::MAX);
        assert_eq!(Date::MIN.plus_months(-1), Date::MIN);
        assert_eq!(Date::MAX.first_of_next_month(), Date::MAX);
    }

    fn any_day() -> impl Strategy<Value = Date> {
        (0i64..80_000).prop_map(|offset| day("1900-01-01").plus_days(offset))
    }

    proptest! {
        #[test]
        fn text_and_day_are_one_to_one_and_sort_alike(left in any_day(), right in any_day()) {
            prop_assert_eq!(left.to_string().parse::<Date>(), Ok(left));
            prop_assert_eq!(left.cmp(&right), left.to_string().cmp(&right.to_string()));
        }

        #[test]
        fn days_there_and_back_are_the_same(start in any_day(), days in -40_000i64..40_000) {
            let end = start.plus_days(days);
            prop_assert_eq!(start.days_until(end), days);
            prop_assert_eq!(end.plus_days(-days), start);
        }

        #[test]
        fn a_day_lies_in_exactly_one_of_two_touching_ranges(start in any_day(), first in 0i64..400, second in 0i64..400, probe in -10i64..900) {
            let left = DateRange::of_days(start, first);
            let right = DateRange::of_days(left.end(), second);
            let both = DateRange::new(start, right.end()).unwrap();
            let probe = start.plus_days(probe);
            prop_assert!(!(left.contains(probe) && right.contains(probe)));
            prop_assert_eq!(left.contains(probe) || right.contains(probe), both.contains(probe));
            prop_assert_eq!(left.days() + right.days(), both.days());
            prop_assert!(!left.overlaps(right));
        }

        #[test]
        fn the_intersection_holds_the_days_of_both(a in any_day(), n in 0i64..300, shift in -300i64..300, m in 0i64..300) {
            let (left, right) = (DateRange::of_days(a, n), DateRange::of_days(a.plus_days(shift), m));
            let model = left.iter().filter(|d| right.contains(*d)).count();
            prop_assert_eq!(left.intersect(right).map_or(0, |r| r.days()), i64::try_from(model).unwrap());
        }
    }
}
