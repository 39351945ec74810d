//! How many units a pack holds, read from what its maker prints on it, so that a part of a pack has a price. A unit that the
//! pack does not speak of is refused, never guessed (hard case: prescribed in tablets, sold in strips).

/// The unit of whole packs.
pub const WHOLE: &str = "{pack}";

/// Words of a pack's text for a UCUM unit.
const WORDS: [(&str, &[&str]); 5] = [
    ("{tablet}", &["tablet", "tab", "'s"]),
    ("{capsule}", &["capsule", "cap", "'s"]),
    ("{sachet}", &["sachet"]),
    ("mL", &["ml"]),
    ("g", &["gm", "gram", "g"]),
];

/// Units of `unit` in a pack; none when the pack does not say.
#[must_use]
pub fn units_in(pack: &str, unit: &str) -> Option<i64> {
    if unit == WHOLE {
        return Some(1);
    }
    let words = WORDS.iter().find(|(code, _)| *code == unit)?.1;
    let lower = pack.to_lowercase();
    let mut rest = lower.as_str();
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (digits, after) = split_digits(&rest[start..]);
        if words.iter().any(|word| after.trim_start().starts_with(word)) {
            return digits.parse().ok().filter(|units| *units > 0);
        }
        rest = after;
    }
    None
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_says_how_many_units_it_holds_and_a_unit_it_does_not_speak_of_is_none() {
        let cases = [
            ("strip of 10 tablets", "{tablet}", Some(10)),
            ("10's", "{tablet}", Some(10)),
            ("bottle of 100 ml Syrup", "mL", Some(100)),
            ("strip of 10 tablets", "mL", None),
            ("bottle of 100 ml Syrup", "{tablet}", None),
            ("", "{tablet}", None),
            ("anything", WHOLE, Some(1)),
            ("box of 0 tablets", "{tablet}", None),
        ];
        for (pack, unit, units) in cases {
            assert_eq!(units_in(pack, unit), units, "{pack} {unit}");
        }
    }
}
