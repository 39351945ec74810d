//! One segment of the index laid out in memory: its documents in the order in which equals are told, and for every word the
//! documents that have it, by where it stands there. Read from the segment once, when it is new; what is deleted from the
//! segment later is marked beside it. It knows no query.

use std::sync::Arc;

use caremesh_kernel::Uuid;
use tantivy::index::InvertedIndexReader;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::termdict::TermStreamer;
use tantivy::{DocId, DocSet as _, SegmentReader, TERMINATED, TantivyError};

use super::super::index::Facet;
use super::schema::Fields;
use super::words::Words;

/// Where a word stands, the cheapest place first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    /// In front of the name.
    Lead,
    /// Among strengths and forms.
    Measure,
    /// In the generic name.
    Generic,
    /// Later in the name.
    Name,
    /// In the maker's name.
    Maker,
    /// The name begins with it; it is no whole word.
    Begins,
    /// Another word of name or generic begins with it.
    BeginsInside,
}

impl Stand {
    /// Those of whole words.
    pub(super) const WHOLE: [Self; 5] = [Self::Lead, Self::Measure, Self::Generic, Self::Name, Self::Maker];
    /// How many there are.
    const COUNT: usize = 7;

    /// What it costs to stand there, in hundredths of a nat.
    pub(super) fn cost(self) -> u32 {
        match self {
            Self::Lead | Self::Measure | Self::Begins => 0,
            Self::Generic => 20,
            Self::Name | Self::BeginsInside => 40,
            Self::Maker => 150,
        }
    }
}

/// A document that has no value of a facet.
pub(super) const NO_VALUE: u32 = u32::MAX;

/// A segment in memory. Documents are numbered in their order.
pub(super) struct Lists {
    keys: Vec<u128>,
    ranks: Vec<u16>,
    facets: [Values; Facet::ALL.len()],
    pub(super) words: Words,
    /// Where the documents of each word begin, one after the other for each [`Stand`].
    starts: Vec<u32>,
    documents: Vec<u32>,
    /// The segment's own number of each document.
    own: Vec<DocId>,
}

/// The values of a facet.
#[derive(Default)]
struct Values {
    /// Sorted.
    names: Vec<String>,
    of: Vec<u32>,
}

impl Lists {
    /// Reads a segment.
    pub(super) fn of(segment: &SegmentReader, fields: &Fields) -> Result<Self, TantivyError> {
        let mut documents = ordered(segment, fields)?;
        documents.sort_unstable();
        let mut lists = Self {
            keys: documents.iter().map(|document| document.1).collect(),
            ranks: documents.iter().map(|document| document.0).collect(),
            own: documents.iter().map(|document| document.2).collect(),
            facets: Default::default(),
            words: Words::default(),
            starts: vec![0],
            documents: Vec::new(),
        };
        drop(documents);
        for (values, field) in lists.facets.iter_mut().zip(fields.facets) {
            *values = Values::of(segment, field, &lists.own)?;
        }
        Filling::new(&mut lists, segment).fill(segment, fields)?;
        lists.words.finish();
        lists.starts.shrink_to_fit();
        lists.documents.shrink_to_fit();
        Ok(lists)
    }

    /// How many documents there are, dead ones as well.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The documents in which a word stands so, in their order.
    pub(super) fn standing(&self, word: usize, stand: Stand) -> &[u32] {
        let list = word * Stand::COUNT + stand as usize;
        &self.documents[self.starts[list] as usize..self.starts[list + 1] as usize]
    }

    pub(super) fn key(&self, document: u32) -> Uuid {
        Uuid::from_u128(self.keys[document as usize])
    }

    pub(super) fn rank(&self, document: u32) -> u16 {
        self.ranks[document as usize]
    }

    /// The number of a document's value of a facet, or [`NO_VALUE`].
    pub(super) fn value(&self, facet: usize, document: u32) -> u32 {
        self.facets[facet].of[document as usize]
    }

    /// The values of a facet, by their numbers.
    pub(super) fn values(&self, facet: usize) -> &[String] {
        &self.facets[facet].names
    }

    /// A bit for each document that the segment has lost since; None when it has lost none.
    pub(super) fn dead(&self, segment: &SegmentReader) -> Option<Vec<u64>> {
        let alive = segment.alive_bitset()?;
        let mut bits = vec![0_u64; self.own.len().div_ceil(64)];
        for (document, own) in self.own.iter().enumerate().filter(|(_, own)| alive.is_deleted(**own)) {
            debug_assert!(*own < segment.max_doc());
            bits[document / 64] |= 1 << (document % 64);
        }
        Some(bits)
    }
}

/// Rank, key and own number of the documents that are there.
fn ordered(segment: &SegmentReader, fields: &Fields) -> Result<Vec<(u16, u128, DocId)>, TantivyError> {
    let (fast, schema) = (segment.fast_fields(), segment.schema());
    let number = |field: Field| fast.u64(schema.get_field_name(field));
    let (high, low, rank) = (number(fields.key_high)?, number(fields.key_low)?, number(fields.rank)?);
    let read = |own: DocId| {
        let (high, low) = (high.first(own).unwrap_or(0), low.first(own).unwrap_or(0));
        let rank = rank.first(own).and_then(|rank| u16::try_from(rank).ok()).unwrap_or(u16::MAX);
        (rank, Uuid::from_u64_pair(high, low).as_u128(), own)
    };
    Ok(segment.doc_ids_alive().map(read).collect())
}

impl Values {
    fn of(segment: &SegmentReader, field: Field, own: &[DocId]) -> Result<Self, TantivyError> {
        let Some(column) = segment.fast_fields().str(segment.schema().get_field_name(field))? else {
            return Ok(Self { names: Vec::new(), of: vec![NO_VALUE; own.len()] });
        };
        let mut names = Vec::with_capacity(column.num_terms());
        for ordinal in 0..column.num_terms() as u64 {
            let mut name = String::new();
            column.ord_to_str(ordinal, &mut name)?;
            names.push(name);
        }
        let number = |own: &DocId| {
            column.ords().first(*own).and_then(|number| u32::try_from(number).ok()).unwrap_or(NO_VALUE)
        };
        Ok(Self { names, of: own.iter().map(number).collect() })
    }
}

/// Fills the lists of words.
struct Filling<'l> {
    lists: &'l mut Lists,
    /// Our number of each of the segment's documents.
    ours: Vec<u32>,
    /// The last word that each document was listed for.
    listed: Vec<u32>,
    /// The documents of one word, by stand.
    of_word: [Vec<u32>; Stand::COUNT],
}

impl<'l> Filling<'l> {
    fn new(lists: &'l mut Lists, segment: &SegmentReader) -> Self {
        let mut ours = vec![u32::MAX; segment.max_doc() as usize];
        for (number, own) in (0_u32..).zip(&lists.own) {
            ours[*own as usize] = number;
        }
        let listed = vec![u32::MAX; lists.len()];
        Self { lists, ours, listed, of_word: Default::default() }
    }

    /// Goes through the dictionaries of all fields at once: they are sorted alike.
    fn fill(mut self, segment: &SegmentReader, fields: &Fields) -> Result<(), TantivyError> {
        let sources = [
            (fields.lead, Stand::Lead),
            (fields.strength, Stand::Measure),
            (fields.form, Stand::Measure),
            (fields.generic, Stand::Generic),
            (fields.name, Stand::Name),
            (fields.maker, Stand::Maker),
            (fields.begins, Stand::Begins),
            (fields.begins_inside, Stand::BeginsInside),
        ];
        let mut readers: Vec<(Arc<InvertedIndexReader>, Stand)> = Vec::with_capacity(sources.len());
        for (field, stand) in sources {
            readers.push((segment.inverted_index(field)?, stand));
        }
        let mut streams: Vec<Option<(TermStreamer<'_>, &InvertedIndexReader, Stand)>> = Vec::new();
        for (reader, stand) in &readers {
            let mut stream = reader.terms().stream()?;
            streams.push(stream.advance().then_some((stream, reader.as_ref(), *stand)));
        }
        let mut least = Vec::new();
        while let Some(key) = streams.iter().flatten().map(|(stream, ..)| stream.key()).min() {
            least.clear();
            least.extend_from_slice(key);
            for place in &mut streams {
                let Some((stream, reader, stand)) = place else { continue };
                if stream.key() == least {
                    let info = stream.value();
                    let mut found = reader.read_postings_from_terminfo(info, IndexRecordOption::Basic)?;
                    self.read(&mut found, *stand);
                    if !stream.advance() {
                        *place = None;
                    }
                }
            }
            self.close(&least)?;
        }
        Ok(())
    }

    fn read(&mut self, found: &mut tantivy::postings::SegmentPostings, stand: Stand) {
        let list = &mut self.of_word[stand as usize];
        list.reserve(found.doc_freq() as usize);
        let mut own = found.doc();
        while own != TERMINATED {
            let ours = self.ours[own as usize];
            if ours != u32::MAX {
                list.push(ours);
            }
            own = found.advance();
        }
    }

    /// Writes the lists of a word. A document in which the word stands in two places is listed at the cheapest.
    fn close(&mut self, word: &[u8]) -> Result<(), TantivyError> {
        let full = || TantivyError::InternalError("a segment has too many words".to_owned());
        let word = std::str::from_utf8(word).map_err(|_| full())?;
        let number = u32::try_from(self.lists.starts.len()).map_err(|_| full())?;
        if !self.lists.words.push(word) {
            return Err(full());
        }
        for (stand, list) in self.of_word.iter_mut().enumerate() {
            list.sort_unstable();
            list.dedup();
            let whole = stand < Stand::WHOLE.len();
            for document in list.drain(..) {
                let listed = &mut self.listed[document as usize];
                if !whole || *listed != number {
                    self.lists.documents.push(document);
                    *listed = if whole { number } else { *listed };
                }
            }
            self.lists.starts.push(u32::try_from(self.lists.documents.len()).map_err(|_| full())?);
        }
        Ok(())
    }
}
