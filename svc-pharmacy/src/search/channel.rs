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

    /// Its letters, a number each.
    pub(crate) fn codes(&self) -> &[u8] {
        &self.codes[..self.length]
    }
}

/// Cost and edits of a way from one text to another.
type Way = (u32, u32);
type Row = [Way; LONGEST + 1];

/// Compares one typed word with one meant word after the other; what two meant words begin with alike is compared once.
pub(crate) struct Aligner<'t> {
    channel: &'t Channel,
    typed: &'t [u8],
    most: u32,
    rows: Box<[Row; LONGEST + 1]>,
    /// Letters of the last meant word whose rows are there.
    done: usize,
}

impl<'t> Aligner<'t> {
    /// For a word that may be at most so many edits away from what was meant.
    pub(crate) fn new(channel: &'t Channel, typed: &'t [u8], most: u32) -> Self {
        let mut all =
            Self { channel, typed, most, rows: Box::new([[(FAR, FAR); LONGEST + 1]; LONGEST + 1]), done: 0 };
        all.fill(&[]);
        all
    }

    /// Only so many letters of the last meant word are letters of the next one.
    pub(crate) fn keep(&mut self, shared: usize) {
        self.done = self.done.min(shared);
    }

    /// What it costs to type what was typed when `meant` is meant; None if more edits than allowed would do it. With `prefix`
    /// the person may not have finished: what is missing at the end costs little.
    pub(crate) fn cost(&mut self, meant: &[u8], prefix: bool) -> Option<u32> {
        let columns = self.typed.len();
        let last = meant.len().min(columns + self.most as usize);
        for i in self.done + 1..=last {
            self.fill(&meant[..i]);
        }
        self.done = self.done.max(last);
        let mut best = if last == meant.len() { self.rows[last][columns] } else { (FAR, FAR) };
        for i in columns.saturating_sub(1)..=last.min(meant.len().saturating_sub(1)) {
            let way = self.rows[i][columns];
            if prefix && way.1 <= self.most {
                let missing = u32::try_from(meant.len() - i).unwrap_or(FAR);
                let open = (way.0 + OPEN + OPEN_LETTER * missing, way.1);
                best = if best.1 > self.most { open } else { best.min(open) };
            }
        }
        (best.1 <= self.most).then_some(best.0)
    }

    /// The row of a beginning of what was meant. Cells further from the diagonal than edits allow stay far.
    fn fill(&mut self, meant: &[u8]) {
        let i = meant.len();
        let reach = self.most as usize;
        let mut row = [(FAR, FAR); LONGEST + 1];
        for j in i.saturating_sub(reach)..=self.typed.len().min(i + reach) {
            row[j] = if i == 0 && j == 0 {
                (0, 0)
            } else {
                let rows = [&self.rows[i.saturating_sub(2)], &self.rows[i.saturating_sub(1)], &row];
                self.channel.step(meant, self.typed, (i, j), rows)
            };
        }
        self.rows[i] = row;
    }
}

/// The number of a letter; whatever is none has one number in common.
pub(crate) fn code(c: char) -> u8 {
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

    /// The cheapest way to the cell of row `i` and column `j`, for the letters of what was meant and of what was typed.
    fn step(&self, meant: &[u8], typed: &[u8], (i, j): (usize, usize), rows: [&Row; 3]) -> Way {
        let [before, last, row] = rows;
        let first = |place: usize| if place == 1 { FIRST } else { 0 };
        let mut best = (FAR, FAR);
        let mut offer = |from: Way, cost: u32, edits: u32| best = best.min((from.0 + cost, from.1 + edits));
        if i > 0 && j > 0 {
            let (m, t) = (meant[i - 1], typed[j - 1]);
            let cost = if m == t { 0 } else { pair(&self.substitute, m, t) + first(i) };
            offer(last[j - 1], cost, u32::from(m != t));
        }
        if i > 0 {
            let cost = self.delete.get(usize::from(meant[i - 1])).copied().unwrap_or(UNSEEN);
            offer(last[j], u32::from(cost) + first(i), 1);
        }
        if j > 0 {
            let after = if i > 0 { meant[i - 1] } else { OTHER };
            offer(row[j - 1], pair(&self.insert, typed[j - 1], after), 1);
        }
        if i > 1 && j > 1 {
            let (m, n) = (meant[i - 2], meant[i - 1]);
            if m == typed[j - 1] && n == typed[j - 2] && m != n {
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
