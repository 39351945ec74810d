//! Shared wire types to kernel types and back, in one place: dates, ranges, money, ids, instants. Each
//! refusal names the field and the rule, and repeats nothing that was sent. It must not know any message.

use caremesh_kernel::{Date, DateRange, Id, Kind, Money, Timestamp};
use caremesh_proto::r#type::v1 as types;
use tonic::Status;
use uuid::Uuid;

use crate::reason::CommonReason;
use crate::refusal::Refusal;

/// A field that means nothing. Turns into `FIELD_INVALID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field in its request, `members[2].birth_date`.
    pub path: String,
    /// Id of the rule, `date.real_day`.
    pub rule: &'static str,
    /// The rule as a sentence.
    pub description: &'static str,
}

impl Violation {
    /// The field at `path` breaks `rule`, which says `description`.
    #[must_use]
    pub fn new(path: impl Into<String>, rule: &'static str, description: &'static str) -> Self {
        Self { path: path.into(), rule, description }
    }

    /// Adds this violation to a refusal that may name others.
    #[must_use]
    pub fn join(self, refusal: Refusal) -> Refusal {
        refusal.field_explained(self.path, self.rule, self.description)
    }
}

impl From<Violation> for Refusal {
    fn from(violation: Violation) -> Self {
        violation.join(Self::new(CommonReason::FieldInvalid))
    }
}

impl From<Violation> for Status {
    fn from(violation: Violation) -> Self {
        Refusal::from(violation).into()
    }
}

/// A field that must be there.
///
/// # Errors
/// `required` when it is not.
pub fn required<T>(path: &str, value: Option<T>) -> Result<T, Violation> {
    value.ok_or_else(|| Violation::new(path, "required", "must be set"))
}

/// A day that must be there.
///
/// # Errors
/// `required`, or `date.real_day` for a 30 February.
pub fn date(path: &str, value: Option<types::Date>) -> Result<Date, Violation> {
    let value = required(path, value)?;
    let (month, day) = (u32::try_from(value.month).ok(), u32::try_from(value.day).ok());
    month.zip(day).and_then(|(month, day)| Date::new(value.year, month, day).ok()).ok_or_else(|| {
        Violation::new(path, "date.real_day", "must be a day of the calendar, years 1 to 9999")
    })
}

/// A day that may be absent.
///
/// # Errors
/// `date.real_day` for a day that is there and is none.
pub fn optional_date(path: &str, value: Option<types::Date>) -> Result<Option<Date>, Violation> {
    value.map(|value| date(path, Some(value))).transpose()
}

/// A range that must be there; without an end it is open ([`Date::MAX`]).
///
/// # Errors
/// As [`date`] for either end; `date_range.order` when the end is not after the start.
pub fn date_range(path: &str, value: Option<types::DateRange>) -> Result<DateRange, Violation> {
    let value = required(path, value)?;
    let start = date(&format!("{path}.start"), value.start)?;
    let end = optional_date(&format!("{path}.end"), value.end)?.unwrap_or(Date::MAX);
    let range = DateRange::new(start, end).ok().filter(|range| !range.is_empty());
    range.ok_or_else(|| Violation::new(path, "date_range.order", "must end after its start"))
}

/// An amount that must be there.
///
/// # Errors
/// `required`, or `money.currency` for a code that is no currency in use.
pub fn money(path: &str, value: Option<types::Money>) -> Result<Money, Violation> {
    let value = required(path, value)?;
    let currency = value.currency_code.parse().map_err(|_| {
        let path = format!("{path}.currency_code");
        Violation::new(path, "money.currency", "must be an ISO 4217 currency code in use")
    })?;
    Ok(Money::new(currency, value.minor_units))
}

/// An amount that may be absent. Zero is an amount; absent is not.
///
/// # Errors
/// `money.currency`.
pub fn optional_money(path: &str, value: Option<types::Money>) -> Result<Option<Money>, Violation> {
    value.map(|value| money(path, Some(value))).transpose()
}

/// An id that must be there, of the kind that the target type says.
///
/// # Errors
/// `id.form` for another prefix or a malformed id.
pub fn id<K: Kind>(path: &str, value: &str) -> Result<Id<K>, Violation> {
    value.parse().map_err(|_| Violation::new(path, "id.form", "must be an id of the right kind"))
}

/// An id that may be absent (empty).
///
/// # Errors
/// `id.form`.
pub fn optional_id<K: Kind>(path: &str, value: &str) -> Result<Option<Id<K>>, Violation> {
    if value.is_empty() { Ok(None) } else { id(path, value).map(Some) }
}

/// An instant that must be there, cut to whole microseconds.
///
/// # Errors
/// `required`, or `timestamp.range` for nanoseconds out of range or an instant beyond 64 bits.
pub fn timestamp(path: &str, value: Option<prost_types::Timestamp>) -> Result<Timestamp, Violation> {
    let value = required(path, value)?;
    let micros = (0..1_000_000_000)
        .contains(&value.nanos)
        .then(|| value.seconds.checked_mul(1_000_000)?.checked_add(i64::from(value.nanos / 1_000)))
        .flatten();
    micros
        .map(Timestamp::from_micros)
        .ok_or_else(|| Violation::new(path, "timestamp.range", "must be an instant within the range"))
}

/// An instant that may be absent.
///
/// # Errors
/// `timestamp.range`.
pub fn optional_timestamp(
    path: &str,
    value: Option<prost_types::Timestamp>,
) -> Result<Option<Timestamp>, Violation> {
    value.map(|value| timestamp(path, Some(value))).transpose()
}

/// A UUID, as every `request_id` is.
///
/// # Errors
/// `string.uuid`.
pub fn uuid(path: &str, value: &str) -> Result<Uuid, Violation> {
    value.parse().map_err(|_| Violation::new(path, "string.uuid", "must be a UUID"))
}

/// A kernel value as the contract writes it.
pub trait ToWire {
    /// Its wire type.
    type Wire;

    /// Converts; never fails, because every kernel value has a wire form.
    fn to_wire(&self) -> Self::Wire;
}

impl ToWire for Date {
    type Wire = types::Date;

    fn to_wire(&self) -> types::Date {
        // Months and days of a real date fit any integer.
        let narrow = |part: u32| i32::try_from(part).unwrap_or_default();
        types::Date { year: self.year(), month: narrow(self.month()), day: narrow(self.day()) }
    }
}

impl ToWire for DateRange {
    type Wire = types::DateRange;

    fn to_wire(&self) -> types::DateRange {
        let end = (self.end() != Date::MAX).then(|| self.end().to_wire());
        types::DateRange { start: Some(self.start().to_wire()), end }
    }
}

impl ToWire for Money {
    type Wire = types::Money;

    fn to_wire(&self) -> types::Money {
        types::Money { currency_code: self.currency.code().to_owned(), minor_units: self.minor }
    }
}

impl ToWire for Timestamp {
    type Wire = prost_types::Timestamp;

    fn to_wire(&self) -> prost_types::Timestamp {
        let micros = self.as_micros();
        let rest = i32::try_from(micros.rem_euclid(1_000_000)).unwrap_or_default();
        prost_types::Timestamp { seconds: micros.div_euclid(1_000_000), nanos: rest * 1_000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caremesh_kernel::{Currency, Policy, PolicyId};
    use proptest::prelude::*;

    fn day(year: i32, month: i32, day: i32) -> Option<types::Date> {
        Some(types::Date { year, month, day })
    }

    fn rule<T: std::fmt::Debug>(result: Result<T, Violation>) -> (String, &'static str) {
        let violation = result.expect_err("refused");
        (violation.path, violation.rule)
    }

    #[test]
    fn a_day_that_is_none_is_refused_by_field_and_rule() {
        assert!(date("d", day(2028, 2, 29)).is_ok());
        for none in [day(2026, 2, 29), day(2026, 13, 1), day(2026, 1, -1), day(0, 1, 1), day(10_000, 1, 1)] {
            assert_eq!(
                rule(date("members[1].birth_date", none)),
                ("members[1].birth_date".into(), "date.real_day")
            );
        }
        assert_eq!(rule(date("d", None)), ("d".into(), "required"));
        assert_eq!(optional_date("d", None), Ok(None));
    }

    #[test]
    fn a_range_ends_after_its_start_or_not_at_all() {
        let range = |start, end| date_range("cover", Some(types::DateRange { start, end }));
        assert!(range(day(2026, 1, 1), day(2026, 1, 2)).is_ok());
        assert_eq!(range(day(2026, 1, 1), None).map(DateRange::end), Ok(Date::MAX));
        assert_eq!(rule(range(day(2026, 1, 1), day(2026, 1, 1))), ("cover".into(), "date_range.order"));
        assert_eq!(rule(range(day(2026, 1, 2), day(2026, 1, 1))), ("cover".into(), "date_range.order"));
        assert_eq!(rule(range(day(2026, 1, 1), day(2026, 2, 30))), ("cover.end".into(), "date.real_day"));
        assert_eq!(rule(range(None, None)), ("cover.start".into(), "required"));
    }

    #[test]
    fn an_amount_needs_a_currency_in_use() {
        let amount =
            |code: &str| money("price", Some(types::Money { currency_code: code.into(), minor_units: 0 }));
        assert_eq!(amount("INR"), Ok(Money::zero(Currency::INR)));
        assert_eq!(rule(amount("ZZZ")), ("price.currency_code".into(), "money.currency"));
        assert_eq!(optional_money("price", None), Ok(None));
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let policy = PolicyId::from_uuid(Uuid::from_u128(9));
        assert_eq!(id::<Policy>("policy_id", &policy.to_string()), Ok(policy));
        let plan = policy.to_string().replace("pol_", "pln_");
        assert_eq!(rule(id::<Policy>("policy_id", &plan)), ("policy_id".into(), "id.form"));
        assert_eq!(optional_id::<Policy>("policy_id", ""), Ok(None));
        assert_eq!(rule(uuid("request_id", "1")), ("request_id".into(), "string.uuid"));
    }

    #[test]
    fn an_instant_out_of_range_is_refused() {
        for (seconds, nanos) in [(0, -1), (0, 1_000_000_000), (i64::MAX, 0), (i64::MIN, 0)] {
            let instant = prost_types::Timestamp { seconds, nanos };
            assert_eq!(rule(timestamp("at", Some(instant))), ("at".into(), "timestamp.range"));
        }
    }

    proptest! {
        #[test]
        fn instants_survive_the_wire(micros in any::<i64>()) {
            let instant = Timestamp::from_micros(micros);
            prop_assert_eq!(timestamp("at", Some(instant.to_wire())), Ok(instant));
        }

        #[test]
        fn days_and_amounts_survive_the_wire(days in 0_i64..3_000_000, minor in any::<i64>()) {
            let day = Date::MIN.plus_days(days);
            prop_assert_eq!(date("d", Some(day.to_wire())), Ok(day));
            let amount = Money::new(Currency::NGN, minor);
            prop_assert_eq!(money("m", Some(amount.to_wire())), Ok(amount));
        }
    }
}
