//! Words, numbers and strengths of a text, written one way: what a product is found by and what a person types pass through
//! here alike. It knows units and dose forms, and nothing of products or queries.

use unicode_normalization::UnicodeNormalization as _;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Letters, perhaps with a digit or two that belong to the name (`b12`, `3k`).
    Word,
    /// Digits, perhaps with a fraction. Never matched fuzzily.
    Number,
    /// A number with its unit, `500mg`. Never matched fuzzily.
    Strength,
}

/// A token and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// Folded to lower case without accents; units and forms in their one spelling.
    pub(crate) text: String,
    /// What it is.
    pub(crate) kind: Kind,
    /// First character in the text, counted in scalar values.
    pub(crate) start: usize,
    /// Characters in the text.
    pub(crate) length: usize,
}

impl Token {
    /// The digits of a strength, `500` of `500mg`; a number itself.
    pub(crate) fn number(&self) -> Option<&str> {
        let end = self.text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(self.text.len());
        (self.kind != Kind::Word).then(|| &self.text[..end])
    }
}

/// Spellings of units, and the one that is kept.
const UNITS: &[(&str, &str)] = &[
    ("%", "%"),
    ("g", "g"),
    ("gm", "g"),
    ("gms", "g"),
    ("gram", "g"),
    ("grams", "g"),
    ("iu", "iu"),
    ("kg", "kg"),
    ("l", "l"),
    ("mcg", "mcg"),
    ("meq", "meq"),
    ("mg", "mg"),
    ("mgs", "mg"),
    ("ml", "ml"),
    ("mls", "ml"),
    ("mmol", "mmol"),
    ("ug", "mcg"),
    ("unit", "iu"),
    ("units", "iu"),
];

/// Spellings of dose forms, and the one that is kept.
const FORMS: &[(&str, &str)] = &[
    ("cap", "capsule"),
    ("caplets", "caplet"),
    ("caps", "capsule"),
    ("capsules", "capsule"),
    ("creams", "cream"),
    ("drop", "drops"),
    ("inh", "inhaler"),
    ("inj", "injection"),
    ("injections", "injection"),
    ("liq", "liquid"),
    ("oint", "ointment"),
    ("soln", "solution"),
    ("supp", "suppository"),
    ("susp", "suspension"),
    ("syp", "syrup"),
    ("syr", "syrup"),
    ("tab", "tablet"),
    ("tabs", "tablet"),
    ("tablets", "tablet"),
];

/// Words of forms that have one spelling only.
const PLAIN_FORMS: &[&str] = &[
    "capsule",
    "caplet",
    "cream",
    "drops",
    "gel",
    "infusion",
    "inhaler",
    "injection",
    "kit",
    "liquid",
    "lotion",
    "ointment",
    "oral",
    "powder",
    "solution",
    "spray",
    "suppository",
    "suspension",
    "syrup",
    "tablet",
    "eye",
    "ear",
    "nasal",
    "dry",
];

/// Whether a word tells a dose form and so no name.
pub(crate) fn is_form(word: &str) -> bool {
    PLAIN_FORMS.contains(&word)
}

/// The tokens of a text, in their order.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let letters = fold(text);
    let mut found = Vec::new();
    let mut at = 0;
    while at < letters.len() {
        let Some(token) = next(&letters, at) else {
            at += 1;
            continue;
        };
        at = token.1;
        found.push(token.0);
    }
    found
}

/// A folded character and the place of the one it came from.
type Letter = (char, usize);

fn fold(text: &str) -> Vec<Letter> {
    // Most texts are plain, and nothing has to be looked up for them.
    if text.is_ascii() {
        return text.bytes().map(|byte| char::from(byte.to_ascii_lowercase())).zip(0..).collect();
    }
    let plain = |c: char| !unicode_normalization::char::is_combining_mark(c);
    text.chars()
        .enumerate()
        .flat_map(|(place, c)| {
            std::iter::once(c)
                .nfkd()
                .filter(move |c| plain(*c))
                .flat_map(char::to_lowercase)
                .map(move |c| (c, place))
        })
        .map(|(c, place)| (if c == 'μ' { 'u' } else { c }, place))
        .collect()
}

/// The token that begins at `at`, and where the text goes on after it.
fn next(letters: &[Letter], at: usize) -> Option<(Token, usize)> {
    if letters[at].0.is_ascii_digit() {
        return Some(number(letters, at));
    }
    let end = run(letters, at, |c| c.is_alphabetic());
    if end == at {
        return None;
    }
    // `b12` is a name; `dolo650` is a name and a number.
    let whole = run(letters, at, char::is_alphanumeric);
    let end = if end - at <= 2 { whole } else { end };
    Some((word(letters, at, end), end))
}

fn number(letters: &[Letter], at: usize) -> (Token, usize) {
    let mut end = run(letters, at, |c| c.is_ascii_digit());
    let point = letters.get(end).is_some_and(|(c, _)| *c == '.');
    if point && letters.get(end + 1).is_some_and(|(c, _)| c.is_ascii_digit()) {
        end = run(letters, end + 1, |c| c.is_ascii_digit());
    }
    let digits = plain_number(&text_of(letters, at, end));
    if let Some((unit, after)) = unit(letters, end) {
        return (token(format!("{digits}{unit}"), Kind::Strength, letters, at, after), after);
    }
    let glued = run(letters, end, char::is_alphanumeric);
    if glued > end {
        return (word(letters, at, glued), glued);
    }
    (token(digits, Kind::Number, letters, at, end), end)
}

/// The unit after a number, glued to it or after one space.
fn unit(letters: &[Letter], at: usize) -> Option<(&'static str, usize)> {
    let start = if letters.get(at).is_some_and(|(c, _)| *c == ' ') { at + 1 } else { at };
    if letters.get(start).is_some_and(|(c, _)| *c == '%') {
        return Some(("%", start + 1));
    }
    let end = run(letters, start, char::is_alphanumeric);
    let spelled = text_of(letters, start, end);
    UNITS.iter().find(|(spelling, _)| *spelling == spelled).map(|(_, unit)| (*unit, end))
}

/// `0.50` is `0.5`, `007` is `7`.
fn plain_number(digits: &str) -> String {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

fn word(letters: &[Letter], at: usize, end: usize) -> Token {
    let spelled = text_of(letters, at, end);
    let kept = FORMS.iter().find(|(spelling, _)| *spelling == spelled).map(|(_, kept)| (*kept).to_owned());
    token(kept.unwrap_or(spelled), Kind::Word, letters, at, end)
}

fn token(text: String, kind: Kind, letters: &[Letter], at: usize, end: usize) -> Token {
    let start = letters[at].1;
    Token { text, kind, start, length: letters[end - 1].1 + 1 - start }
}

fn text_of(letters: &[Letter], at: usize, end: usize) -> String {
    letters[at..end].iter().map(|(c, _)| *c).collect()
}

fn run(letters: &[Letter], at: usize, belongs: impl Fn(char) -> bool) -> usize {
    letters[at..].iter().position(|(c, _)| !belongs(*c)).map_or(letters.len(), |length| at + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        tokens(text).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn strengths_are_read_however_they_are_written() {
        for spelled in ["500mg", "500 mg", "500MG", "0500.0 Mgs"] {
            assert_eq!(texts(spelled), ["500mg"], "{spelled}");
        }
        assert_eq!(texts("125mg/5 ml"), ["125mg", "5ml"]);
        assert_eq!(texts("0.05 %"), ["0.05%"]);
        assert_eq!(texts("10 µg"), ["10mcg"]);
    }

    #[test]
    fn names_with_digits_stay_names_and_numbers_stay_apart() {
        assert_eq!(texts("Vitamin B12 3K dolo650"), ["vitamin", "b12", "3k", "dolo", "650"]);
        assert_eq!(texts("AB-Flo SR Tabs"), ["ab", "flo", "sr", "tablet"]);
        assert_eq!(tokens("650")[0].kind, Kind::Number);
        assert_eq!(tokens("650 mg")[0].number(), Some("650"));
        assert_eq!(tokens("b12")[0].number(), None);
    }

    #[test]
    fn places_count_characters_of_the_text_as_it_was() {
        let found = tokens("Ünïcödé ﬁx 5");
        let places: Vec<_> =
            found.iter().map(|token| (token.text.as_str(), token.start, token.length)).collect();
        assert_eq!(places, [("unicode", 0, 7), ("fix", 8, 2), ("5", 11, 1)]);
    }
}
