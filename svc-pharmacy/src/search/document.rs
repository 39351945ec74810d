//! What a product is found by: the terms of its name, generic, strength, form and maker. It knows how a text becomes terms,
//! and no engine.

use super::Texts;
use super::synonyms::Synonyms;
use super::text::{self, Kind};

/// The terms of one product, each list without repetition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    /// What the name begins with: its first word, and the first two as one.
    pub(crate) lead: Vec<String>,
    /// The other words of the name, and its neighbours as one.
    pub(crate) name: Vec<String>,
    /// Words of the generic name.
    pub(crate) generic: Vec<String>,
    /// Words of the maker.
    pub(crate) maker: Vec<String>,
    /// Numbers and strengths, of the name and of the ingredients.
    pub(crate) strength: Vec<String>,
    /// Words of the form.
    pub(crate) form: Vec<String>,
}

impl Terms {
    /// The terms of a product's texts.
    pub(crate) fn of(texts: &Texts<'_>) -> Self {
        let mut terms = Self::default();
        terms.read_name(texts.name);
        terms.generic = words(texts.generic);
        terms.maker = words(texts.manufacturer);
        terms.read_strength(texts.strength);
        words(texts.form).into_iter().for_each(|word| push(&mut terms.form, word));
        terms
    }

    /// Words that a misspelling may mean: names, no makers.
    pub(crate) fn vocabulary(&self) -> impl Iterator<Item = &str> {
        let mut all: Vec<&str> =
            self.lead.iter().chain(&self.name).chain(&self.generic).map(String::as_str).collect();
        all.sort_unstable();
        all.dedup();
        all.into_iter()
    }

    fn read_name(&mut self, name: &str) {
        let tokens = text::tokens(name);
        let mut before: Option<&str> = None;
        for token in &tokens {
            match token.kind {
                Kind::Word if text::is_form(&token.text) => {
                    push(&mut self.form, token.text.clone());
                    before = None;
                }
                Kind::Word => {
                    let list = if self.lead.is_empty() { &mut self.lead } else { &mut self.name };
                    push(list, token.text.clone());
                    // `AB Phylline` is typed as one word too.
                    if let Some(before) = before.filter(|_| self.name.len() == 1 && self.lead.len() == 1) {
                        push(&mut self.lead, format!("{before}{}", token.text));
                    }
                    before = Some(&token.text);
                }
                Kind::Number | Kind::Strength => {
                    self.push_strength(&token.text, token.number().unwrap_or_default());
                    before = None;
                }
            }
        }
    }

    fn read_strength(&mut self, strength: &str) {
        let tokens = text::tokens(strength);
        for token in &tokens {
            if let Some(number) = token.number() {
                self.push_strength(&token.text, number);
            }
        }
        // A fixed combination is called by its sum: 500 mg + 125 mg is a "625".
        let parts: Option<Vec<u64>> =
            tokens.iter().map(|token| token.text.strip_suffix("mg")?.parse().ok()).collect();
        if let Some(parts) = parts.filter(|parts| parts.len() == 2) {
            push(&mut self.strength, (parts[0] + parts[1]).to_string());
        }
    }

    fn push_strength(&mut self, strength: &str, number: &str) {
        push(&mut self.strength, strength.to_owned());
        push(&mut self.strength, number.to_owned());
        if let Some(same) = in_milligrams(strength) {
            push(&mut self.strength, same);
        }
    }
}

/// See [`super::same_medicine`]. What stands in brackets is a salt or a strength and is left out; ingredients have one order.
pub(crate) fn same_medicine(
    synonyms: &Synonyms,
    generic: &str,
    strength: &str,
    form: &str,
) -> Option<String> {
    let mut depth = 0_u32;
    let plain: String = generic
        .chars()
        .filter(|c| {
            depth = if *c == '(' { depth + 1 } else { depth };
            let kept = depth == 0;
            depth = if *c == ')' { depth.saturating_sub(1) } else { depth };
            kept
        })
        .collect();
    let mut substances: Vec<String> = plain
        .split(['+', ';', ',', '/', '&'])
        .map(|one| words(one).iter().map(|word| synonyms.first(word)).collect::<Vec<_>>().join(" "))
        .filter(|one| !one.is_empty())
        .collect();
    let tokens = text::tokens(strength).into_iter().filter(|token| token.kind != Kind::Word);
    let mut strengths: Vec<String> =
        tokens.map(|token| in_milligrams(&token.text).unwrap_or(token.text)).collect();
    let form = super::form_value(form);
    if substances.is_empty() || strengths.is_empty() || form.is_empty() {
        return None;
    }
    substances.sort_unstable();
    strengths.sort_unstable();
    Some(format!("{}|{}|{form}", substances.join("+"), strengths.join("+")))
}

/// `1g` as `1000mg`, `500mcg` as `0.5mg`.
pub(crate) fn in_milligrams(strength: &str) -> Option<String> {
    if let Some(micrograms) = strength.strip_suffix("mcg").and_then(|number| number.parse::<u64>().ok()) {
        let fraction = format!("{:03}", micrograms % 1_000);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        return Some(format!("{}{point}{fraction}mg", micrograms / 1_000));
    }
    let grams = strength.strip_suffix('g').filter(|number| !number.ends_with(['m', 'k']))?;
    let (whole, fraction) = grams.split_once('.').unwrap_or((grams, ""));
    let digits = format!("{fraction:0<3}");
    let milligrams = format!("{whole}{digits}");
    (digits.len() == 3).then(|| format!("{}mg", milligrams.trim_start_matches('0')))
}

fn words(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    for token in text::tokens(text).into_iter().filter(|token| token.kind == Kind::Word) {
        push(&mut all, token.text);
    }
    all
}

fn push(list: &mut Vec<String>, text: String) {
    if !text.is_empty() && text.len() <= 64 && !list.contains(&text) {
        list.push(text);
    }
}
