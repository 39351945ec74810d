//! Every word of the catalogue that a name can be made of, with how many products have it; and for a word that was typed,
//! which of them may have been meant. It knows no products.

use std::collections::BTreeMap;

use super::channel::{Channel, LONGEST, Letters};

/// A word that may have been meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The word.
    pub(crate) word: String,
    /// How unlikely it is, in hundredths of a nat: channel and frequency together.
    pub(crate) cost: u32,
    /// Products that have it; 0 for a name that is only known to be easily confused.
    pub(crate) products: u32,
}

/// The words, sorted.
#[derive(Default)]
pub(crate) struct Vocabulary {
    text: String,
    words: Vec<Word>,
    /// Places of words of each length, by length in bytes.
    lengths: Vec<Vec<u32>>,
}

#[derive(Clone, Copy)]
struct Word {
    start: u32,
    length: u8,
    /// Which letters it has.
    signature: u32,
    products: u32,
}

impl Vocabulary {
    /// The words and their counts.
    pub(crate) fn new(counts: &BTreeMap<String, u32>) -> Self {
        let mut vocabulary = Self::default();
        for (word, products) in counts {
            vocabulary.push(word, *products);
        }
        vocabulary
    }

    /// These words and others; counts are added.
    pub(crate) fn merged(&self, counts: &BTreeMap<String, u32>) -> Self {
        let mut all = Self { text: String::with_capacity(self.text.len()), ..Self::default() };
        let mut more = counts.iter().peekable();
        for word in &self.words {
            let text = self.text_of(word);
            while let Some((new, products)) = more.next_if(|(new, _)| new.as_str() < text) {
                all.push(new, *products);
            }
            let added = more.next_if(|(new, _)| new.as_str() == text).map_or(0, |(_, products)| *products);
            all.push(text, word.products.saturating_add(added));
        }
        more.for_each(|(new, products)| all.push(new, *products));
        all
    }

    fn push(&mut self, word: &str, products: u32) {
        let (Ok(start), Ok(length)) = (u32::try_from(self.text.len()), u8::try_from(word.len())) else {
            return;
        };
        let place = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
        self.text.push_str(word);
        self.words.push(Word { start, length, signature: signature(word), products });
        let length = usize::from(length);
        if self.lengths.len() <= length {
            self.lengths.resize_with(length + 1, Vec::new);
        }
        self.lengths[length].push(place);
    }

    fn text_of(&self, word: &Word) -> &str {
        let start = word.start as usize;
        &self.text[start..start + usize::from(word.length)]
    }

    /// How many words there are.
    pub(crate) fn len(&self) -> usize {
        self.words.len()
    }

    /// Products that have exactly this word; None when the word is not known.
    pub(crate) fn products(&self, word: &str) -> Option<u32> {
        let place = self.words.binary_search_by(|other| self.text_of(other).cmp(word)).ok()?;
        Some(self.words[place].products)
    }

    /// Words that begin so, most frequent first, at most `limit`; and how many products they have together.
    pub(crate) fn beginning_with(&self, prefix: &str, limit: usize) -> (Vec<String>, u32) {
        let from = self.words.partition_point(|word| self.text_of(word) < prefix);
        let mut found: Vec<&Word> = self.words[from..]
            .iter()
            .take_while(|word| self.text_of(word).starts_with(prefix))
            .take(10_000)
            .collect();
        let products = found.iter().fold(0_u32, |sum, word| sum.saturating_add(word.products));
        found.sort_by_key(|word| std::cmp::Reverse(word.products));
        (found.iter().take(limit).map(|word| self.text_of(word).to_owned()).collect(), products)
    }

    /// What `typed` may mean besides itself, likeliest first, at most `limit`.
    pub(crate) fn candidates(
        &self,
        channel: &Channel,
        typed: &str,
        prefix: bool,
        limit: usize,
    ) -> Vec<Candidate> {
        let Some(letters) = Letters::of(typed) else { return Vec::new() };
        let most = most_edits(letters.len());
        if most == 0 || typed.bytes().any(|byte| byte.is_ascii_digit()) {
            return Vec::new();
        }
        let slack = most as usize;
        let longest = if prefix { letters.len() + slack + 6 } else { letters.len() + slack };
        let asked = signature(typed);
        let mut found = Vec::new();
        for length in letters.len().saturating_sub(slack).max(2)..=longest.min(LONGEST) {
            let Some(places) = self.lengths.get(length) else { break };
            for place in places {
                let word = &self.words[*place as usize];
                let unfinished = prefix && length > letters.len() + slack;
                let missing = if unfinished { 0 } else { (word.signature & !asked).count_ones() };
                if missing > most || (asked & !word.signature).count_ones() > most {
                    continue;
                }
                let text = self.text_of(word);
                if text == typed {
                    continue;
                }
                let Some(meant) = Letters::of(text) else { continue };
                if let Some(cost) = channel.cost(&meant, &letters, most, prefix) {
                    found.push((cost + rarity(word.products), *place));
                }
            }
        }
        found.sort_unstable();
        found.truncate(limit);
        found.into_iter().map(|(cost, place)| self.candidate(place, cost)).collect()
    }

    fn candidate(&self, place: u32, cost: u32) -> Candidate {
        let word = &self.words[place as usize];
        Candidate { word: self.text_of(word).to_owned(), cost, products: word.products }
    }
}

/// How many edits a word of so many letters may be away from what was meant.
fn most_edits(letters: usize) -> u32 {
    match letters {
        0..=2 => 0,
        3..=4 => 1,
        5..=9 => 2,
        _ => 3,
    }
}

/// A rare word is a little less likely to be meant: the fourth root of its frequency counts.
fn rarity(products: u32) -> u32 {
    let octaves = 12_u32.saturating_sub(products.max(1).ilog2());
    octaves * RARE
}

/// Hundredths of a nat per halving of the frequency.
const RARE: u32 = 12;

fn signature(word: &str) -> u32 {
    word.bytes().fold(
        0,
        |bits, byte| if byte.is_ascii_lowercase() { bits | 1 << (byte - b'a') } else { bits | 1 << 26 },
    )
}
