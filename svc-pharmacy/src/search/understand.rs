//! What a query means, for any engine: its words with what each may stand for, its strengths and forms. Words are corrected
//! against the vocabulary of the catalogue; digits never are. It knows no engine and no product.

use super::channel::Channel;
use super::document::in_milligrams;
use super::look_alike::LookAlikes;
use super::synonyms::Synonyms;
use super::text::{self, Kind, Token};
use super::vocabulary::Vocabulary;

/// How a choice is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// As a whole word.
    Whole,
    /// As the beginning of a word.
    Beginning,
}

/// Why a choice is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It was typed.
    Typed,
    /// It begins with what was typed.
    Unfinished,
    /// It is another name of the same substance.
    Synonym,
    /// What was typed may be a misspelling of it.
    Misspelt,
}

/// One thing that a slot may stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The word, number or strength.
    pub(crate) text: String,
    /// Whole or beginning.
    pub(crate) reach: Reach,
    /// How unlikely it is, in hundredths of a nat.
    pub(crate) cost: u32,
    /// Why it is one.
    pub(crate) why: Why,
}

/// One part of the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// As it was typed, folded.
    pub(crate) typed: String,
    /// What it may stand for, likeliest first. Empty: nothing that the catalogue knows.
    pub(crate) choices: Vec<Choice>,
    /// What it costs a product not to have it, in hundredths of a nat.
    pub(crate) missing: u32,
    /// Whether a product may be found by it alone.
    pub(crate) finds: bool,
}

/// A query, understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Understood {
    /// Its parts, in their order.
    pub(crate) slots: Vec<Slot>,
}

/// Parts of a query that are read; what follows is ignored.
const MOST_SLOTS: usize = 10;
/// Choices of one slot.
pub(crate) const MOST_CHOICES: usize = 12;
/// A word that so many products have is not taken for a misspelling.
const COMMON: u32 = 10;
/// How much less likely a misspelling is when the typed word is a name itself.
const KNOWN: u32 = 300;
const SYNONYM: u32 = 40;
const UNFINISHED: u32 = 60;
const WITHOUT_UNIT: u32 = 30;

/// What it costs not to have a part.
const NO_NAME: u32 = 900;
const NO_STRENGTH: u32 = 350;
const NO_SHORT_WORD: u32 = 250;
const NO_FORM: u32 = 60;

/// What understanding needs to know.
pub(crate) struct Knowledge {
    pub(crate) channel: Channel,
    pub(crate) synonyms: Synonyms,
    pub(crate) look_alikes: LookAlikes,
}

impl Default for Knowledge {
    fn default() -> Self {
        Self {
            channel: Channel::default(),
            synonyms: Synonyms::built_in(),
            look_alikes: LookAlikes::built_in(),
        }
    }
}

impl Knowledge {
    /// What `query` means among the words of `vocabulary`.
    pub(crate) fn understand(&self, vocabulary: &Vocabulary, query: &str) -> Understood {
        let finished = query.chars().next_back().is_none_or(|last| !last.is_alphanumeric());
        let tokens = glued(vocabulary, text::tokens(query));
        let last = tokens.len().saturating_sub(1);
        let slots = tokens.iter().take(MOST_SLOTS).enumerate();
        let slot = |(place, token): (usize, &Token)| self.slot(vocabulary, token, place == last && !finished);
        let mut slots: Vec<Slot> = slots.map(slot).collect();
        // Where no name is asked for, whatever is asked for finds.
        if !slots.iter().any(|slot| slot.finds) {
            slots.iter_mut().for_each(|slot| slot.finds = true);
        }
        Understood { slots }
    }

    fn slot(&self, vocabulary: &Vocabulary, token: &Token, unfinished: bool) -> Slot {
        match token.kind {
            Kind::Number => plain(token, vec![typed(&token.text)], NO_STRENGTH),
            Kind::Strength => plain(token, strengths(token), NO_STRENGTH),
            Kind::Word if text::is_form(&token.text) => plain(token, vec![typed(&token.text)], NO_FORM),
            Kind::Word => self.word(vocabulary, token, unfinished),
        }
    }

    fn word(&self, vocabulary: &Vocabulary, token: &Token, unfinished: bool) -> Slot {
        let word = &token.text;
        let known = vocabulary.products(word).unwrap_or(0);
        let mut choices = Vec::new();
        if known > 0 {
            choices.push(typed(word));
        }
        choices.extend(
            self.synonyms.of(word).filter(|other| vocabulary.products(other).is_some()).map(|other| Choice {
                cost: SYNONYM,
                why: Why::Synonym,
                ..typed(other)
            }),
        );
        let begun = if unfinished { vocabulary.beginning_with(word).saturating_sub(known) } else { 0 };
        if begun > 0 {
            choices.push(Choice {
                reach: Reach::Beginning,
                cost: UNFINISHED,
                why: Why::Unfinished,
                ..typed(word)
            });
        }
        if known.saturating_add(begun) < COMMON {
            self.correct(vocabulary, word, unfinished, &mut choices);
        }
        let short = word.chars().count() <= 2;
        let dearest = choices.iter().map(|choice| choice.cost).max().unwrap_or(0);
        let missing = dearest + if short { NO_SHORT_WORD } else { NO_NAME };
        Slot { typed: word.clone(), choices, missing, finds: !short }
    }

    fn correct(&self, vocabulary: &Vocabulary, word: &str, unfinished: bool, choices: &mut Vec<Choice>) {
        let penalty = if choices.is_empty() { 0 } else { KNOWN };
        let room = MOST_CHOICES.saturating_sub(choices.len());
        let found = vocabulary.candidates(&self.channel, word, unfinished, room);
        for candidate in found {
            if unfinished && candidate.word.starts_with(word) {
                continue;
            }
            let cost = candidate.cost + penalty;
            let misspelt = Choice { cost, why: Why::Misspelt, ..typed(&candidate.word) };
            let synonyms = self
                .synonyms
                .of(&candidate.word)
                .filter(|other| vocabulary.products(other).is_some_and(|n| n > 0));
            let synonyms: Vec<Choice> = synonyms
                .map(|other| Choice { cost: cost + SYNONYM, why: Why::Misspelt, ..typed(other) })
                .collect();
            choices.push(misspelt);
            choices.extend(synonyms);
        }
        choices.truncate(MOST_CHOICES);
    }
}

/// A strength as it was typed, in milligrams, or its number alone.
fn strengths(token: &Token) -> Vec<Choice> {
    let number = token.number().unwrap_or_default();
    let mut all = vec![typed(&token.text)];
    all.extend(in_milligrams(&token.text).map(|same| typed(&same)));
    all.push(Choice { cost: WITHOUT_UNIT, ..typed(number) });
    all
}

fn typed(text: &str) -> Choice {
    Choice { text: text.to_owned(), reach: Reach::Whole, cost: 0, why: Why::Typed }
}

fn plain(token: &Token, choices: Vec<Choice>, missing: u32) -> Slot {
    Slot { typed: token.text.clone(), choices, missing, finds: false }
}

/// Two words that the catalogue writes as one: `met formin`.
fn glued(vocabulary: &Vocabulary, tokens: Vec<Token>) -> Vec<Token> {
    let mut all: Vec<Token> = Vec::with_capacity(tokens.len());
    for token in tokens {
        if let Some(before) = all.last_mut()
            && before.kind == Kind::Word
            && token.kind == Kind::Word
            && (vocabulary.products(&before.text).is_none() || vocabulary.products(&token.text).is_none())
            && let joined = format!("{}{}", before.text, token.text)
            && vocabulary.products(&joined).is_some()
        {
            before.length = token.start + token.length - before.start;
            before.text = joined;
            continue;
        }
        all.push(token);
    }
    all
}
