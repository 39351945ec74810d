//! The fields of the embedded index, and how a document becomes terms of them. A change here is a new version of the index.

use caremesh_kernel::Uuid;
use tantivy::TantivyDocument;
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, STRING, Schema, TextFieldIndexing, TextOptions,
};

use super::super::document::Terms;
use super::super::index::{Document, Facet};

/// Version of this schema: an index of another one is built anew.
pub(super) const VERSION: u32 = 1;
/// Longest beginning that is a term of its own; longer ones are looked up in the dictionary of words.
pub(super) const LONGEST_BEGINNING: usize = 6;
/// Shortest beginning that finds inside a name.
const SHORTEST_INSIDE: usize = 2;

/// The fields.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    pub(super) key: Field,
    pub(super) key_high: Field,
    pub(super) key_low: Field,
    pub(super) version: Field,
    pub(super) rank: Field,
    pub(super) lead: Field,
    pub(super) name: Field,
    pub(super) generic: Field,
    pub(super) maker: Field,
    pub(super) strength: Field,
    pub(super) form: Field,
    pub(super) begins: Field,
    pub(super) begins_inside: Field,
    pub(super) facets: [Field; Facet::ALL.len()],
}

impl Fields {
    /// The fields and their schema.
    pub(super) fn schema() -> (Self, Schema) {
        let mut schema = Schema::builder();
        let words = || {
            let indexing = TextFieldIndexing::default()
                .set_tokenizer("raw")
                .set_fieldnorms(false)
                .set_index_option(IndexRecordOption::Basic);
            TextOptions::default().set_indexing_options(indexing)
        };
        let mut text = |name: &str| schema.add_text_field(name, words());
        let (lead, name, generic, maker) = (text("lead"), text("name"), text("generic"), text("maker"));
        let (strength, form, begins, begins_inside) =
            (text("strength"), text("form"), text("begins"), text("begins_inside"));
        let facets =
            Facet::ALL.map(|facet| schema.add_text_field(&format!("facet_{}", facet.name()), STRING | FAST));
        let fields = Self {
            key: schema.add_text_field("key", words()),
            key_high: schema.add_u64_field("key_high", FAST),
            key_low: schema.add_u64_field("key_low", FAST),
            version: schema.add_i64_field("version", FAST | INDEXED),
            rank: schema.add_u64_field("rank", FAST),
            lead,
            name,
            generic,
            maker,
            strength,
            form,
            begins,
            begins_inside,
            facets,
        };
        (fields, schema.build())
    }

    /// A document as the engine takes it.
    pub(super) fn document(&self, document: &Document) -> TantivyDocument {
        let mut out = TantivyDocument::default();
        let (high, low) = document.key.as_u64_pair();
        out.add_text(self.key, key_term(document.key));
        out.add_u64(self.key_high, high);
        out.add_u64(self.key_low, low);
        out.add_i64(self.version, document.version);
        out.add_u64(self.rank, u64::from(document.rank));
        for (field, value) in self.facets.iter().zip(&document.facets).filter(|(_, value)| !value.is_empty())
        {
            out.add_text(*field, value);
        }
        self.add_terms(&mut out, &document.terms);
        out
    }

    fn add_terms(&self, out: &mut TantivyDocument, terms: &Terms) {
        let lists = [
            (self.lead, &terms.lead),
            (self.name, &terms.name),
            (self.generic, &terms.generic),
            (self.maker, &terms.maker),
            (self.strength, &terms.strength),
            (self.form, &terms.form),
        ];
        for (field, list) in lists {
            list.iter().for_each(|term| out.add_text(field, term));
        }
        let leading = beginnings(terms.lead.iter(), 1);
        leading.iter().for_each(|term| out.add_text(self.begins, term));
        let inside = beginnings(terms.name.iter().chain(&terms.generic), SHORTEST_INSIDE);
        inside
            .iter()
            .filter(|term| !leading.contains(*term))
            .for_each(|term| out.add_text(self.begins_inside, term));
    }
}

/// The term that a document is deleted by.
pub(super) fn key_term(key: Uuid) -> String {
    key.simple().to_string()
}

fn beginnings<'a>(words: impl Iterator<Item = &'a String>, shortest: usize) -> Vec<&'a str> {
    let mut all: Vec<&str> = Vec::new();
    for word in words {
        let ends =
            word.char_indices().map(|(at, c)| at + c.len_utf8()).take(LONGEST_BEGINNING).skip(shortest - 1);
        all.extend(ends.map(|end| &word[..end]));
    }
    all.sort_unstable();
    all.dedup();
    all
}
