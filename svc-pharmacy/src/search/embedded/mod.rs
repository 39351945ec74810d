//! The embedded engine: an index of tantivy in a folder, or in memory. The default; one process owns a folder. It keeps the
//! feed position in the payload of each commit, so that index and position never part. Searches are answered from each
//! segment's lists, which are laid out in memory once, when the segment is new.

mod find;
mod lists;
mod schema;
mod words;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use caremesh_kernel::Uuid;
use tantivy::index::SegmentId;
use tantivy::indexer::NoMergePolicy;
use tantivy::schema::IndexRecordOption;
use tantivy::{
    DocSet as _, Index, IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, TantivyError, Term,
};

use super::index::{
    Change, Document, Found, IndexError, IndexStatus, MedicationIndex, Query, Rebuild, newest,
};
use super::quiet::quietly;
use find::{Finder, Scratch, View};
use lists::Lists;
use schema::{Fields, VERSION, key_term};

/// Memory that a writer may fill before it writes a segment: the least that the engine takes.
const WRITER_BYTES: usize = 15_000_000;
/// A writer that builds a whole index.
const BUILDER_BYTES: usize = 50_000_000;
/// Rooms for searches that are kept: as many as searches that run at the same time on a small machine.
const MOST_SCRATCHES: usize = 4;
/// The file that names the folder of the index in use; replaced at once by renaming.
const CURRENT: &str = "current";

/// An index of tantivy.
pub struct Embedded {
    home: Option<PathBuf>,
    open: Arc<ArcSwap<Open>>,
    /// One writer at a time.
    writing: Arc<Mutex<()>>,
}

/// One open version of the index.
struct Open {
    name: String,
    index: Index,
    reader: IndexReader,
    fields: Fields,
    segments: ArcSwap<Vec<Segment>>,
    scratches: Mutex<Vec<Scratch>>,
}

/// A segment in memory, and what it has lost since.
#[derive(Clone)]
struct Segment {
    id: SegmentId,
    lists: Arc<Lists>,
    deleted: u32,
    dead: Option<Arc<[u64]>>,
}

impl From<TantivyError> for IndexError {
    fn from(error: TantivyError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<std::io::Error> for IndexError {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Embedded {
    /// The index in a folder, which is made when it is not there; an index of another schema is left aside, and the new one
    /// is empty until it is rebuilt.
    ///
    /// # Errors
    /// [`IndexError::Failed`] when the folder cannot be used.
    pub fn open(home: &Path) -> Result<Self, IndexError> {
        std::fs::create_dir_all(home)?;
        let current = std::fs::read_to_string(home.join(CURRENT)).unwrap_or_default();
        let name =
            Some(current.trim()).filter(|name| name.starts_with(&prefix()) && home.join(name).is_dir());
        let open = match name {
            Some(name) => Open::existing(home, name)?,
            None => {
                let open = Open::fresh(Some(home), &name_of(0))?;
                std::fs::write(home.join(CURRENT), &open.name)?;
                open
            }
        };
        sweep(home, &open.name);
        Ok(Self::with(Some(home.to_owned()), open))
    }

    /// An index in memory, for tests and for a demonstration without a folder.
    ///
    /// # Errors
    /// [`IndexError::Failed`].
    pub fn in_memory() -> Result<Self, IndexError> {
        Ok(Self::with(None, Open::fresh(None, &name_of(0))?))
    }

    fn with(home: Option<PathBuf>, open: Open) -> Self {
        Self { home, open: Arc::new(ArcSwap::from_pointee(open)), writing: Arc::default() }
    }

    /// Work on the index that no search waits for.
    async fn quietly<T: Send + 'static>(
        work: impl FnOnce() -> Result<T, IndexError> + Send + 'static,
    ) -> Result<T, IndexError> {
        quietly(work).await.ok_or_else(|| IndexError::Failed("the work on the index broke off".to_owned()))?
    }
}

fn prefix() -> String {
    format!("medicines-v{VERSION}-")
}

fn name_of(number: u64) -> String {
    format!("{}{number}", prefix())
}

/// Removes what earlier builds left behind.
fn sweep(home: &Path, keep: &str) {
    for entry in std::fs::read_dir(home).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| name.starts_with("medicines-v") && name != keep);
        if ours && std::fs::remove_dir_all(entry.path()).is_err() {
            tracing::warn!("an old search index could not be removed");
        }
    }
}

impl Open {
    fn fresh(home: Option<&Path>, name: &str) -> Result<Self, IndexError> {
        let (fields, schema) = Fields::schema();
        let index = match home {
            None => Index::create_in_ram(schema),
            Some(home) => {
                let folder = home.join(name);
                if folder.exists() {
                    std::fs::remove_dir_all(&folder)?;
                }
                std::fs::create_dir_all(&folder)?;
                Index::create_in_dir(&folder, schema)?
            }
        };
        Self::of(index, fields, name)
    }

    fn existing(home: &Path, name: &str) -> Result<Self, IndexError> {
        let (fields, _) = Fields::schema();
        Self::of(Index::open_in_dir(home.join(name))?, fields, name)
    }

    fn of(index: Index, fields: Fields, name: &str) -> Result<Self, IndexError> {
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).doc_store_cache_num_blocks(0);
        let reader = reader.try_into()?;
        let (segments, scratches) = (ArcSwap::default(), Mutex::default());
        let open = Self { name: name.to_owned(), index, reader, fields, segments, scratches };
        open.lay_out()?;
        Ok(open)
    }

    /// Lays out in memory which segments there are; those that were there are kept.
    fn lay_out(&self) -> Result<(), IndexError> {
        let before = self.segments.load();
        let mut segments = Vec::new();
        for segment in self.reader.searcher().segment_readers() {
            let (id, deleted) = (segment.segment_id(), segment.num_deleted_docs());
            let known = before.iter().find(|known| known.id == id);
            if let Some(same) = known.filter(|known| known.deleted == deleted) {
                segments.push(same.clone());
                continue;
            }
            let lists = match known {
                Some(known) => Arc::clone(&known.lists),
                None => Arc::new(Lists::of(segment, &self.fields)?),
            };
            let dead = lists.dead(segment).map(Arc::from);
            segments.push(Segment { id, lists, deleted, dead });
        }
        self.segments.store(Arc::new(segments));
        Ok(())
    }

    fn writer(&self, bytes: usize) -> Result<IndexWriter, IndexError> {
        Ok(self.index.writer_with_num_threads(1, bytes)?)
    }

    fn position(&self) -> Result<i64, IndexError> {
        Ok(self.index.load_metas()?.payload.and_then(|position| position.parse().ok()).unwrap_or(0))
    }

    fn search(&self, query: &Query) -> Found {
        let Some(mut finder) = Finder::new(query) else { return Found::default() };
        let scratches = || self.scratches.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = scratches().pop().unwrap_or_default();
        for segment in self.segments.load().iter() {
            finder.segment(&View { lists: &segment.lists, dead: segment.dead.as_deref() }, &mut scratch);
        }
        let mut kept = scratches();
        if kept.len() < MOST_SCRATCHES {
            kept.push(scratch);
        }
        drop(kept);
        finder.found()
    }

    /// The version that a document has in the index.
    fn version(&self, key: Uuid) -> Result<Option<i64>, IndexError> {
        let term = Term::from_field_text(self.fields.key, &key_term(key));
        for segment in self.reader.searcher().segment_readers() {
            let found =
                segment.inverted_index(self.fields.key)?.read_postings(&term, IndexRecordOption::Basic)?;
            let Some(mut postings) = found else { continue };
            let versions = segment.fast_fields().i64("version")?;
            let mut doc = postings.doc();
            while doc != tantivy::TERMINATED {
                if !segment.is_deleted(doc) {
                    return Ok(versions.first(doc));
                }
                doc = postings.advance();
            }
        }
        Ok(None)
    }

    fn apply(&self, changes: Vec<Change>, position: i64) -> Result<(), IndexError> {
        let empty = self.reader.searcher().num_docs() == 0;
        let mut writer = self.writer(WRITER_BYTES)?;
        for (key, change) in newest(changes) {
            if !empty && self.version(key)?.is_some_and(|version| version > change.key().1) {
                continue;
            }
            writer.delete_term(Term::from_field_text(self.fields.key, &key_term(key)));
            if let Change::Put(document) = change {
                writer.add_document(self.fields.document(&document))?;
            }
        }
        commit(&mut writer, position)?;
        writer.wait_merging_threads()?;
        self.reader.reload()?;
        self.lay_out()
    }
}

fn commit(writer: &mut IndexWriter, position: i64) -> Result<(), IndexError> {
    let mut prepared = writer.prepare_commit()?;
    prepared.set_payload(&position.to_string());
    prepared.commit()?;
    Ok(())
}

#[async_trait]
impl MedicationIndex for Embedded {
    fn engine(&self) -> &'static str {
        "embedded"
    }

    async fn search(&self, query: Query) -> Result<Found, IndexError> {
        Ok(self.open.load().search(&query))
    }

    async fn apply(&self, changes: Vec<Change>, position: i64) -> Result<(), IndexError> {
        let (open, writing) = (Arc::clone(&self.open), Arc::clone(&self.writing));
        Self::quietly(move || {
            let _alone = writing.lock().unwrap_or_else(PoisonError::into_inner);
            open.load().apply(changes, position)
        })
        .await
    }

    async fn rebuild(&self) -> Result<Box<dyn Rebuild>, IndexError> {
        let before = self.open.load();
        let number = before.name.strip_prefix(&prefix()).and_then(|number| number.parse::<u64>().ok());
        let (home, name) = (self.home.clone(), name_of(number.unwrap_or(0) + 1));
        drop(before);
        let (fresh, writer) = Self::quietly(move || {
            let fresh = Open::fresh(home.as_deref(), &name)?;
            let writer = fresh.writer(BUILDER_BYTES)?;
            writer.set_merge_policy(Box::new(NoMergePolicy));
            Ok((fresh, writer))
        })
        .await?;
        Ok(Box::new(Building {
            fresh: Some((fresh, writer)),
            home: self.home.clone(),
            open: Arc::clone(&self.open),
            writing: Arc::clone(&self.writing),
        }))
    }

    async fn status(&self) -> Result<IndexStatus, IndexError> {
        let open = self.open.load_full();
        let documents = open.reader.searcher().num_docs();
        Ok(IndexStatus { name: open.name.clone(), documents, position: open.position()? })
    }
}

/// A fresh index beside the one in use.
struct Building {
    fresh: Option<(Open, IndexWriter<TantivyDocument>)>,
    home: Option<PathBuf>,
    open: Arc<ArcSwap<Open>>,
    writing: Arc<Mutex<()>>,
}

#[async_trait]
impl Rebuild for Building {
    async fn add(&mut self, documents: Vec<Document>) -> Result<(), IndexError> {
        let Some((fresh, writer)) = self.fresh.take() else { return Ok(()) };
        let worked = Embedded::quietly(move || {
            for document in &documents {
                writer.add_document(fresh.fields.document(document))?;
            }
            Ok((fresh, writer))
        });
        self.fresh = Some(worked.await?);
        Ok(())
    }

    async fn swap(mut self: Box<Self>, position: i64) -> Result<(), IndexError> {
        let Some((fresh, mut writer)) = self.fresh.take() else { return Ok(()) };
        Embedded::quietly(move || {
            let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            commit(&mut writer, position)?;
            let segments = fresh.index.searchable_segment_ids()?;
            if segments.len() > 1 {
                writer.merge(&segments).wait()?;
            }
            writer.wait_merging_threads()?;
            fresh.reader.reload()?;
            fresh.lay_out()?;
            if let Some(home) = &self.home {
                std::fs::write(home.join("current.new"), &fresh.name)?;
                std::fs::rename(home.join("current.new"), home.join(CURRENT))?;
            }
            self.open.store(Arc::new(fresh));
            Ok(())
        })
        .await
    }
}
