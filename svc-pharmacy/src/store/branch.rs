//! Branches, their licences and their pharmacists.

use caremesh_db::{Batch, Expect};
use caremesh_kernel::{BranchId, Date, DateRange, OrganisationId, PharmacistId, Timestamp, Zone};
use sea_orm::{ConnectionTrait, QueryResult};

use super::{Error, parse_date, parse_id};
use crate::domain::branch::{Licence, LicenceKind, Point, Registration, may_dispense};
use caremesh_db::sql::statement;

/// A row of `branch` with its licences.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its id.
    pub id: BranchId,
    /// Whose it is.
    pub organisation: OrganisationId,
    /// What people call it.
    pub name: String,
    /// Whose rules hold.
    pub jurisdiction: String,
    /// In which its days are counted.
    pub zone: Zone,
    /// Where it is.
    pub place: Point,
    /// Version of its row.
    pub version: i64,
    /// When it was entered.
    pub created: Timestamp,
    /// Its licences.
    pub licences: Vec<Licence>,
}

impl Row {
    /// The day that it is at the branch.
    #[must_use]
    pub fn today(&self, now: Timestamp) -> Date {
        self.zone.day_of(now)
    }

    /// Whether both licences hold now.
    #[must_use]
    pub fn may_dispense(&self, now: Timestamp) -> bool {
        may_dispense(&self.licences, self.today(now)).is_ok()
    }
}

const COLUMNS: &str = "b.id, b.organisation_id, b.name, b.jurisdiction, b.zone, b.latitude_e6, b.longitude_e6, b.version, \
     b.created_at";

/// A branch.
pub(crate) async fn find<C: ConnectionTrait>(c: &C, id: BranchId) -> Result<Option<Row>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM branch b WHERE b.id = $1");
    let Some(row) = c.query_one_raw(statement(c, &sql, vec![id.to_string().into()])).await? else {
        return Ok(None);
    };
    let mut found = vec![read(&row)?];
    add_licences(c, &mut found).await?;
    Ok(found.pop())
}

/// Branches of a jurisdiction after an id.
pub(crate) async fn list<C: ConnectionTrait>(
    c: &C,
    jurisdiction: &str,
    after: Option<(String, String)>,
    limit: u32,
) -> Result<Vec<Row>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM branch b WHERE b.jurisdiction = $1 AND (b.name > $2 OR (b.name = $2 AND b.id > $3)) \
         ORDER BY b.name, b.id LIMIT $4"
    );
    let (name, id) = after.unwrap_or_default();
    let values = vec![jurisdiction.into(), name.into(), id.into(), i64::from(limit).into()];
    read_all(c, &sql, values).await
}

/// Branches that have a lot of a product with something on hand.
pub(crate) async fn with_stock<C: ConnectionTrait>(
    c: &C,
    product: caremesh_kernel::ProductId,
) -> Result<Vec<Row>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM branch b WHERE b.id IN (SELECT l.branch_id FROM stock_lot l WHERE l.product_id = $1 \
         AND l.on_hand > 0 AND l.recalled = 0)"
    );
    read_all(c, &sql, vec![product.to_string().into()]).await
}

async fn read_all<C: ConnectionTrait>(
    c: &C,
    sql: &str,
    values: Vec<sea_orm::Value>,
) -> Result<Vec<Row>, Error> {
    let rows = c.query_all_raw(statement(c, sql, values)).await?;
    let mut found = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    add_licences(c, &mut found).await?;
    Ok(found)
}

async fn add_licences<C: ConnectionTrait>(c: &C, branches: &mut [Row]) -> Result<(), Error> {
    for branch in branches {
        let sql = "SELECT kind, number, starts_on, ends_on FROM branch_licence WHERE branch_id = $1 \
             ORDER BY kind, starts_on";
        let rows = c.query_all_raw(statement(c, sql, vec![branch.id.to_string().into()])).await?;
        branch.licences = rows.iter().map(read_licence).collect::<Result<_, _>>()?;
    }
    Ok(())
}

fn read_licence(row: &QueryResult) -> Result<Licence, Error> {
    let kind: String = row.try_get_by_index(0)?;
    Ok(Licence {
        kind: LicenceKind::of_name(&kind).ok_or(Error::Corrupt("kind of a licence"))?,
        number: row.try_get_by_index(1)?,
        valid: range(row, 2)?,
    })
}

/// Two columns of days as a range.
fn range(row: &QueryResult, first: usize) -> Result<DateRange, Error> {
    let start = parse_date(&row.try_get_by_index::<String>(first)?)?;
    let end = parse_date(&row.try_get_by_index::<String>(first + 1)?)?;
    DateRange::new(start, end).map_err(|_| Error::Corrupt("a range of days"))
}

/// A new branch.
pub(crate) fn insert(row: &Row) -> Batch {
    let sql = "INSERT INTO branch (id, organisation_id, name, jurisdiction, zone, latitude_e6, longitude_e6, version, \
         created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let values = vec![
        row.id.to_string().into(),
        row.organisation.to_string().into(),
        row.name.clone().into(),
        row.jurisdiction.clone().into(),
        row.zone.name().into(),
        i64::from(row.place.latitude_e6).into(),
        i64::from(row.place.longitude_e6).into(),
        row.version.into(),
        row.created.as_micros().into(),
    ];
    let mut batch = Batch::new();
    batch.push("branch", sql, values, Expect::Rows(1));
    batch
}

/// A licence; the same kind with the same first day is replaced.
pub(crate) fn record_licence(branch: BranchId, licence: &Licence, now: Timestamp) -> Batch {
    let mut batch = Batch::new();
    let sql = "INSERT INTO branch_licence (branch_id, kind, number, starts_on, ends_on, recorded_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (branch_id, kind, starts_on) \
         DO UPDATE SET number = excluded.number, ends_on = excluded.ends_on, recorded_at = excluded.recorded_at";
    let values = vec![
        branch.to_string().into(),
        licence.kind.name().into(),
        licence.number.clone().into(),
        licence.valid.start().to_string().into(),
        licence.valid.end().to_string().into(),
        now.as_micros().into(),
    ];
    batch.push("branch_licence", sql, values, Expect::Rows(1));
    let bump = "UPDATE branch SET version = version + 1 WHERE id = $1";
    batch.push("branch", bump, vec![branch.to_string().into()], Expect::Rows(1));
    batch
}

/// A pharmacist as registered.
#[derive(Clone, Debug)]
pub struct Pharmacist {
    /// The registration.
    pub registration: Registration,
    /// Number in the public register.
    pub number: String,
}

/// The registration of whom the issuer calls so, by the keyed hash of that name.
pub(crate) async fn find_pharmacist<C: ConnectionTrait>(
    c: &C,
    subject: &str,
) -> Result<Option<Pharmacist>, Error> {
    let sql =
        "SELECT id, branch_id, registration_number, starts_on, ends_on FROM pharmacist WHERE subject = $1";
    let row = c.query_one_raw(statement(c, sql, vec![subject.into()])).await?;
    row.map(|row| read_pharmacist(&row)).transpose()
}

fn read_pharmacist(row: &QueryResult) -> Result<Pharmacist, Error> {
    let registration = Registration {
        pharmacist: parse_id(&row.try_get_by_index::<String>(0)?)?,
        branch: parse_id(&row.try_get_by_index::<String>(1)?)?,
        valid: range(row, 3)?,
    };
    Ok(Pharmacist { registration, number: row.try_get_by_index(2)? })
}

/// Registers a pharmacist, or moves the registration of one who is known; gives the id.
pub(crate) async fn register<C: ConnectionTrait>(
    c: &C,
    fresh: PharmacistId,
    subject: &str,
    pharmacist: &Pharmacist,
) -> Result<PharmacistId, Error> {
    let sql = "INSERT INTO pharmacist (id, subject, branch_id, registration_number, starts_on, ends_on, version) \
         VALUES ($1, $2, $3, $4, $5, $6, 1) ON CONFLICT (subject) DO UPDATE SET branch_id = excluded.branch_id, \
         registration_number = excluded.registration_number, starts_on = excluded.starts_on, \
         ends_on = excluded.ends_on, version = pharmacist.version + 1 RETURNING id";
    let valid = pharmacist.registration.valid;
    let values = vec![
        fresh.to_string().into(),
        subject.into(),
        pharmacist.registration.branch.to_string().into(),
        pharmacist.number.clone().into(),
        valid.start().to_string().into(),
        valid.end().to_string().into(),
    ];
    let row = c.query_one_raw(statement(c, sql, values)).await?.ok_or(Error::Corrupt("a registration"))?;
    parse_id(&row.try_get_by_index::<String>(0)?)
}

fn read(row: &QueryResult) -> Result<Row, Error> {
    let zone: String = row.try_get_by_index(4)?;
    let micro = |place: usize| -> Result<i32, Error> {
        let value: i64 = row.try_get_by_index(place)?;
        i32::try_from(value).map_err(|_| Error::Corrupt("place of a branch"))
    };
    Ok(Row {
        id: parse_id(&row.try_get_by_index::<String>(0)?)?,
        organisation: parse_id(&row.try_get_by_index::<String>(1)?)?,
        name: row.try_get_by_index(2)?,
        jurisdiction: row.try_get_by_index(3)?,
        zone: zone.parse().map_err(|_| Error::Corrupt("zone of a branch"))?,
        place: Point { latitude_e6: micro(5)?, longitude_e6: micro(6)? },
        version: row.try_get_by_index(7)?,
        created: Timestamp::from_micros(row.try_get_by_index(8)?),
        licences: Vec::new(),
    })
}
