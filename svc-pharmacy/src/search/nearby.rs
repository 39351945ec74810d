//! Which words of a sorted list are within so many edits of a typed one: a walk down the tree of their beginnings that turns back
//! where no word can be near enough any more. It knows letters as numbers; what an edit costs is another's business.

use super::channel::LONGEST;

/// More edits than anything allows.
const FAR: u8 = 100;

/// A walk for one typed word.
pub(crate) struct Walk<'t> {
    typed: &'t [u8],
    most: u8,
    /// Edits between the first `i` letters of the path and the first `j` that were typed, in a band around the diagonal.
    rows: [[u8; LONGEST + 1]; LONGEST + 1],
    /// The fewest edits of each row.
    least: [u8; LONGEST + 1],
    /// Whether what was typed is near a beginning of the path up to here.
    open: [bool; LONGEST + 1],
    /// Letters of the path whose rows are there.
    done: usize,
    /// A beginning that no near word has.
    dead: Option<usize>,
}

/// How a word stands to what was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// Too far.
    Not,
    /// The whole word is near.
    Whole,
    /// A beginning of it is near.
    Begun,
}

impl<'t> Walk<'t> {
    pub(crate) fn new(typed: &'t [u8], most: u8) -> Self {
        let mut rows = [[FAR; LONGEST + 1]; LONGEST + 1];
        let first = 0..=most.min(u8::try_from(typed.len()).unwrap_or(most));
        first.for_each(|edits| rows[0][usize::from(edits)] = edits);
        Self { typed, most, rows, least: [0; LONGEST + 1], open: [false; LONGEST + 1], done: 0, dead: None }
    }

    /// How the next word of the list stands; its first `shared` letters are those of the word before.
    pub(crate) fn next(&mut self, word: &[u8], shared: usize) -> Reached {
        if self.dead.is_some_and(|dead| shared >= dead) {
            return Reached::Not;
        }
        self.dead = None;
        self.done = self.done.min(shared);
        while self.least[self.done] <= self.most && self.done < word.len() {
            self.go_on(word);
        }
        if self.done == word.len() && self.rows[self.done][self.typed.len()] <= self.most {
            return Reached::Whole;
        }
        if self.open[self.done] {
            return Reached::Begun;
        }
        self.dead = (self.least[self.done] > self.most).then_some(self.done);
        Reached::Not
    }

    /// How many letters of the last word no near word begins with: those that do can be passed over.
    pub(crate) fn dead(&self) -> Option<usize> {
        self.dead
    }

    fn go_on(&mut self, word: &[u8]) {
        let (i, reach, columns) = (self.done + 1, usize::from(self.most), self.typed.len());
        let mut least = FAR;
        for j in i.saturating_sub(reach)..=columns.min(i + reach) {
            let edits = self.edits(word, i, j);
            self.rows[i][j] = edits;
            least = least.min(edits);
        }
        let near = i + 1 >= columns && self.rows[i][columns] <= self.most;
        self.open[i] = self.open[i - 1] || near;
        self.least[i] = least;
        self.done = i;
    }

    fn edits(&self, word: &[u8], i: usize, j: usize) -> u8 {
        let (last, letter) = (&self.rows[i - 1], word[i - 1]);
        if j == 0 {
            return last[0] + 1;
        }
        let replaced = last[j - 1] + u8::from(letter != self.typed[j - 1]);
        let fewest = replaced.min(last[j] + 1).min(self.rows[i][j - 1] + 1);
        let turned = i > 1 && j > 1 && letter == self.typed[j - 2] && word[i - 2] == self.typed[j - 1];
        if turned { fewest.min(self.rows[i - 2][j - 2] + 1) } else { fewest }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Edits between two whole texts: insert, delete, replace, turn two neighbours round.
    fn distance(one: &[u8], other: &[u8]) -> usize {
        let mut rows = vec![vec![0_usize; other.len() + 1]; one.len() + 1];
        for i in 0..=one.len() {
            for j in 0..=other.len() {
                rows[i][j] = match (i, j) {
                    (0, edits) | (edits, 0) => edits,
                    _ => {
                        let replaced = rows[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
                        let fewest = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                        let turned =
                            i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1];
                        if turned { fewest.min(rows[i - 2][j - 2] + 1) } else { fewest }
                    }
                };
            }
        }
        rows[one.len()][other.len()]
    }

    fn expected(typed: &[u8], word: &[u8], most: usize) -> Reached {
        if distance(word, typed) <= most {
            return Reached::Whole;
        }
        let begun = (typed.len().saturating_sub(1)..word.len()).any(|i| distance(&word[..i], typed) <= most);
        if begun { Reached::Begun } else { Reached::Not }
    }

    proptest! {
        #[test]
        fn the_walk_finds_what_comparing_every_word_finds(
            words in prop::collection::btree_set(prop::collection::vec(0_u8..4, 1..9), 1..60),
            typed in prop::collection::vec(0_u8..4, 3..8), most in 1_u8..4,
        ) {
            let mut walk = Walk::new(&typed, most);
            let mut before: &[u8] = &[];
            for word in &words {
                let shared = before.iter().zip(word).take_while(|(one, other)| one == other).count();
                let found = walk.next(word, shared);
                prop_assert_eq!(found, expected(&typed, word, usize::from(most)), "{:?}", word);
                before = word;
            }
        }
    }
}
