//! Time zones by IANA name: the only way from an instant to a day and back.
//!
//! The tz database comes from the system or from the copy bundled with jiff. Knows no policy: which zone
//! counts is jurisdiction data.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Date, Timestamp};

/// The name is not in the tz database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time zone of the IANA database")]
pub struct ZoneError(String);

/// An IANA time zone. Cheap to clone; equal when the names are.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone {
    name: String,
    rules: jiff::tz::TimeZone,
}

impl Zone {
    /// Coordinated universal time.
    #[must_use]
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), rules: jiff::tz::TimeZone::UTC }
    }

    /// IANA name, as "Africa/Lagos".
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The day on which the instant falls here.
    #[must_use]
    pub fn day_of(&self, at: Timestamp) -> Date {
        Date::from_civil(self.rules.to_datetime(clamp(at)).date())
    }

    /// The first instant of the day here, also where a clock change skips midnight.
    #[must_use]
    pub fn start_of(&self, day: Date) -> Timestamp {
        let start = day.civil().to_zoned(self.rules.clone()).map(|zoned| zoned.timestamp());
        Timestamp::from_micros(start.map_or_else(|_| end_for(day), |at| at.as_microsecond()))
    }
}

/// An instant beyond jiff's years counts as the last one it knows.
fn clamp(at: Timestamp) -> jiff::Timestamp {
    let nearest = if at.as_micros() < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or(nearest)
}

fn end_for(day: Date) -> i64 {
    let nearest = if day.year() < 5_000 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    nearest.as_microsecond()
}

impl FromStr for Zone {
    type Err = ZoneError;

    fn from_str(name: &str) -> Result<Self, ZoneError> {
        let rules = jiff::tz::TimeZone::get(name).map_err(|_| ZoneError(name.chars().take(64).collect()))?;
        Ok(Self { name: name.to_owned(), rules })
    }
}

impl TryFrom<String> for Zone {
    type Error = ZoneError;
    fn try_from(name: String) -> Result<Self, ZoneError> {
        name.parse()
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
impl Eq for Zone {}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn instant(text: &str) -> Timestamp {
        Timestamp::from_micros(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
    }

    fn zone(name: &str) -> Zone {
        name.parse().unwrap()
    }

    #[test]
    fn the_zone_decides_which_day_it_is() {
        let at = instant("2026-11-21T23:30:00Z");
        assert_eq!(zone("UTC").day_of(at).to_string(), "2026-11-21");
        assert_eq!(zone("Africa/Lagos").day_of(at).to_string(), "2026-11-22");
        assert_eq!(zone("America/New_York").day_of(at).to_string(), "2026-11-21");
    }

    #[test]
    fn midnight_belongs_to_the_new_day() {
        let kolkata = zone("Asia/Kolkata");
        let midnight = instant("2026-11-20T18:30:00Z");
        assert_eq!(kolkata.start_of("2026-11-21".parse().unwrap()), midnight);
        assert_eq!(kolkata.day_of(midnight).to_string(), "2026-11-21");
        assert_eq!(kolkata.day_of(midnight.plus_ms(-1)).to_string(), "2026-11-20");
    }

    #[test]
    fn an_unknown_zone_is_refused() {
        assert!("Africa/Nowhere".parse::<Zone>().is_err());
    }

    proptest! {
        #[test]
        fn a_day_starts_on_itself(offset in 0i64..30_000, name in prop::sample::select(vec!["Africa/Lagos", "Asia/Kolkata", "America/Sao_Paulo", "UTC"])) {
            let day = Date::new(1990, 1, 1).unwrap().plus_days(offset);
            let start = zone(name).start_of(day);
            prop_assert_eq!(zone(name).day_of(start), day);
            prop_assert!(zone(name).day_of(Timestamp::from_micros(start.as_micros() - 1)) < day);
        }
    }
}
