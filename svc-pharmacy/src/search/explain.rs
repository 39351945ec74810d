//! Why a product was found: the kind of match, where its name matches, and whether it is a look-alike of what was typed.
//! Worked out from the product's own texts, so that it is the same for every engine.

use super::document::Terms;
use super::look_alike::LookAlikes;
use super::text;
use super::understand::{Choice, Knowledge, Reach, Slot, Understood, Why};

/// A name that is nearly as likely as the likeliest may be meant just as well.
const NEARLY: u32 = 250;

/// A part of a name that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Highlight {
    /// First character, counted in scalar values.
    pub start: usize,
    /// How many.
    pub length: usize,
}

/// The product is easily taken for another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookAlike {
    /// The name in the product, in Tall-Man letters.
    pub found: String,
    /// What was typed or may have been meant, in Tall-Man letters.
    pub meant: String,
}

/// Why a product was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The loosest match among the parts of the query.
    pub why: Why,
    /// Where the name matches.
    pub highlights: Vec<Highlight>,
    /// Known look-alikes of what was typed.
    pub look_alikes: Vec<LookAlike>,
}

pub(super) fn explain(
    knowledge: &Knowledge,
    understood: &Understood,
    name: &str,
    terms: &Terms,
) -> Explained {
    let matched =
        |slot: &Slot| slot.choices.iter().filter(|choice| has(terms, choice)).map(|choice| choice.why).min();
    let why = understood.slots.iter().filter_map(matched).max().unwrap_or(Why::Typed);
    let mut look_alikes = Vec::new();
    for slot in understood.slots.iter().filter(|slot| !slot.choices.is_empty() || slot.finds) {
        warn(&knowledge.look_alikes, slot, terms, &mut look_alikes);
    }
    Explained { why, highlights: highlights(understood, name), look_alikes }
}

fn words(terms: &Terms) -> impl Iterator<Item = &String> {
    terms.lead.iter().chain(&terms.name).chain(&terms.generic)
}

fn has(terms: &Terms, choice: &Choice) -> bool {
    let rest = terms.strength.iter().chain(&terms.form).chain(&terms.maker);
    words(terms).any(|word| means(choice, word))
        || choice.reach == Reach::Whole && rest.into_iter().any(|word| *word == choice.text)
}

fn highlights(understood: &Understood, name: &str) -> Vec<Highlight> {
    let choices = || understood.slots.iter().flat_map(|slot| &slot.choices);
    let of = |token: &text::Token| {
        let number = token.number();
        let whole = choices().any(|choice| {
            choice.reach == Reach::Whole
                && (choice.text == token.text || Some(choice.text.as_str()) == number)
        });
        let begun =
            choices().find(|choice| choice.reach == Reach::Beginning && token.text.starts_with(&choice.text));
        let length = match begun {
            _ if whole => token.length,
            Some(begun) => begun.text.chars().count().min(token.length),
            None => return None,
        };
        Some(Highlight { start: token.start, length })
    };
    text::tokens(name).iter().filter_map(of).collect()
}

/// The cost of the likeliest choice that means a name, and whether it is a beginning of it.
fn likeliest(slot: &Slot, name: &str) -> Option<(u32, bool)> {
    let meaning = slot.choices.iter().filter(|choice| means(choice, name));
    meaning.map(|choice| (choice.cost, choice.reach == Reach::Beginning)).min()
}

fn means(choice: &Choice, word: &str) -> bool {
    match choice.reach {
        Reach::Whole => choice.text == word,
        Reach::Beginning => word.starts_with(&choice.text),
    }
}

/// A product whose name is a look-alike of what was typed, or of what may have been meant, says so, unless it is what was
/// typed, or by far the likeliest meaning.
fn warn(pairs: &LookAlikes, slot: &Slot, terms: &Terms, into: &mut Vec<LookAlike>) {
    let cheapest = slot.choices.iter().map(|choice| choice.cost).min().unwrap_or(0);
    for word in words(terms).filter(|word| **word != slot.typed) {
        let Some(found) = pairs.tall_man(word) else { continue };
        let own = likeliest(slot, word);
        for meant in pairs.partners(word) {
            let other = meant.to_lowercase();
            let typed = other == slot.typed;
            let rival = likeliest(slot, &other).is_some_and(|(cost, begun)| {
                let nearly =
                    own.is_none_or(|(own, _)| cost <= own.saturating_add(NEARLY)) || cost == cheapest;
                // Of two names that both begin with what was typed neither is taken for the other.
                nearly && !(begun && own.is_some_and(|(_, begun)| begun))
            });
            let warning = LookAlike { found: found.to_owned(), meant: (*meant).to_owned() };
            if (typed || rival) && !into.contains(&warning) {
                into.push(warning);
            }
        }
    }
}

/// The words of a name that have look-alikes, in Tall-Man letters; the rest as it is.
pub(super) fn tall_man(pairs: &LookAlikes, name: &str) -> Option<String> {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::with_capacity(name.len());
    let mut at = 0;
    for token in text::tokens(name) {
        let Some(tall) = pairs.tall_man(&token.text).filter(|tall| tall.chars().count() == token.length)
        else {
            continue;
        };
        out.extend(&letters[at..token.start]);
        out.push_str(tall);
        at = token.start + token.length;
    }
    if at == 0 {
        return None;
    }
    out.extend(&letters[at..]);
    Some(out)
}
