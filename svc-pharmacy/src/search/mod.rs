//! Finding a medicine in spite of a typo: what a query means, which index answers it, in which order a person sees the answer.
//!
//! | file | what |
//! |---|---|
//! | `text.rs` | words, numbers and strengths of a text |
//! | `document.rs` | what a product is found by |
//! | `vocabulary.rs`, `nearby.rs`, `channel.rs` | which word a misspelling may mean: the words, those near, what each costs |
//! | `synonyms.rs`, `look_alike.rs` | names of one substance; names that are taken for each other |
//! | `understand.rs` | what a query means, for any engine |
//! | `index.rs` | the port behind which an engine stands |
//! | `embedded/`, `meilisearch/` | the two engines |
//! | `rank.rs`, `explain.rs` | the order of what was found, and why it was |
//! | `quiet.rs` | work that no search waits for |
//!
//! It finds keys. What is shown of a product, price and stock above all, is read from the catalogue.

mod channel;
mod document;
pub mod embedded;
mod explain;
pub mod index;
mod look_alike;
pub mod meilisearch;
mod nearby;
pub(crate) mod quiet;
mod rank;
mod synonyms;
mod text;
mod understand;
mod vocabulary;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use caremesh_kernel::Uuid;

use document::Terms;
pub use explain::{Explained, Highlight, LookAlike};
use index::{Change, Document, Facet, IndexError, MedicationIndex, Query};
use quiet::quietly;
use synonyms::Synonyms;
pub use understand::Why;
use understand::{Knowledge, Understood};
use vocabulary::Vocabulary;

/// A search reaches so many products at most.
pub const MOST_RESULTS: usize = 200;
/// Names that are longer are equal in their order.
const LONGEST_NAME: u16 = 1_000;

/// Finds medicines: an index, and the words that its documents are made of.
pub struct Search {
    index: Arc<dyn MedicationIndex>,
    knowledge: Knowledge,
    words: ArcSwap<Vocabulary>,
}

/// What a person asks for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// As it was typed.
    pub text: String,
    /// Allowed values; a facet that is not here is free.
    pub filters: Vec<(Facet, Vec<String>)>,
    /// Only these products; none: all.
    pub only: Option<Arc<HashSet<Uuid>>>,
    /// Whether to count facets.
    pub counting: bool,
}

/// The texts that a product is found by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Texts<'t> {
    /// The name on the pack.
    pub name: &'t str,
    /// Active ingredients.
    pub generic: &'t str,
    /// Strength of each ingredient.
    pub strength: &'t str,
    /// Dose form.
    pub form: &'t str,
    /// Who makes it.
    pub manufacturer: &'t str,
}

/// What is indexed of a product. `facets` are its values of [`Facet::ALL`]; with `last` it comes behind all others.
#[must_use]
pub fn document(
    key: Uuid,
    version: i64,
    texts: &Texts<'_>,
    facets: [String; Facet::ALL.len()],
    last: bool,
) -> Document {
    let length = u16::try_from(texts.name.chars().count()).unwrap_or(u16::MAX);
    // Of equals the shorter name comes first: `Crocin` before `Crocin Cold & Flu Max`.
    let rank = length.min(LONGEST_NAME) + if last { LONGEST_NAME + 1 } else { 0 };
    Document { key, version, terms: Terms::of(texts), facets, rank }
}

/// A dose form as results are narrowed and counted by it.
#[must_use]
pub fn form_value(form: &str) -> String {
    let words: Vec<String> = text::tokens(form).into_iter().map(|token| token.text).collect();
    words.join(" ")
}

/// A key that is the same for products of the same substances, strengths and form, however they are written; None when one
/// of the three is not known.
#[must_use]
pub fn same_medicine(generic: &str, strength: &str, form: &str) -> Option<String> {
    document::same_medicine(&Synonyms::built_in(), generic, strength, form)
}

/// A word that was taken for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    /// As it was typed.
    pub typed: String,
    /// What it may mean, likeliest first.
    pub candidates: Vec<String>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// Keys, best first, at most [`MOST_RESULTS`].
    pub keys: Vec<Uuid>,
    /// How many match in all; an estimate.
    pub total: u64,
    /// Counts of facet values.
    pub facets: Vec<(Facet, Vec<(String, u64)>)>,
    understood: Understood,
}

impl Search {
    /// A search over an index whose words are not known yet: see [`Search::learn`].
    #[must_use]
    pub fn new(index: Arc<dyn MedicationIndex>) -> Self {
        let knowledge = Knowledge::default();
        // Names that may be meant though no product has them: a synonym has one, or a look-alike must be told of.
        let alike = knowledge.look_alikes.names().map(str::to_owned);
        let names = alike.chain(knowledge.synonyms.names().map(str::to_owned));
        let known = names.map(|name| (name, 0)).collect();
        Self { index, words: ArcSwap::from_pointee(Vocabulary::new(&known)), knowledge }
    }

    /// The index.
    #[must_use]
    pub fn index(&self) -> &Arc<dyn MedicationIndex> {
        &self.index
    }

    /// Takes the words of documents into the vocabulary that misspellings are corrected by.
    pub fn learn<'d>(&self, documents: impl IntoIterator<Item = &'d Document>) {
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for document in documents {
            for word in document.terms.vocabulary().filter(|word| word.len() <= u8::MAX.into()) {
                match counts.get_mut(word) {
                    Some(count) => *count += 1,
                    None => drop(counts.insert(word.to_owned(), 1)),
                }
            }
        }
        self.words.rcu(|words| words.merged(&counts));
    }

    /// How many words are known.
    #[must_use]
    pub fn words(&self) -> usize {
        self.words.load().len()
    }

    /// Takes documents into index and vocabulary.
    ///
    /// # Errors
    /// [`IndexError`].
    pub async fn put(self: &Arc<Self>, documents: Vec<Document>, position: i64) -> Result<(), IndexError> {
        let this = Arc::clone(self);
        let changes = quietly(move || {
            this.learn(&documents);
            documents.into_iter().map(|document| Change::Put(Box::new(document))).collect()
        });
        let broke_off = || IndexError::Failed("the words could not be learned".to_owned());
        self.index.apply(changes.await.ok_or_else(broke_off)?, position).await
    }

    /// Finds products.
    ///
    /// # Errors
    /// [`IndexError`] of the engine.
    pub async fn find(&self, asked: Asked) -> Result<Results, IndexError> {
        let understood = self.knowledge.understand(&self.words.load(), &asked.text);
        let slots = understood.slots.clone();
        let Asked { filters, only, counting, .. } = asked;
        let query = Query { slots, filters, only, counting, limit: MOST_RESULTS };
        let found = self.index.search(query).await?;
        let keys = rank::order(&found.hits, MOST_RESULTS);
        Ok(Results { keys, total: found.total, facets: found.facets, understood })
    }

    /// Why a product of these texts was found.
    #[must_use]
    pub fn explain(&self, results: &Results, texts: &Texts<'_>) -> Explained {
        explain::explain(&self.knowledge, &results.understood, texts.name, &Terms::of(texts))
    }

    /// A name with the letters raised that tell it from its look-alikes; None when it has none.
    #[must_use]
    pub fn tall_man(&self, name: &str) -> Option<String> {
        explain::tall_man(&self.knowledge.look_alikes, name)
    }
}

impl Results {
    /// Words that were taken for misspellings.
    #[must_use]
    pub fn corrections(&self) -> Vec<Correction> {
        let misspelt = |slot: &understand::Slot| {
            let candidates = slot.choices.iter().filter(|choice| choice.why == Why::Misspelt);
            let candidates: Vec<String> = candidates.take(10).map(|choice| choice.text.clone()).collect();
            (!candidates.is_empty()).then(|| Correction { typed: slot.typed.clone(), candidates })
        };
        self.understood.slots.iter().filter_map(misspelt).collect()
    }
}
