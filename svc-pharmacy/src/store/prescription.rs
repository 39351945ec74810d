//! Prescriptions and their items. What a prescription says is sealed, so nothing here can read it; states and counters are
//! plain.

use caremesh_db::{Batch, Expect};
use caremesh_kernel::{EpisodeId, PersonId, PharmacistId, PrescriptionId, PrescriptionItemId, Timestamp};
use sea_orm::{ConnectionTrait, QueryResult, Value};

use super::{Error, parse_date, parse_id};
use crate::domain::prescription::{
    Counters, ItemState, Lease, MediaType, PaperState, Rejection, Source, Supply,
};
use caremesh_db::sql::statement;

/// The document of a paper prescription, as it was announced.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its id where the bytes are kept.
    pub id: caremesh_kernel::Uuid,
    /// Digest, lower-case hexadecimal.
    pub sha256: String,
    /// Kind.
    pub kind: MediaType,
    /// Bytes.
    pub size: i64,
}

/// A row of `prescription`.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its id.
    pub id: PrescriptionId,
    /// For whom.
    pub patient: PersonId,
    /// Whose rules hold.
    pub jurisdiction: String,
    /// Where it comes from.
    pub source: Source,
    /// Its id where it was signed.
    pub source_id: Option<String>,
    /// Where it stood when it was stored.
    pub state: PaperState,
    /// Who wrote it, when and how, sealed.
    pub detail_sealed: Option<Vec<u8>>,
    /// Keyed hash of the prescriber's name at the token's issuer, where a person signed.
    pub prescriber: Option<String>,
    /// Why it was refused.
    pub rejection: Option<Rejection>,
    /// Who verified it.
    pub verified_by: Option<PharmacistId>,
    /// The safety check at verification, sealed.
    pub safety_sealed: Option<Vec<u8>>,
    /// The document of paper.
    pub document: Option<Document>,
    /// Who works on it.
    pub lease: Option<Lease>,
    /// The care episode.
    pub episode: Option<EpisodeId>,
    /// Version of the row.
    pub version: i64,
    /// When it was entered.
    pub created: Timestamp,
    /// When it ends unless it is completed or verified before.
    pub expires: Option<Timestamp>,
}

/// A row of `prescription_item`.
#[derive(Clone, Debug)]
pub(crate) struct ItemRow {
    /// Its id.
    pub id: PrescriptionItemId,
    /// Of which prescription.
    pub prescription: PrescriptionId,
    /// Its place, from 1.
    pub position: i64,
    /// Where it stood when it was stored.
    pub state: ItemState,
    /// What was prescribed, sealed.
    pub content_sealed: Vec<u8>,
    /// Units of one fill: for the database's own check.
    pub quantity: i64,
    /// Fills in all: likewise.
    pub fills_allowed: i64,
    /// What was handed out.
    pub counters: Counters,
    /// Version of the row.
    pub version: i64,
}

const COLUMNS: &str = "p.id, p.patient, p.jurisdiction, p.source, p.source_id, p.state, p.detail_sealed, p.prescriber, \
     p.rejection, p.verified_by, p.safety_sealed, p.document_id, p.document_sha256, p.document_type, p.document_size, \
     p.lease_by, p.lease_until, p.episode_id, p.version, p.created_at, p.expires_at";

/// A prescription. Whether the caller may see it is asked with it: `App::must_see`.
pub(crate) async fn find<C: ConnectionTrait>(c: &C, id: PrescriptionId) -> Result<Option<Row>, Error> {
    one(c, "p.id = $1", id.to_string()).await
}

/// The prescription of an item.
pub(crate) async fn find_by_item<C: ConnectionTrait>(
    c: &C,
    id: PrescriptionItemId,
) -> Result<Option<Row>, Error> {
    one(c, "p.id = (SELECT i.prescription_id FROM prescription_item i WHERE i.id = $1)", id.to_string()).await
}

/// The prescription that was issued under an id of a consultation.
pub(crate) async fn find_by_source<C: ConnectionTrait>(c: &C, source_id: &str) -> Result<Option<Row>, Error> {
    one(c, "p.source_id = $1", source_id.to_owned()).await
}

async fn one<C: ConnectionTrait>(c: &C, chosen: &str, value: String) -> Result<Option<Row>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM prescription p WHERE {chosen}");
    c.query_one_raw(statement(c, &sql, vec![value.into()])).await?.map(|row| read(&row)).transpose()
}

/// Prescriptions of a patient, newest first, before an id.
pub(crate) async fn list<C: ConnectionTrait>(
    c: &C,
    patient: PersonId,
    before: Option<String>,
    limit: u32,
) -> Result<Vec<Row>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM prescription p WHERE p.patient = $1 AND ($2 = '' OR p.id < $2) ORDER BY p.id DESC LIMIT $3"
    );
    let values = vec![patient.to_string().into(), before.unwrap_or_default().into(), i64::from(limit).into()];
    c.query_all_raw(statement(c, &sql, values)).await?.iter().map(read).collect()
}

/// Prescriptions of a patient whose items may be in use.
pub(crate) async fn verified<C: ConnectionTrait>(c: &C, patient: PersonId) -> Result<Vec<Row>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM prescription p WHERE p.patient = $1 AND p.state = 'VERIFIED'");
    c.query_all_raw(statement(c, &sql, vec![patient.to_string().into()])).await?.iter().map(read).collect()
}

const ITEM: &str = "i.id, i.prescription_id, i.position, i.state, i.content_sealed, i.quantity, i.fills_allowed, i.fills, \
     i.in_fill, i.total, i.supply_as_of, i.supply_left, i.supply_fill, i.begun_on, i.amended, i.version";

/// The items of a prescription, in order.
pub(crate) async fn items<C: ConnectionTrait>(c: &C, id: PrescriptionId) -> Result<Vec<ItemRow>, Error> {
    let sql =
        format!("SELECT {ITEM} FROM prescription_item i WHERE i.prescription_id = $1 ORDER BY i.position");
    c.query_all_raw(statement(c, &sql, vec![id.to_string().into()])).await?.iter().map(read_item).collect()
}

/// A new prescription.
pub(crate) fn insert(row: &Row) -> Batch {
    let sql = "INSERT INTO prescription (id, version, state, detail_sealed, rejection, verified_by, safety_sealed, lease_by, \
         lease_until, expires_at, patient, jurisdiction, source, source_id, prescriber, document_id, document_sha256, \
         document_type, document_size, episode_id, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)";
    let document = row.document.as_ref();
    let mut values = changing(row);
    values.extend([
        row.patient.to_string().into(),
        row.jurisdiction.clone().into(),
        row.source.name().into(),
        row.source_id.clone().into(),
        row.prescriber.clone().into(),
        document.map(|document| document.id.to_string()).into(),
        document.map(|document| document.sha256.clone()).into(),
        document.map(|document| document.kind.name().to_owned()).into(),
        document.map(|document| document.size).into(),
        row.episode.map(|id| id.to_string()).into(),
        row.created.as_micros().into(),
    ]);
    let mut batch = Batch::new();
    batch.push("prescription", sql, values, Expect::Rows(1));
    batch
}

/// The columns that change, the key and the version before them.
fn changing(row: &Row) -> Vec<Value> {
    vec![
        row.id.to_string().into(),
        row.version.into(),
        row.state.name().into(),
        row.detail_sealed.clone().into(),
        row.rejection.map(|reason| reason.name().to_owned()).into(),
        row.verified_by.map(|id| id.to_string()).into(),
        row.safety_sealed.clone().into(),
        row.lease.map(|lease| lease.pharmacist.to_string()).into(),
        row.lease.map(|lease| lease.until.as_micros()).into(),
        row.expires.map(Timestamp::as_micros).into(),
    ]
}

/// A changed prescription, when it is still at the version before.
pub(crate) fn update(row: &Row) -> Batch {
    let sql = "UPDATE prescription SET version = $2, state = $3, detail_sealed = $4, rejection = $5, verified_by = $6, \
         safety_sealed = $7, lease_by = $8, lease_until = $9, expires_at = $10 WHERE id = $1 AND version = $2 - 1";
    let mut batch = Batch::new();
    batch.push("prescription", sql, changing(row), Expect::Rows(1));
    batch
}

/// New items.
pub(crate) fn insert_items(rows: &[ItemRow]) -> Batch {
    let sql = "INSERT INTO prescription_item (id, version, state, content_sealed, fills, in_fill, total, supply_as_of, \
         supply_left, supply_fill, begun_on, amended, prescription_id, position, quantity, fills_allowed) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
    let mut batch = Batch::new();
    for row in rows {
        let mut values = changing_item(row);
        values.extend([
            row.prescription.to_string().into(),
            row.position.into(),
            row.quantity.into(),
            row.fills_allowed.into(),
        ]);
        batch.push("prescription_item", sql, values, Expect::Rows(1));
    }
    batch
}

fn changing_item(row: &ItemRow) -> Vec<Value> {
    let (counters, supply) = (row.counters, row.counters.supply);
    vec![
        row.id.to_string().into(),
        row.version.into(),
        row.state.name().into(),
        row.content_sealed.clone().into(),
        i64::from(counters.fills).into(),
        counters.in_fill.into(),
        counters.total.into(),
        supply.map(|supply| supply.as_of.to_string()).into(),
        supply.map(|supply| supply.left_millionths).into(),
        supply.map(|supply| supply.fill_millionths).into(),
        counters.begun.map(|day| day.to_string()).into(),
        i64::from(counters.amended).into(),
    ]
}

/// Changed items, each when it is still at the version before.
pub(crate) fn update_items(rows: &[ItemRow]) -> Batch {
    let sql = "UPDATE prescription_item SET version = $2, state = $3, content_sealed = $4, fills = $5, in_fill = $6, \
         total = $7, supply_as_of = $8, supply_left = $9, supply_fill = $10, begun_on = $11, amended = $12 \
         WHERE id = $1 AND version = $2 - 1";
    let mut batch = Batch::new();
    rows.iter().for_each(|row| {
        batch.push("prescription_item", sql, changing_item(row), Expect::Rows(1));
    });
    batch
}

/// Takes the items of a transcription away, before another one takes their place.
pub(crate) fn remove_items(id: PrescriptionId) -> Batch {
    let mut batch = Batch::new();
    let sql = "DELETE FROM prescription_item WHERE prescription_id = $1";
    batch.push("prescription_item", sql, vec![id.to_string().into()], Expect::Any);
    batch
}

/// Marks the items of a paper as used: the second to try is refused by the key of the table.
pub(crate) fn mark_paper(marks: &[String], id: PrescriptionId) -> Batch {
    let mut batch = Batch::new();
    for mark in marks {
        let sql = "INSERT INTO paper_item (mark, prescription_id) VALUES ($1, $2)";
        batch.push("paper_item", sql, vec![mark.clone().into(), id.to_string().into()], Expect::Rows(1));
    }
    batch
}

/// Gives the marks of a paper back: what was never filled may be transcribed again from the same paper.
pub(crate) fn unmark_paper(id: PrescriptionId) -> Batch {
    let mut batch = Batch::new();
    let sql = "DELETE FROM paper_item WHERE prescription_id = $1";
    batch.push("paper_item", sql, vec![id.to_string().into()], Expect::Any);
    batch
}

fn read(row: &QueryResult) -> Result<Row, Error> {
    let text = |place: usize| -> Result<Option<String>, Error> { Ok(row.try_get_by_index(place)?) };
    let named = |place: usize| text(place)?.ok_or(Error::Corrupt("a column of a prescription"));
    let rejection =
        text(8)?.map(|name| Rejection::of_name(&name).ok_or(Error::Corrupt("a rejection"))).transpose()?;
    Ok(Row {
        id: parse_id(&named(0)?)?,
        patient: parse_id(&named(1)?)?,
        jurisdiction: named(2)?,
        source: Source::of_name(&named(3)?).ok_or(Error::Corrupt("source of a prescription"))?,
        source_id: text(4)?,
        state: PaperState::of_name(&named(5)?).ok_or(Error::Corrupt("state of a prescription"))?,
        detail_sealed: row.try_get_by_index(6)?,
        prescriber: text(7)?,
        rejection,
        verified_by: text(9)?.as_deref().map(parse_id).transpose()?,
        safety_sealed: row.try_get_by_index(10)?,
        document: read_document(row)?,
        lease: read_lease(row)?,
        episode: text(17)?.as_deref().map(parse_id).transpose()?,
        version: row.try_get_by_index(18)?,
        created: Timestamp::from_micros(row.try_get_by_index(19)?),
        expires: row.try_get_by_index::<Option<i64>>(20)?.map(Timestamp::from_micros),
    })
}

fn read_document(row: &QueryResult) -> Result<Option<Document>, Error> {
    let corrupt = || Error::Corrupt("document of a prescription");
    let Some(id) = row.try_get_by_index::<Option<String>>(11)? else { return Ok(None) };
    let kind: Option<String> = row.try_get_by_index(13)?;
    Ok(Some(Document {
        id: id.parse().map_err(|_| corrupt())?,
        sha256: row.try_get_by_index::<Option<String>>(12)?.ok_or_else(corrupt)?,
        kind: kind.as_deref().and_then(MediaType::of_name).ok_or_else(corrupt)?,
        size: row.try_get_by_index::<Option<i64>>(14)?.ok_or_else(corrupt)?,
    }))
}

fn read_lease(row: &QueryResult) -> Result<Option<Lease>, Error> {
    let by: Option<String> = row.try_get_by_index(15)?;
    let until: Option<i64> = row.try_get_by_index(16)?;
    let lease = by.zip(until).map(|(by, until)| {
        Ok::<_, Error>(Lease { pharmacist: parse_id(&by)?, until: Timestamp::from_micros(until) })
    });
    lease.transpose()
}

fn read_item(row: &QueryResult) -> Result<ItemRow, Error> {
    let state: String = row.try_get_by_index(3)?;
    let day = |place: usize| -> Result<_, Error> {
        row.try_get_by_index::<Option<String>>(place)?.as_deref().map(parse_date).transpose()
    };
    let left: Option<i64> = row.try_get_by_index(11)?;
    let fill: Option<i64> = row.try_get_by_index(12)?;
    let supply = day(10)?.zip(left.zip(fill));
    let fills: i64 = row.try_get_by_index(7)?;
    let amended: i64 = row.try_get_by_index(14)?;
    Ok(ItemRow {
        id: parse_id(&row.try_get_by_index::<String>(0)?)?,
        prescription: parse_id(&row.try_get_by_index::<String>(1)?)?,
        position: row.try_get_by_index(2)?,
        state: ItemState::of_name(&state).ok_or(Error::Corrupt("state of an item"))?,
        content_sealed: row.try_get_by_index(4)?,
        quantity: row.try_get_by_index(5)?,
        fills_allowed: row.try_get_by_index(6)?,
        counters: Counters {
            fills: u32::try_from(fills).map_err(|_| Error::Corrupt("fills of an item"))?,
            in_fill: row.try_get_by_index(8)?,
            total: row.try_get_by_index(9)?,
            supply: supply.map(|(as_of, (left_millionths, fill_millionths))| Supply {
                as_of,
                left_millionths,
                fill_millionths,
            }),
            begun: day(13)?,
            amended: amended != 0,
        },
        version: row.try_get_by_index(15)?,
    })
}
