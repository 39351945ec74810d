//! Which words of a sorted list are within so many edits of a typed one: a walk down the tree of their beginnings that turns back
//! where no word can be near enough any more. It knows letters as numbers; what an edit costs is another's business.

use super::channel::LONGEST;

/// Edits that anything allows at most, and one.
const EDITS: usize = 4;
/// Letters that are told apart; all that are none count as one.
const LETTERS: usize = 27;

/// For each number of edits, a bit for each beginning of what was typed that is so many edits away, the empty one lowest: all
/// cells of a row of the comparison at once.
type Row = [u64; EDITS];

/// A walk for one typed word.
pub(crate) struct Walk {
    /// For each letter a bit for each place at which it was typed.
    places: [u64; LETTERS],
    /// The bit of all that was typed.
    whole: u64,
    typed: usize,
    most: usize,
    /// How the beginnings of what was typed stand to each beginning of the path.
    rows: [Row; LONGEST + 1],
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

impl Walk {
    /// For at most [`LONGEST`] letters and three edits.
    pub(crate) fn new(typed: &[u8], most: u8) -> Self {
        let mut places = [0; LETTERS];
        for (place, letter) in typed.iter().enumerate().take(LONGEST) {
            places[number(*letter)] |= 1 << place;
        }
        let mut rows = [[0; EDITS]; LONGEST + 1];
        for (edits, row) in rows[0].iter_mut().enumerate() {
            // Letters that were typed too many.
            *row = (2 << edits) - 1;
        }
        let (typed, most) = (typed.len().min(LONGEST), usize::from(most).min(EDITS - 1));
        let open = [false; LONGEST + 1];
        Self { places, whole: 1 << typed, typed, most, rows, open, done: 0, dead: None }
    }

    /// How the next word of the list stands; its first `shared` letters are those of the word before.
    pub(crate) fn next(&mut self, word: &[u8], shared: usize) -> Reached {
        if self.dead.is_some_and(|dead| shared >= dead) {
            return Reached::Not;
        }
        self.dead = None;
        self.done = self.done.min(shared);
        while self.rows[self.done][self.most] != 0 && self.done < word.len() {
            self.go_on(word);
        }
        let row = self.rows[self.done][self.most];
        if self.done == word.len() && row & self.whole != 0 {
            return Reached::Whole;
        }
        if self.open[self.done] {
            return Reached::Begun;
        }
        self.dead = (row == 0).then_some(self.done);
        Reached::Not
    }

    /// How many letters of the last word no near word begins with: those that do can be passed over.
    pub(crate) fn dead(&self) -> Option<usize> {
        self.dead
    }

    fn go_on(&mut self, word: &[u8]) {
        let i = self.done + 1;
        let here = self.places[number(word[i - 1])];
        let last = self.rows[i - 1];
        // Two neighbours turned round: the letter before was typed one place after this one.
        let turned = if i > 1 { here & (self.places[number(word[i - 2])] >> 1) } else { 0 };
        let before = if i > 1 { self.rows[i - 2] } else { [0; EDITS] };
        let all = (self.whole << 1) - 1;
        let mut row = [0; EDITS];
        row[0] = (last[0] & here) << 1;
        for edits in 1..=self.most {
            let replaced_or_left_out = last[edits - 1] << 1 | last[edits - 1];
            let too_many = row[edits - 1] << 1;
            let turned = (before[edits - 1] & turned) << 2;
            row[edits] = (last[edits] & here) << 1 | replaced_or_left_out | too_many | turned;
        }
        row.iter_mut().for_each(|bits| *bits &= all);
        let near = i + 1 >= self.typed && row[self.most] & self.whole != 0;
        self.open[i] = self.open[i - 1] || near;
        self.rows[i] = row;
        self.done = i;
    }
}

fn number(letter: u8) -> usize {
    usize::from(letter).min(LETTERS - 1)
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
