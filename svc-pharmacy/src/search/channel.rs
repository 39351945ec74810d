//! How a name becomes a misspelling: the noisy channel between what was meant and what was typed. Costs are hundredths of a
//! nat, learned from misspellings that people wrote; the table is data. It knows letters, and no names.

/// Costs by operation, from the table.
pub(crate) struct Channel {
    delete: [u16; LETTERS],
    insert: [[u16; LETTERS]; LETTERS],
    substitute: [[u16; LETTERS]; LETTERS],
    transpose: [[u16; LETTERS]; LETTERS],
}

const LETTERS: usize = 26;
const TABLE: &str = include_str!("data/edit_costs.csv");
/// What was never seen in 13,000 edits.
const UNSEEN: u16 = 1_050;
/// An edit of a first letter is rarer than the same edit later.
const FIRST: u32 = 120;
/// Each edit after the first.
const ANOTHER: u32 = 0;
/// A name that is not finished yet,
const OPEN: u32 = 150;
/// and each letter that is missing of it.
const OPEN_LETTER: u32 = 30;
/// A character that is no letter.
const OTHER: u8 = 255;
/// Longest names that are compared letter by letter.
pub(crate) const LONGEST: usize = 40;
const FAR: u32 = u32::MAX / 4;

impl Default for Channel {
    fn default() -> Self {
        let mut channel = Self {
            delete: [UNSEEN; LETTERS],
            insert: [[UNSEEN; LETTERS]; LETTERS],
            substitute: [[UNSEEN; LETTERS]; LETTERS],
            transpose: [[UNSEEN; LETTERS]; LETTERS],
        };
        TABLE.lines().filter(|line| !line.starts_with('#')).for_each(|line| channel.learn(line));
        channel
    }
}

/// A word as the channel compares it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Letters {
    codes: [u8; LONGEST],
    length: usize,
}

impl Letters {
    /// None for a word that is empty or too long to be a name.
    pub(crate) fn of(word: &str) -> Option<Self> {
        let mut codes = [OTHER; LONGEST];
        let mut length = 0;
        for c in word.chars() {
            *codes.get_mut(length)? = code(c);
            length += 1;
        }
        (length > 0).then_some(Self { codes, length })
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }
}

fn code(c: char) -> u8 {
    u8::try_from(c).ok().filter(u8::is_ascii_lowercase).map_or(OTHER, |c| c - b'a')
}

impl Channel {
    fn learn(&mut self, line: &str) {
        let mut parts = line.split(',');
        let (Some(operation), Some(letters), Some(cost)) = (parts.next(), parts.next(), parts.next()) else {
            return;
        };
        let mut codes = letters.chars().map(|c| usize::from(code(c)));
        let (Some(first), second, Ok(cost)) = (codes.next(), codes.next(), cost.parse()) else { return };
        let place = match (operation, second) {
            ("delete", None) => self.delete.get_mut(first),
            ("insert", Some(second)) => self.insert.get_mut(first).and_then(|row| row.get_mut(second)),
            ("substitute", Some(second)) => {
                self.substitute.get_mut(first).and_then(|row| row.get_mut(second))
            }
            ("transpose", Some(second)) => self.transpose.get_mut(first).and_then(|row| row.get_mut(second)),
            _ => None,
        };
        if let Some(place) = place {
            *place = cost;
        }
    }

    /// What it costs to type `typed` when `meant` is meant, and whether no more than `most` edits do it.
    /// With `prefix` the person may not have finished: what is missing at the end costs little.
    pub(crate) fn cost(&self, meant: &Letters, typed: &Letters, most: u32, prefix: bool) -> Option<u32> {
        let (rows, columns) = (meant.length, typed.length);
        let mut before = [(FAR, FAR); LONGEST + 1];
        let mut last = [(FAR, FAR); LONGEST + 1];
        let mut row = [(FAR, FAR); LONGEST + 1];
        let mut best = (FAR, FAR);
        for i in 0..=rows {
            let mut least = FAR;
            for j in 0..=columns {
                row[j] = if i == 0 && j == 0 {
                    (0, 0)
                } else {
                    self.step(meant, typed, i, j, [&before, &last, &row])
                };
                least = least.min(row[j].1);
            }
            if prefix && i < rows && i + 1 >= columns {
                let missing = u32::try_from(rows - i).unwrap_or(FAR);
                best = best.min((row[columns].0 + OPEN + OPEN_LETTER * missing, row[columns].1));
            }
            if least > most {
                return (best.1 <= most).then_some(best.0 + ANOTHER * best.1.saturating_sub(1));
            }
            before = last;
            last = row;
        }
        let whole = last[columns];
        let best = [best, whole].into_iter().filter(|found| found.1 <= most).min()?;
        Some(best.0 + ANOTHER * best.1.saturating_sub(1))
    }

    /// The cheapest way to the cell of row `i` and column `j`: cost and edits.
    fn step(
        &self,
        meant: &Letters,
        typed: &Letters,
        i: usize,
        j: usize,
        rows: [&[(u32, u32); LONGEST + 1]; 3],
    ) -> (u32, u32) {
        let [before, last, row] = rows;
        let first = |place: usize| if place == 1 { FIRST } else { 0 };
        let mut best = (FAR, FAR);
        let mut offer =
            |from: (u32, u32), cost: u32, edits: u32| best = best.min((from.0 + cost, from.1 + edits));
        if i > 0 && j > 0 {
            let (m, t) = (meant.codes[i - 1], typed.codes[j - 1]);
            let cost = if m == t { 0 } else { pair(&self.substitute, m, t) + first(i) };
            offer(last[j - 1], cost, u32::from(m != t));
        }
        if i > 0 {
            let cost = self.delete.get(usize::from(meant.codes[i - 1])).copied().unwrap_or(UNSEEN);
            offer(last[j], u32::from(cost) + first(i), 1);
        }
        if j > 0 {
            let after = if i > 0 { meant.codes[i - 1] } else { OTHER };
            offer(row[j - 1], pair(&self.insert, typed.codes[j - 1], after), 1);
        }
        if i > 1 && j > 1 {
            let (m, n) = (meant.codes[i - 2], meant.codes[i - 1]);
            if m == typed.codes[j - 1] && n == typed.codes[j - 2] && m != n {
                offer(before[j - 2], pair(&self.transpose, m, n) + first(i - 1), 1);
            }
        }
        best
    }
}

fn pair(table: &[[u16; LETTERS]; LETTERS], first: u8, second: u8) -> u32 {
    let cost = table.get(usize::from(first)).and_then(|row| row.get(usize::from(second)));
    u32::from(cost.copied().unwrap_or(UNSEEN))
}
