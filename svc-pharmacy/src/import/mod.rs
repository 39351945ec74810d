//! Files of medicines into the catalogue: read row by row, entered batch by batch, searchable while it runs. A row that cannot
//! be meant is skipped and told with its line; a file that was cut off is imported again. It knows formats and no SQL.

mod format;
mod price;

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use caremesh_db::{Db, Error as DbError};
use caremesh_mesh::CallContext;
use csv::{ByteRecord, Reader, ReaderBuilder, Terminator};

pub use format::Format;

use crate::app::Error as AppError;
use crate::app::import_products::enter;
use crate::domain::product::{Product, RowRefusal};

/// Rows entered in one transaction.
const BATCH: usize = 1_000;
/// Skipped rows that a report names one by one; the others are counted.
const NAMED: usize = 1_000;

/// Why a file is not imported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("the file cannot be read")]
    File(#[from] std::io::Error),
    /// Its first line is none of the known headers.
    #[error("the header is not one of a known format: it lacks the column {missing:?}")]
    Header {
        /// The first column that is missing for the format that comes nearest.
        missing: &'static str,
    },
    /// The catalogue cannot be written.
    #[error("the catalogue cannot be written")]
    Store(#[source] DbError),
    /// Something that an import cannot meet.
    #[error("the import failed")]
    Failed(#[source] Box<AppError>),
}

/// How far an import has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the file that were read.
    pub bytes: u64,
    /// Bytes of the file.
    pub of_bytes: u64,
    /// Rows that were read.
    pub rows: u64,
}

/// A row that was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkippedRow {
    /// Its line in the file, from 1.
    pub line: u64,
    /// Why.
    pub refusal: RowRefusal,
}

/// What became of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows that were read.
    pub rows: u64,
    /// New products.
    pub created: u64,
    /// Products that changed.
    pub updated: u64,
    /// Products that were so already.
    pub unchanged: u64,
    /// Rows that were skipped.
    pub skipped: u64,
    /// The first thousand of them.
    pub named: Vec<SkippedRow>,
    /// Rows that were entered without something that could not be read: a price.
    pub without_price: u64,
}

/// Imports a file; its format is read from the header unless one is named.
///
/// # Errors
/// [`Error`]. What was entered before stays.
pub async fn run(
    db: &Db,
    context: &CallContext,
    file: &Path,
    format: Option<Format>,
    progress: &mut (dyn FnMut(&Progress) + Send),
) -> Result<Report, Error> {
    let file = File::open(file)?;
    let of_bytes = file.metadata()?.len();
    let mut rows = Rows::open(BufReader::with_capacity(1 << 20, file), format)?;
    let (mut report, mut seen) = (Report::default(), HashSet::new());
    let mut batch = Batch::default();
    while rows.next(&mut batch, &mut report) {
        if batch.rows.len() >= BATCH {
            batch.enter(db, context, &mut report, &mut seen).await?;
            progress(&Progress { bytes: rows.reader.position().byte(), of_bytes, rows: report.rows });
        }
    }
    batch.enter(db, context, &mut report, &mut seen).await?;
    progress(&Progress { bytes: of_bytes, of_bytes, rows: report.rows });
    Ok(report)
}

struct Rows<R> {
    reader: Reader<R>,
    format: Format,
    places: Vec<Option<usize>>,
    width: usize,
    record: ByteRecord,
}

impl<R: Read> Rows<R> {
    fn open(source: R, format: Option<Format>) -> Result<Self, Error> {
        // Lines of any ending; rows of any length, which are judged one by one.
        let mut reader = ReaderBuilder::new().flexible(true).terminator(Terminator::CRLF).from_reader(source);
        let header = reader.byte_headers().map_err(|error| Error::File(error.into()))?.clone();
        let names: Vec<String> =
            header.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let (format, places) = Format::of(&names, format).map_err(|missing| Error::Header { missing })?;
        Ok(Self { reader, format, places, width: names.len(), record: ByteRecord::new() })
    }

    /// Reads one row; false at the end.
    fn next(&mut self, batch: &mut Batch, report: &mut Report) -> bool {
        let row = match self.reader.read_byte_record(&mut self.record) {
            Ok(false) => return false,
            Ok(true) => self.product(report),
            // A broken disc ends the file; whatever else is wrong is wrong with this row only.
            Err(error) if error.is_io_error() => return false,
            Err(_) => Err(RowRefusal::LineMalformed),
        };
        let line = self.record.position().map_or(0, csv::Position::line);
        report.rows += 1;
        batch.rows.push(row);
        batch.lines.push(line);
        true
    }

    fn product(&self, report: &mut Report) -> Result<Product, RowRefusal> {
        if self.record.len() != self.width {
            return Err(RowRefusal::LineMalformed);
        }
        let mut texts = Vec::with_capacity(self.places.len());
        for place in &self.places {
            let bytes = place.and_then(|place| self.record.get(place)).unwrap_or_default();
            texts.push(std::str::from_utf8(bytes).map_err(|_| RowRefusal::LineMalformed)?);
        }
        let (product, unread) = self.format.product(&texts);
        report.without_price += u64::from(unread);
        Ok(product)
    }
}

#[derive(Default)]
struct Batch {
    rows: Vec<Result<Product, RowRefusal>>,
    lines: Vec<u64>,
}

impl Batch {
    async fn enter(
        &mut self,
        db: &Db,
        context: &CallContext,
        report: &mut Report,
        seen: &mut HashSet<u128>,
    ) -> Result<(), Error> {
        let lines = std::mem::take(&mut self.lines);
        let mut rows = std::mem::take(&mut self.rows);
        for row in &mut rows {
            // A code that stands twice in the file would change its product at every import, there and back.
            if let Ok(product) = row
                && !seen.insert(product.id().uuid().as_u128())
            {
                *row = Err(RowRefusal::CodeRepeated);
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        let entered = enter(db, context, rows).await.map_err(|error| match error {
            AppError::Store(cause) => Error::Store(cause),
            other => Error::Failed(Box::new(other)),
        })?;
        report.created += u64::from(entered.created);
        report.updated += u64::from(entered.updated);
        report.unchanged += u64::from(entered.unchanged);
        for (place, refusal) in entered.skipped {
            report.skipped += 1;
            if report.named.len() < NAMED {
                report.named.push(SkippedRow { line: lines[place], refusal });
            }
        }
        Ok(())
    }
}
