//! `grpc-timeout` as the gRPC protocol writes it: one to eight digits and a unit. Knows nothing of calls.

use std::time::Duration;

/// The header is not one to eight digits followed by one of `H M S m u n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("grpc-timeout is one to eight digits and a unit of H, M, S, m, u, n")]
pub struct Malformed;

/// Units with their length in nanoseconds, finest first.
const UNITS: [(u8, u128); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60_000_000_000),
    (b'H', 3_600_000_000_000),
];
const MOST: u128 = 99_999_999;

/// Reads a header value.
///
/// # Errors
/// [`Malformed`] for anything but the form of the protocol; a sign, a space or a ninth digit included.
pub fn parse(value: &[u8]) -> Result<Duration, Malformed> {
    let (unit, digits) = value.split_last().ok_or(Malformed)?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed);
    }
    let count = digits.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    match unit {
        b'n' => Ok(Duration::from_nanos(count)),
        b'u' => Ok(Duration::from_micros(count)),
        b'm' => Ok(Duration::from_millis(count)),
        b'S' => Ok(Duration::from_secs(count)),
        b'M' => Ok(Duration::from_secs(count * 60)),
        b'H' => Ok(Duration::from_secs(count * 3_600)),
        _ => Err(Malformed),
    }
}

/// Writes a span in the finest unit that fits eight digits, rounded down: the next hop never gets more
/// than is left. Spans beyond 99 999 999 hours are written as that.
#[must_use]
pub fn render(span: Duration) -> String {
    let nanos = span.as_nanos();
    let fitting = UNITS.iter().find(|(_, length)| nanos / length <= MOST);
    match fitting {
        Some((unit, length)) => format!("{}{}", nanos / length, char::from(*unit)),
        None => format!("{MOST}H"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_unit_is_read() {
        for (text, nanos) in [
            ("1n", 1_u128),
            ("2u", 2_000),
            ("3m", 3_000_000),
            ("4S", 4_000_000_000),
            ("5M", 300_000_000_000),
            ("6H", 21_600_000_000_000),
            ("00000000n", 0),
            ("99999999H", 99_999_999 * 3_600_000_000_000),
        ] {
            assert_eq!(parse(text.as_bytes()).map(|d| d.as_nanos()), Ok(nanos), "{text}");
        }
    }

    #[test]
    fn anything_else_is_malformed() {
        for text in ["", "S", "5", "123456789S", "-1S", "+1S", "1 S", "1s", "1.5S", "١S", "5SS", " 5S"] {
            assert_eq!(parse(text.as_bytes()), Err(Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_within_its_unit(nanos in any::<u64>()) {
            let span = Duration::from_nanos(nanos);
            let text = render(span);
            prop_assert!(text.len() <= 9);
            let back = parse(text.as_bytes()).expect("own output");
            prop_assert!(back <= span, "the next hop must not get more");
            // Eight digits lose at most one unit; the unit above is at most 3600 times as long.
            prop_assert!(span - back < span / 10_000 + Duration::from_nanos(1));
        }

        #[test]
        fn seven_and_eight_digit_counts_survive_unchanged(count in 0_u64..100_000_000, unit in 0_usize..6) {
            let text = format!("{count}{}", char::from(UNITS[unit].0));
            let span = parse(text.as_bytes()).expect("well formed");
            prop_assert_eq!(parse(render(span).as_bytes()).expect("own output"), span);
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..16)) {
            let _ = parse(&bytes);
        }
    }
}
