//! Evaluates a query on one segment after the other: for each part the cheapest choice that a document has, for each choice of
//! the pivot the best documents. All numbers are whole: costs are hundredths of a nat.

use std::collections::{BinaryHeap, HashMap};

use caremesh_kernel::Uuid;
use tantivy::columnar::{Column, StrColumn};
use tantivy::postings::SegmentPostings;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocId, DocSet as _, SegmentReader, TERMINATED, TantivyError, Term};

use super::super::index::{Facet, Found, Hit, Query};
use super::super::understand::{Choice, Reach, Slot};
use super::schema::{Fields, LONGEST_BEGINNING};

/// Where a word stands in the name costs a little: in front nothing.
const IN_GENERIC: u32 = 20;
const IN_NAME: u32 = 40;
const IN_MAKER: u32 = 150;
/// Words that one long beginning stands for at most.
const MOST_WORDS: usize = 64;
/// Facet values told at most.
const MOST_VALUES: usize = 20;
/// Choices are told apart in one byte.
const CHOICES: usize = 256;

type Ranked = (u32, u16, u64, u64);

/// Finds over all segments.
pub(super) struct Finder<'q> {
    fields: &'q Fields,
    query: &'q Query,
    pivot: usize,
    best: Vec<BinaryHeap<Ranked>>,
    total: u64,
    counts: [HashMap<String, u64>; Facet::ALL.len()],
}

impl<'q> Finder<'q> {
    pub(super) fn new(fields: &'q Fields, query: &'q Query) -> Option<Self> {
        let pivot = query.pivot()?;
        let groups = query.slots[pivot].choices.len() + 1;
        let best = std::iter::repeat_with(BinaryHeap::new).take(groups).collect();
        Some(Self { fields, query, pivot, best, total: 0, counts: Default::default() })
    }

    /// Looks through one segment.
    pub(super) fn segment(&mut self, segment: &SegmentReader) -> Result<(), TantivyError> {
        let mut candidates = Vec::new();
        let mut marks = Vec::with_capacity(self.query.slots.len());
        let (finding, others): (Vec<_>, Vec<_>) =
            self.query.slots.iter().enumerate().partition(|(_, slot)| slot.finds);
        for (place, slot) in finding {
            marks.push((place, self.mark(segment, slot, &mut candidates, &marks)?));
        }
        if candidates.is_empty() {
            return Ok(());
        }
        let mut none = Vec::new();
        for (place, slot) in others {
            marks.push((place, self.mark(segment, slot, &mut none, &[])?));
            none.clear();
        }
        marks.sort_unstable_by_key(|(place, _)| *place);
        let columns = Columns::open(segment, self.fields, self.query)?;
        self.judge(segment, &columns, &candidates, &marks)
    }

    /// For each document of the segment the cheapest choice of a part: 0 for none, else cost, choice and one.
    fn mark(
        &self,
        segment: &SegmentReader,
        slot: &Slot,
        candidates: &mut Vec<DocId>,
        before: &[(usize, Vec<u32>)],
    ) -> Result<Vec<u32>, TantivyError> {
        let mut marks = vec![0_u32; segment.max_doc() as usize];
        for (choice, what) in slot.choices.iter().enumerate().take(CHOICES) {
            for (field, word, extra) in self.places(segment, what)? {
                let Some(mut postings) = postings(segment, field, &word)? else { continue };
                let mark = pack(what.cost + extra, choice);
                let mut doc = postings.doc();
                while doc != TERMINATED {
                    let place = &mut marks[doc as usize];
                    if *place == 0 && before.iter().all(|(_, marks)| marks[doc as usize] == 0) {
                        candidates.push(doc);
                    }
                    if *place == 0 || mark < *place {
                        *place = mark;
                    }
                    doc = postings.advance();
                }
            }
        }
        Ok(marks)
    }

    /// Where a choice is looked up, and what it costs to stand there.
    fn places(
        &self,
        segment: &SegmentReader,
        choice: &Choice,
    ) -> Result<Vec<(Field, String, u32)>, TantivyError> {
        let f = self.fields;
        let of = |field, extra| (field, choice.text.clone(), extra);
        if choice.reach == Reach::Whole {
            let named = [of(f.lead, 0), of(f.generic, IN_GENERIC), of(f.name, IN_NAME), of(f.strength, 0)];
            return Ok(named.into_iter().chain([of(f.form, 0), of(f.maker, IN_MAKER)]).collect());
        }
        if choice.text.chars().count() <= LONGEST_BEGINNING {
            return Ok(vec![of(f.begins, 0), of(f.begins_inside, IN_NAME)]);
        }
        let mut all = Vec::new();
        for (field, extra) in [(f.lead, 0), (f.generic, IN_GENERIC), (f.name, IN_NAME)] {
            let words = beginning_with(segment, field, &choice.text)?;
            all.extend(words.into_iter().map(|word| (field, word, extra)));
        }
        Ok(all)
    }

    fn judge(
        &mut self,
        segment: &SegmentReader,
        columns: &Columns,
        candidates: &[DocId],
        marks: &[(usize, Vec<u32>)],
    ) -> Result<(), TantivyError> {
        let mut values: [HashMap<u64, u64>; Facet::ALL.len()] = Default::default();
        let alive = segment.alive_bitset();
        for doc in candidates.iter().copied() {
            let gone = alive.is_some_and(|alive| alive.is_deleted(doc));
            if gone || !columns.allow(doc) || !self.is_wanted(columns, doc) {
                continue;
            }
            self.total += 1;
            if self.query.counting {
                columns.count(doc, &mut values);
            }
            self.rank(doc, columns, marks);
        }
        for (place, values) in values.iter().enumerate() {
            columns.name(place, values, &mut self.counts[place])?;
        }
        Ok(())
    }

    fn is_wanted(&self, columns: &Columns, doc: DocId) -> bool {
        let Some(only) = &self.query.only else { return true };
        let (high, low) = columns.key(doc);
        only.contains(&Uuid::from_u64_pair(high, low))
    }

    fn rank(&mut self, doc: DocId, columns: &Columns, marks: &[(usize, Vec<u32>)]) {
        let mut cost = 0_u32;
        let mut group = self.best.len() - 1;
        for (place, marks) in marks {
            let mark = marks[doc as usize];
            let slot = &self.query.slots[*place];
            cost += if mark == 0 { slot.missing } else { cost_of(mark) };
            if *place == self.pivot && mark != 0 {
                group = choice_of(mark);
            }
        }
        let best = &mut self.best[group];
        let full = best.len() >= self.query.limit;
        if full && best.peek().is_some_and(|worst| worst.0 < cost) {
            return;
        }
        let rank = columns.rank.first(doc).and_then(|rank| u16::try_from(rank).ok()).unwrap_or(u16::MAX);
        if full && best.peek().is_some_and(|worst| (worst.0, worst.1) < (cost, rank)) {
            return;
        }
        let (high, low) = columns.key(doc);
        best.push((cost, rank, high, low));
        if full {
            best.pop();
        }
    }

    /// What was found in all segments.
    pub(super) fn found(self) -> Found {
        let last = self.best.len() - 1;
        let mut hits = Vec::new();
        for (group, best) in self.best.into_iter().enumerate() {
            let choice = (group < last).then_some(group);
            let hit =
                |(cost, _, high, low): Ranked| Hit { key: Uuid::from_u64_pair(high, low), choice, cost };
            hits.extend(best.into_sorted_vec().into_iter().map(hit));
        }
        let facets = if self.query.counting { told(self.counts) } else { Vec::new() };
        Found { hits, total: self.total, facets }
    }
}

fn told(counts: [HashMap<String, u64>; Facet::ALL.len()]) -> Vec<(Facet, Vec<(String, u64)>)> {
    let most = |counts: HashMap<String, u64>| {
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_unstable_by(|one, other| (other.1, &one.0).cmp(&(one.1, &other.0)));
        counts.truncate(MOST_VALUES);
        counts
    };
    Facet::ALL.into_iter().zip(counts.map(most)).collect()
}

/// Cost first, so that the lower mark is the better one; never 0.
fn pack(cost: u32, choice: usize) -> u32 {
    let choice = u32::try_from(choice).unwrap_or(u32::MAX) & 0xff;
    (cost.min(0x00ff_fffe) << 8 | choice) + 1
}

fn cost_of(mark: u32) -> u32 {
    (mark - 1) >> 8
}

fn choice_of(mark: u32) -> usize {
    ((mark - 1) & 0xff) as usize
}

fn postings(
    segment: &SegmentReader,
    field: Field,
    word: &str,
) -> Result<Option<SegmentPostings>, TantivyError> {
    let term = Term::from_field_text(field, word);
    Ok(segment.inverted_index(field)?.read_postings(&term, IndexRecordOption::Basic)?)
}

fn beginning_with(segment: &SegmentReader, field: Field, prefix: &str) -> Result<Vec<String>, TantivyError> {
    let index = segment.inverted_index(field)?;
    let mut stream = index.terms().range().ge(prefix).into_stream()?;
    let mut words = Vec::new();
    while words.len() < MOST_WORDS && stream.advance() {
        let Ok(word) = std::str::from_utf8(stream.key()) else { continue };
        if !word.starts_with(prefix) {
            break;
        }
        words.push(word.to_owned());
    }
    Ok(words)
}

/// What is read of a document that may be found.
struct Columns {
    high: Column<u64>,
    low: Column<u64>,
    rank: Column<u64>,
    facets: Vec<Option<StrColumn>>,
    /// Allowed ordinals by place of the facet.
    allowed: Vec<(usize, Vec<u64>)>,
}

impl Columns {
    fn open(segment: &SegmentReader, fields: &Fields, query: &Query) -> Result<Self, TantivyError> {
        let fast = segment.fast_fields();
        let schema = segment.schema();
        let number = |field: Field| fast.u64(schema.get_field_name(field));
        let mut facets = Vec::new();
        for field in &fields.facets {
            facets.push(fast.str(schema.get_field_name(*field))?);
        }
        let mut allowed = Vec::new();
        for (facet, values) in &query.filters {
            let place = Facet::ALL.iter().position(|other| other == facet).unwrap_or_default();
            let mut ordinals = Vec::new();
            for value in values {
                let column = facets[place].as_ref();
                ordinals
                    .extend(column.map(|column| column.dictionary().term_ord(value)).transpose()?.flatten());
            }
            allowed.push((place, ordinals));
        }
        let (high, low) = (number(fields.key_high)?, number(fields.key_low)?);
        Ok(Self { high, low, rank: number(fields.rank)?, facets, allowed })
    }

    fn key(&self, doc: DocId) -> (u64, u64) {
        (self.high.first(doc).unwrap_or(0), self.low.first(doc).unwrap_or(0))
    }

    fn ordinal(&self, place: usize, doc: DocId) -> Option<u64> {
        self.facets[place].as_ref()?.ords().first(doc)
    }

    fn allow(&self, doc: DocId) -> bool {
        let has = |(place, allowed): &(usize, Vec<u64>)| {
            self.ordinal(*place, doc).is_some_and(|ordinal| allowed.contains(&ordinal))
        };
        self.allowed.iter().all(has)
    }

    fn count(&self, doc: DocId, values: &mut [HashMap<u64, u64>; Facet::ALL.len()]) {
        for (place, values) in values.iter_mut().enumerate() {
            if let Some(ordinal) = self.ordinal(place, doc) {
                *values.entry(ordinal).or_default() += 1;
            }
        }
    }

    fn name(
        &self,
        place: usize,
        values: &HashMap<u64, u64>,
        into: &mut HashMap<String, u64>,
    ) -> Result<(), TantivyError> {
        let Some(column) = &self.facets[place] else { return Ok(()) };
        for (ordinal, count) in values {
            let mut name = String::new();
            column.ord_to_str(*ordinal, &mut name)?;
            *into.entry(name).or_default() += count;
        }
        Ok(())
    }
}
