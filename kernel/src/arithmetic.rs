//! Exact integer arithmetic: half-up rounding, rates in basis points, exact fractions, fair splitting.
//!
//! Source: rules R0 and R1 of the benefit engine. Knows no currency and no plan; a caller decides which
//! share is rounded and which is the remainder.

use serde::{Deserialize, Serialize};

/// `floor(value × num ÷ den + 1/2)`, computed exactly, rounded once.
///
/// A half goes towards plus infinity: 0.5 becomes 1 and −0.5 becomes 0.
///
/// # Panics
/// If `den` is not positive or the result does not fit an `i64`. A share (`0 ≤ num ≤ den`) always fits;
/// where the factor comes from outside, use [`checked_half_up`].
#[must_use]
pub fn half_up(value: i64, num: i64, den: i64) -> i64 {
    match checked_half_up(value, num, den) {
        Some(rounded) => rounded,
        None => panic!("{value} × {num} ÷ {den} has no 64-bit result"),
    }
}

/// [`half_up`], with `None` for a denominator that is not positive or a result beyond 64 bits.
#[must_use]
pub fn checked_half_up(value: i64, num: i64, den: i64) -> Option<i64> {
    if den <= 0 {
        return None;
    }
    let product = i128::from(value) * i128::from(num);
    let den = i128::from(den);
    // The remainder decides, so that nothing is doubled beyond 128 bits.
    let up = i128::from(2 * product.rem_euclid(den) >= den);
    i64::try_from(product.div_euclid(den) + up).ok()
}

/// Splits `total` in proportion to `weights` so that the parts sum to it exactly.
///
/// Each part is the exact share rounded down; the units that are left go to the largest remainders,
/// ties to the lower index. A negative total is split like its opposite. Weights that are all 0 count
/// as equal; no weights give no parts.
///
/// # Panics
/// If a weight is negative.
#[must_use]
pub fn split_largest_remainder(total: i64, weights: &[i64]) -> Vec<i64> {
    assert!(weights.iter().all(|w| *w >= 0), "a weight is negative");
    let sum: i128 = weights.iter().copied().map(i128::from).sum();
    if sum == 0 {
        let equal = vec![1; weights.len()];
        return if weights.is_empty() { Vec::new() } else { split_largest_remainder(total, &equal) };
    }
    let magnitude = i128::from(total).abs();
    let exact = |w: i64| magnitude * i128::from(w);
    let mut parts: Vec<i128> = weights.iter().map(|w| exact(*w) / sum).collect();
    let left = magnitude - parts.iter().sum::<i128>();
    for index in by_remainder(weights, exact, sum).into_iter().take(usize::try_from(left).unwrap_or(0)) {
        parts[index] += 1;
    }
    let sign = i128::from(total.signum());
    parts.into_iter().map(|p| i64::try_from(sign * p).unwrap_or_default()).collect()
}

/// Indices by falling remainder; the sort is stable, which gives ties to the lower index.
fn by_remainder(weights: &[i64], exact: impl Fn(i64) -> i128, sum: i128) -> Vec<usize> {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(exact(weights[*index]) % sum));
    order
}

/// Why a rate or a fraction was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Basis points go from 0 to 10,000.
    #[error("{0} basis points is more than 10000")]
    BpsOutOfRange(u32),
    /// A fraction needs a positive denominator and a numerator that is not negative.
    #[error("{num}/{den} is not a fraction: the denominator must be positive, the numerator not negative")]
    Fraction {
        /// Numerator as given.
        num: i64,
        /// Denominator as given.
        den: i64,
    },
}

/// A share in basis points: 0 (nothing) to 10,000 (all).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Bps(u16);

impl Bps {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// All of it.
    pub const FULL: Self = Self(10_000);

    /// A share of `bps` ten-thousandths.
    ///
    /// # Errors
    /// [`RateError::BpsOutOfRange`] above 10,000.
    pub fn new(bps: u32) -> Result<Self, RateError> {
        match u16::try_from(bps) {
            Ok(fits) if fits <= Self::FULL.0 => Ok(Self(fits)),
            _ => Err(RateError::BpsOutOfRange(bps)),
        }
    }

    /// Ten-thousandths, 0 to 10,000.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }

    /// This share of an amount in minor units, half-up.
    #[must_use]
    pub fn of(self, amount_minor: i64) -> i64 {
        half_up(amount_minor, i64::from(self.0), 10_000)
    }

    /// What is left of the whole.
    #[must_use]
    pub fn complement(self) -> Self {
        Self(Self::FULL.0 - self.0)
    }
}

impl TryFrom<u32> for Bps {
    type Error = RateError;
    fn try_from(bps: u32) -> Result<Self, RateError> {
        Self::new(bps)
    }
}

impl From<Bps> for u32 {
    fn from(bps: Bps) -> Self {
        Self::from(bps.0)
    }
}

/// An exact factor `num/den`, never a rounded decimal. `den` is positive, `num` not negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawFraction", into = "RawFraction")]
pub struct Fraction {
    num: i64,
    den: i64,
}

impl Fraction {
    /// The factor 1.
    pub const ONE: Self = Self { num: 1, den: 1 };

    /// `num/den`.
    ///
    /// # Errors
    /// [`RateError::Fraction`] if `den` is not positive or `num` is negative.
    pub fn new(num: i64, den: i64) -> Result<Self, RateError> {
        if den <= 0 || num < 0 { Err(RateError::Fraction { num, den }) } else { Ok(Self { num, den }) }
    }

    /// `num/den`, but never more than 1: what is eligible over what was charged. A charge of nothing keeps all.
    #[must_use]
    pub fn kept(eligible: i64, charged: i64) -> Self {
        if charged <= eligible.max(0) { Self::ONE } else { Self { num: eligible.max(0), den: charged } }
    }

    /// Numerator.
    #[must_use]
    pub fn num(self) -> i64 {
        self.num
    }

    /// Denominator, positive.
    #[must_use]
    pub fn den(self) -> i64 {
        self.den
    }

    /// Whether the factor is exactly 1, however it is written.
    #[must_use]
    pub fn is_one(self) -> bool {
        self.num == self.den
    }

    /// The product of two factors, in lowest terms, so that several factors on one amount round once; `None` where it
    /// does not fit 64 bits.
    #[must_use]
    pub fn times(self, other: Self) -> Option<Self> {
        let num = i128::from(self.num) * i128::from(other.num);
        let den = i128::from(self.den) * i128::from(other.den);
        let common = greatest_common_divisor(num, den);
        let (num, den) = (i64::try_from(num / common).ok()?, i64::try_from(den / common).ok()?);
        Some(Self { num, den })
    }

    /// The amount times this factor, rounded once, half-up.
    ///
    /// # Panics
    /// If the result does not fit an `i64`; a factor of at most 1 always fits.
    #[must_use]
    pub fn of(self, amount_minor: i64) -> i64 {
        half_up(amount_minor, self.num, self.den)
    }
}

/// Euclid's; `right` is positive, so the result is.
fn greatest_common_divisor(left: i128, right: i128) -> i128 {
    if left == 0 { right } else { greatest_common_divisor(right % left, left) }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFraction {
    num: i64,
    den: i64,
}

impl TryFrom<RawFraction> for Fraction {
    type Error = RateError;
    fn try_from(raw: RawFraction) -> Result<Self, RateError> {
        Self::new(raw.num, raw.den)
    }
}

impl From<Fraction> for RawFraction {
    fn from(fraction: Fraction) -> Self {
        Self { num: fraction.num, den: fraction.den }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_half_goes_up_on_both_sides_of_zero() {
        assert_eq!(half_up(1, 1, 2), 1);
        assert_eq!(half_up(-1, 1, 2), 0);
        assert_eq!(half_up(-3, 1, 2), -1);
        assert_eq!(half_up(10_001, 1, 3), 3_334);
    }

    #[test]
    fn a_result_beyond_64_bits_is_refused() {
        assert_eq!(checked_half_up(i64::MAX, 2, 1), None);
        assert_eq!(checked_half_up(i64::MIN, i64::MIN, 1), None);
        assert_eq!(checked_half_up(1, 1, 0), None);
    }

    #[test]
    fn ties_go_to_the_lower_index() {
        assert_eq!(split_largest_remainder(10, &[1, 1, 1]), vec![4, 3, 3]);
        assert_eq!(split_largest_remainder(-10, &[1, 1, 1]), vec![-4, -3, -3]);
        assert_eq!(split_largest_remainder(5, &[0, 0]), vec![3, 2]);
        assert_eq!(split_largest_remainder(0, &[]), Vec::<i64>::new());
    }

    #[test]
    fn more_than_the_whole_is_no_share() {
        assert_eq!(Bps::new(10_001), Err(RateError::BpsOutOfRange(10_001)));
        assert_eq!(Bps::new(2_500).unwrap().of(10_002), 2_501);
    }

    #[test]
    fn factors_multiply_exactly_or_not_at_all() {
        let of = |num, den| Fraction::new(num, den).unwrap();
        assert_eq!(of(9_000, 10_000).times(of(181, 365)), Some(of(1_629, 3_650)));
        assert_eq!(of(0, 7).times(of(3, 5)), Some(of(0, 1)));
        assert_eq!(of(i64::MAX, 1).times(of(i64::MAX, 1)), None);
    }

    /// An independent model of half-up: the only integer r with r − 1/2 ≤ x < r + 1/2, checked by inequality.
    fn is_half_up_of(rounded: i64, value: i64, num: i64, den: i64) -> bool {
        let twice = 2 * i128::from(value) * i128::from(num);
        let (den, rounded) = (i128::from(den), i128::from(rounded));
        (2 * rounded - 1) * den <= twice && twice < (2 * rounded + 1) * den
    }

    proptest! {
        #[test]
        fn half_up_is_the_nearest_integer(value in -1_000_000_000_000_000i64..1_000_000_000_000_000,
                                          num in 0i64..1_000_000, den in 1i64..1_000_000) {
            if let Some(rounded) = checked_half_up(value, num, den) {
                prop_assert!(is_half_up_of(rounded, value, num, den));
            }
        }

        #[test]
        fn split_parts_sum_to_the_total_and_miss_their_share_by_less_than_one(
            total in -1_000_000_000_000i64..1_000_000_000_000,
            weights in prop::collection::vec(0i64..1_000_000_000, 1..40),
        ) {
            let parts = split_largest_remainder(total, &weights);
            prop_assert_eq!(parts.iter().sum::<i64>(), total);
            let sum: i128 = weights.iter().map(|w| i128::from(*w)).sum();
            prop_assume!(sum > 0);
            for (part, weight) in parts.iter().zip(&weights) {
                let miss = i128::from(*part) * sum - i128::from(total) * i128::from(*weight);
                prop_assert!(miss.abs() < sum);
            }
        }

        #[test]
        fn a_part_of_a_smaller_total_never_exceeds_its_weight(weights in prop::collection::vec(0i64..1_000_000, 1..20),
                                                              bps in 0i64..=10_000) {
            let total = weights.iter().sum::<i64>() * bps / 10_000;
            let sum: i64 = weights.iter().sum();
            prop_assume!(sum > 0);
            let parts = split_largest_remainder(total, &weights);
            prop_assert!(parts.iter().zip(&weights).all(|(p, w)| p <= w));
        }

        #[test]
        fn a_share_is_never_more_than_the_whole(amount in 0i64..i64::MAX, bps in 0u32..=10_000) {
            let share = Bps::new(bps).unwrap().of(amount);
            prop_assert!((0..=amount).contains(&share));
        }
    }
}
