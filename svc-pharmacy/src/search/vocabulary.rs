//! Every word of the catalogue that a name can be made of, with how many products have it; and for a word that was typed,
//! which of them may have been meant. It knows no products.

use std::collections::BTreeMap;

use super::channel::{Aligner, Channel, LONGEST, Letters, code};
use super::nearby::{Reached, Walk};

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
    /// The letters of all words as numbers, one word after the other.
    codes: Vec<u8>,
    /// Letters that each word begins with like the word before it.
    shared: Vec<u8>,
    /// Products of all words before each word.
    before: Vec<u64>,
}

#[derive(Clone, Copy)]
struct Word {
    start: u32,
    length: u8,
    /// Where its letters begin, and how many they are.
    codes: u32,
    letters: u8,
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
        let Ok(codes) = u32::try_from(self.codes.len()) else { return };
        self.text.push_str(word);
        self.codes.extend(word.chars().map(code));
        let own = &self.codes[codes as usize..];
        let shared = self.words.last().map_or(0, |last| alike(self.codes_of(last), own));
        let narrow = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
        let (letters, shared, signature) = (narrow(own.len()), narrow(shared), signature(own));
        let before = self.before.last().zip(self.words.last());
        self.before.push(before.map_or(0, |(before, last)| before + u64::from(last.products)));
        self.words.push(Word { start, length, codes, letters, signature, products });
        self.shared.push(shared);
    }

    fn codes_of(&self, word: &Word) -> &[u8] {
        let start = word.codes as usize;
        &self.codes[start..start + usize::from(word.letters)]
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

    /// How many products the words have together that begin so; a product counts for each of its words.
    pub(crate) fn beginning_with(&self, prefix: &str) -> u32 {
        let before = |place: usize| {
            let last = || {
                self.before.last().copied().unwrap_or(0)
                    + self.words.last().map_or(0, |word| word.products.into())
            };
            self.before.get(place).copied().unwrap_or_else(last)
        };
        let first = self.words.partition_point(|word| self.text_of(word) < prefix);
        let length = self.words[first..].partition_point(|word| self.text_of(word).starts_with(prefix));
        u32::try_from(before(first + length) - before(first)).unwrap_or(u32::MAX)
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
        let asked = letters.codes();
        let most = most_edits(asked.len());
        if most == 0 || typed.bytes().any(|byte| byte.is_ascii_digit()) {
            return Vec::new();
        }
        let near = Near { asked, most, signature: signature(asked), prefix };
        let (mut walk, mut aligner) = (Walk::new(asked, most), Aligner::new(channel, asked, most.into()));
        let (mut found, mut place) = (Vec::new(), 0);
        while let Some(word) = self.words.get(place) {
            let (own, shared) = (self.codes_of(word), usize::from(self.shared[place]));
            aligner.keep(shared);
            // Of a word that is too long its beginning keeps the walk in step.
            let reached = walk.next(&own[..own.len().min(LONGEST)], shared);
            if near.takes(word, reached)
                && self.text_of(word) != typed
                && let Some(cost) = aligner.cost(own, prefix)
            {
                found.push((cost + rarity(word.products), u32::try_from(place).unwrap_or(u32::MAX)));
            }
            place = walk.dead().map_or(place + 1, |dead| self.after(place, dead));
        }
        found.sort_unstable();
        found.truncate(limit);
        found.into_iter().map(|(cost, place)| self.candidate(place, cost)).collect()
    }

    /// The next place whose word does not begin with the same `dead` letters.
    fn after(&self, place: usize, dead: usize) -> usize {
        const AT_ONCE: usize = 32;
        let dead = u8::try_from(dead).unwrap_or(u8::MAX);
        let rest = &self.shared[place + 1..];
        let chunks = rest.chunks(AT_ONCE);
        let passed =
            chunks.take_while(|chunk| chunk.iter().fold(u8::MAX, |least, one| least.min(*one)) >= dead);
        let passed = passed.map(<[u8]>::len).sum::<usize>();
        place
            + 1
            + rest[passed..].iter().position(|shared| *shared < dead).map_or(rest.len(), |more| passed + more)
    }

    fn candidate(&self, place: u32, cost: u32) -> Candidate {
        let word = &self.words[place as usize];
        Candidate { word: self.text_of(word).to_owned(), cost, products: word.products }
    }
}

/// What a word must be to be weighed.
struct Near<'t> {
    asked: &'t [u8],
    most: u8,
    signature: u32,
    prefix: bool,
}

impl Near<'_> {
    fn takes(&self, word: &Word, reached: Reached) -> bool {
        let (letters, reach) = (usize::from(word.letters), self.asked.len() + usize::from(self.most));
        match reached {
            Reached::Not => false,
            Reached::Whole => letters > 1,
            // A word that is hardly longer than what was typed is no unfinished one if it has many other letters.
            Reached::Begun if letters <= reach => {
                self.prefix && (word.signature & !self.signature).count_ones() <= self.most.into()
            }
            Reached::Begun => self.prefix && letters <= (reach + UNFINISHED).min(LONGEST),
        }
    }
}

/// A bit for each letter; whatever is none has one in common.
fn signature(codes: &[u8]) -> u32 {
    codes.iter().fold(0, |bits, code| bits | 1 << (*code).min(26))
}

/// Letters that may be missing at the end of an unfinished word.
const UNFINISHED: usize = 6;

/// How many edits a word of so many letters may be away from what was meant.
fn most_edits(letters: usize) -> u8 {
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

/// How many letters two words begin with alike.
fn alike(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}
