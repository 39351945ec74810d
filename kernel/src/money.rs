//! Money as whole minor units of an ISO 4217 currency; arithmetic refuses overflow and mixed currencies.
//!
//! Knows no exchange rate and no formatting for people: both belong to front ends and payment adapters.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why an amount or a currency was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not a code of a currency in use.
    #[error("{0:?} is not an ISO 4217 currency code in use")]
    UnknownCurrency(String),
    /// Two amounts of different currencies met.
    #[error("{left} and {right} cannot be combined")]
    MixedCurrencies {
        /// Currency of the left operand.
        left: Currency,
        /// Currency of the right operand.
        right: Currency,
    },
    /// The result does not fit 64 bits.
    #[error("the amount does not fit 64 bits")]
    Overflow,
}

/// Codes in use with two minor digits.
const TWO_DIGITS: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF \
CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS \
INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD \
NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP \
SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW ZWG";
/// Codes in use without minor units.
const NO_DIGITS: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF";
/// Codes in use with three minor digits.
const THREE_DIGITS: &str = "BHD IQD JOD KWD LYD OMR TND";

/// An ISO 4217 currency in use, with its number of minor digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency {
    code: [u8; 3],
    digits: u8,
}

impl Currency {
    /// Nigerian naira; 100 kobo.
    pub const NGN: Self = Self { code: *b"NGN", digits: 2 };
    /// Indian rupee; 100 paise.
    pub const INR: Self = Self { code: *b"INR", digits: 2 };

    /// The three-letter code.
    #[must_use]
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.code).unwrap_or_default()
    }

    /// Digits of the minor unit: 2 for NGN (kobo), 0 for JPY, 3 for KWD.
    #[must_use]
    pub fn minor_digits(self) -> u8 {
        self.digits
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let known = |list: &str| list.split_ascii_whitespace().any(|code| code == text);
        let digits = match () {
            () if known(TWO_DIGITS) => 2,
            () if known(NO_DIGITS) => 0,
            () if known(THREE_DIGITS) => 3,
            () => return Err(MoneyError::UnknownCurrency(text.chars().take(8).collect())),
        };
        let code = text.as_bytes().try_into().map_err(|_| MoneyError::UnknownCurrency(text.to_owned()))?;
        Ok(Self { code, digits })
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;
    fn try_from(text: String) -> Result<Self, MoneyError> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An exact amount in minor units of one currency. May be negative: a refund, a correction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Currency of the amount.
    pub currency: Currency,
    /// Whole minor units (kobo, paise).
    pub minor: i64,
}

impl Money {
    /// `minor` units of `currency`.
    #[must_use]
    pub const fn new(currency: Currency, minor: i64) -> Self {
        Self { currency, minor }
    }

    /// Nothing, in that currency.
    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        Self { currency, minor: 0 }
    }

    /// Sum of two amounts.
    ///
    /// # Errors
    /// [`MoneyError::MixedCurrencies`] or [`MoneyError::Overflow`].
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.combine(other, i64::checked_add)
    }

    /// Difference of two amounts.
    ///
    /// # Errors
    /// [`MoneyError::MixedCurrencies`] or [`MoneyError::Overflow`].
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.combine(other, i64::checked_sub)
    }

    fn combine(self, other: Self, op: fn(i64, i64) -> Option<i64>) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::MixedCurrencies { left: self.currency, right: other.currency });
        }
        let minor = op(self.minor, other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self { currency: self.currency, minor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_currency_knows_its_minor_digits() {
        let digits = |code: &str| code.parse::<Currency>().unwrap().minor_digits();
        assert_eq!([digits("NGN"), digits("INR"), digits("JPY"), digits("KWD")], [2, 2, 0, 3]);
        assert_eq!("NGN".parse(), Ok(Currency::NGN));
        assert_eq!("INR".parse(), Ok(Currency::INR));
    }

    #[test]
    fn an_unknown_or_badly_written_code_is_refused() {
        for text in ["ngn", "NG", "NGNN", "XXX", "", "NGN INR"] {
            assert!(matches!(text.parse::<Currency>(), Err(MoneyError::UnknownCurrency(_))), "{text:?}");
        }
    }

    #[test]
    fn mixed_currencies_and_overflow_are_refused() {
        let naira = Money::new(Currency::NGN, i64::MAX);
        assert_eq!(naira.checked_add(Money::new(Currency::NGN, 1)), Err(MoneyError::Overflow));
        assert!(matches!(
            naira.checked_sub(Money::zero(Currency::INR)),
            Err(MoneyError::MixedCurrencies { .. })
        ));
        let kept = naira.checked_sub(Money::new(Currency::NGN, 1)).unwrap();
        assert_eq!(kept.minor, i64::MAX - 1);
    }
}
