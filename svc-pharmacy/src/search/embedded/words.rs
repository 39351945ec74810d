//! The words of a segment, sorted, each with a number: looked up whole by hash, or all that begin alike as one range. It knows
//! no documents.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::ops::Range;

/// A place in the table that no word has.
const FREE: u32 = u32::MAX;

/// Words that were pushed in their order.
#[derive(Default)]
pub(super) struct Words {
    text: String,
    ends: Vec<u32>,
    /// Numbers of words at the place of their hash or behind it; its length is a power of two.
    table: Vec<u32>,
}

impl Words {
    /// Adds the next word; it must come after those that are there. False when there is no more room.
    pub(super) fn push(&mut self, word: &str) -> bool {
        let Ok(end) = u32::try_from(self.text.len() + word.len()) else { return false };
        self.text.push_str(word);
        self.ends.push(end);
        true
    }

    /// Makes them ready to be looked up.
    pub(super) fn finish(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
        let room = (self.ends.len() * 2).next_power_of_two().max(2);
        self.table = vec![FREE; room];
        for number in 0..self.ends.len() {
            let mut at = self.place(self.word(number));
            while self.table[at] != FREE {
                at = (at + 1) & (room - 1);
            }
            self.table[at] = u32::try_from(number).unwrap_or(FREE);
        }
    }

    /// The number of a word.
    pub(super) fn find(&self, word: &str) -> Option<usize> {
        let mut at = self.place(word);
        loop {
            let number = self.table.get(at).copied().filter(|number| *number != FREE)? as usize;
            if self.word(number) == word {
                return Some(number);
            }
            at = (at + 1) & (self.table.len() - 1);
        }
    }

    /// The numbers of the words that begin so.
    pub(super) fn beginning_with(&self, prefix: &str) -> Range<usize> {
        let first = self.first(|word| word < prefix);
        first..self.first(|word| word < prefix || word.starts_with(prefix))
    }

    fn first(&self, before: impl Fn(&str) -> bool) -> usize {
        let (mut low, mut high) = (0, self.ends.len());
        while low < high {
            let middle = low.midpoint(high);
            if before(self.word(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn word(&self, number: usize) -> &str {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.text[start..self.ends[number] as usize]
    }

    fn place(&self, word: &str) -> usize {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(word);
        usize::try_from(hash & u64::from(u32::MAX)).unwrap_or(0) & self.table.len().saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_whole_and_by_their_beginning_and_what_is_not_there_is_not() {
        let mut words = Words::default();
        assert_eq!(words.find("a"), None);
        let all = ["abc", "abd", "ac", "b", "éa"];
        assert!(all.iter().all(|word| words.push(word)));
        words.finish();
        for (number, word) in all.iter().enumerate() {
            assert_eq!(words.find(word), Some(number), "{word}");
        }
        assert_eq!((words.find("ab"), words.find(""), words.find("z")), (None, None, None));
        assert_eq!(words.beginning_with("ab"), 0..2);
        assert_eq!(words.beginning_with("a"), 0..3);
        assert_eq!(words.beginning_with("é"), 4..5);
        assert_eq!(words.beginning_with("x"), 4..4);
    }
}
