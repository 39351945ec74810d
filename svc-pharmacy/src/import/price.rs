//! A price as files write it. Whole minor units come out, or nothing; it rounds nothing.

use caremesh_kernel::{Currency, Money};

/// `1,234.5` rupees are 123450 paise. None for what is no amount of the currency, or has more digits than it.
pub(super) fn price(text: &str, currency: Currency) -> Option<Money> {
    let plain: String = text.chars().filter(|c| !matches!(c, ',' | ' ' | '₹' | '₦')).collect();
    let plain = plain.trim_start_matches("Rs.").trim_start_matches("MRP");
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    let digits = usize::from(currency.minor_digits());
    let fraction = fraction.trim_end_matches('0');
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || fraction.len() > digits {
        return None;
    }
    let minor = format!("{whole}{fraction:0<digits$}").parse().ok()?;
    Some(Money::new(currency, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_or_nothing() {
        let minor = |text| price(text, Currency::INR).map(|money| money.minor);
        assert_eq!(minor("223.42"), Some(22_342));
        assert_eq!(minor("₹1,234.5"), Some(123_450));
        assert_eq!(minor("7"), Some(700));
        assert_eq!(minor("7.10000"), Some(710));
        for text in ["", "-1", "1.234", "free", "1e3", "٣"] {
            assert_eq!(minor(text), None, "{text}");
        }
    }
}
