//! The port behind which an index engine stands: documents of terms go in with a version each, keys come out in order. It
//! knows no product, no price and no query text; two engines implement it and pass one suite of tests.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use caremesh_kernel::Uuid;

use super::document::Terms;
use super::understand::Slot;

/// A property that results can be narrowed and counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Facet {
    /// ISO 3166-1 alpha-2 code.
    Country,
    /// Dose form.
    Form,
    /// Dispensing class, as the contract names it.
    Class,
}

impl Facet {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Country, Self::Form, Self::Class];

    /// Its name in an engine.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Country => "country_code",
            Self::Form => "form",
            Self::Class => "dispensing_class",
        }
    }
}

/// What is found, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Names it.
    pub key: Uuid,
    /// Its version; an older one never replaces a newer one.
    pub version: i64,
    /// What it is found by.
    pub(crate) terms: Terms,
    /// Its value of each facet; empty: none.
    pub(crate) facets: [String; Facet::ALL.len()],
    /// Among equals the lower comes first, 0 to 65,535.
    pub(crate) rank: u16,
}

/// A change of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The document is now so.
    Put(Box<Document>),
    /// The document is gone, as of a version.
    Delete(Uuid, i64),
}

impl Change {
    pub(crate) fn key(&self) -> (Uuid, i64) {
        match self {
            Self::Put(document) => (document.key, document.version),
            Self::Delete(key, version) => (*key, *version),
        }
    }
}

/// The last change of each document, oldest versions left out.
pub(crate) fn newest(changes: Vec<Change>) -> BTreeMap<Uuid, Change> {
    let mut newest: BTreeMap<Uuid, Change> = BTreeMap::new();
    for change in changes {
        let (key, version) = change.key();
        if newest.get(&key).is_none_or(|known| known.key().1 <= version) {
            newest.insert(key, change);
        }
    }
    newest
}

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The parts of the query and what each may stand for.
    pub(crate) slots: Vec<Slot>,
    /// Allowed values; a facet that is not here is free.
    pub(crate) filters: Vec<(Facet, Vec<String>)>,
    /// Only these documents; none: all.
    pub(crate) only: Option<Arc<HashSet<Uuid>>>,
    /// Whether to count facets.
    pub(crate) counting: bool,
    /// Keys at most, of each choice of the pivot.
    pub(crate) limit: usize,
}

impl Query {
    /// The part whose choices results are told apart by: the one with the most.
    pub(crate) fn pivot(&self) -> Option<usize> {
        let finding =
            self.slots.iter().enumerate().filter(|(_, slot)| slot.finds && !slot.choices.is_empty());
        finding
            .max_by_key(|(place, slot)| (slot.choices.len(), std::cmp::Reverse(*place)))
            .map(|(place, _)| place)
    }
}

/// A document that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Names it.
    pub key: Uuid,
    /// Which choice of the pivot it has; None: it has the other parts only.
    pub choice: Option<usize>,
    /// How far it is from what was asked, in hundredths of a nat.
    pub cost: u32,
}

/// What an index found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Best first within each choice of the pivot.
    pub hits: Vec<Hit>,
    /// How many documents match in all; an estimate.
    pub total: u64,
    /// Counts of the values of each facet, most frequent first.
    pub facets: Vec<(Facet, Vec<(String, u64)>)>,
}

/// How an index stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexStatus {
    /// Name with the version of its settings.
    pub name: String,
    /// Documents in it.
    pub documents: u64,
    /// Place in the feed of changes up to which it has taken them in.
    pub position: i64,
}

/// Why an index did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The engine cannot be reached, or is too busy to answer.
    #[error("the search engine is not available: {0}")]
    Down(String),
    /// The engine did not finish a task in time.
    #[error("the search engine did not finish in time")]
    OutOfTime,
    /// The engine refuses, or its files are damaged.
    #[error("the search engine failed: {0}")]
    Failed(String),
}

/// An index of medicines.
#[async_trait]
pub trait MedicationIndex: Send + Sync {
    /// Name of the engine: `embedded`, `meilisearch`.
    fn engine(&self) -> &'static str;

    /// Finds documents.
    ///
    /// # Errors
    /// [`IndexError`].
    async fn search(&self, query: Query) -> Result<Found, IndexError>;

    /// Takes changes in; they are found when this returns. `position` is remembered with them.
    ///
    /// # Errors
    /// [`IndexError`]; then some of them may have been taken in, and taking them in again does no harm.
    async fn apply(&self, changes: Vec<Change>, position: i64) -> Result<(), IndexError>;

    /// Begins a fresh index beside this one, which goes on answering until [`Rebuild::swap`].
    ///
    /// # Errors
    /// [`IndexError`].
    async fn rebuild(&self) -> Result<Box<dyn Rebuild>, IndexError>;

    /// How the index stands.
    ///
    /// # Errors
    /// [`IndexError`].
    async fn status(&self) -> Result<IndexStatus, IndexError>;
}

/// A fresh index that is being filled. Dropped, it is thrown away.
#[async_trait]
pub trait Rebuild: Send {
    /// Adds documents, each key once.
    ///
    /// # Errors
    /// [`IndexError`].
    async fn add(&mut self, documents: Vec<Document>) -> Result<(), IndexError>;

    /// Puts it in the place of the old one at once: no search sees both or neither.
    ///
    /// # Errors
    /// [`IndexError`]; then the old one stays.
    async fn swap(self: Box<Self>, position: i64) -> Result<(), IndexError>;
}
