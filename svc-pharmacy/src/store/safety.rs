//! What is known of patients, and who let which finding pass. Sealed: nothing here can read it.

use caremesh_db::{Batch, Expect};
use caremesh_kernel::{PersonId, PharmacistId, Timestamp};
use sea_orm::ConnectionTrait;

use super::{Error, parse_id};
use caremesh_db::sql::statement;

/// A row of `medication_profile`.
#[derive(Clone, Debug)]
pub(crate) struct ProfileRow {
    /// Whose.
    pub patient: PersonId,
    /// What is known, sealed.
    pub sealed: Vec<u8>,
    /// Version of the row.
    pub version: i64,
}

/// The profile of a patient. Whether the caller may see the patient is asked with it.
pub(crate) async fn find_profile<C: ConnectionTrait>(
    c: &C,
    patient: PersonId,
) -> Result<Option<ProfileRow>, Error> {
    let sql = "SELECT profile_sealed, version FROM medication_profile WHERE patient = $1";
    let row = c.query_one_raw(statement(c, sql, vec![patient.to_string().into()])).await?;
    row.map(|row| {
        Ok(ProfileRow { patient, sealed: row.try_get_by_index(0)?, version: row.try_get_by_index(1)? })
    })
    .transpose()
}

/// The profile at its new version; the first is version 1.
pub(crate) fn save_profile(row: &ProfileRow, now: Timestamp) -> Batch {
    let (patient, sealed) = (row.patient.to_string(), row.sealed.clone());
    let values = vec![patient.into(), sealed.into(), row.version.into(), now.as_micros().into()];
    let sql = match row.version {
        1 => {
            "INSERT INTO medication_profile (patient, profile_sealed, version, updated_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (patient) DO NOTHING"
        }
        _ => {
            "UPDATE medication_profile SET profile_sealed = $2, version = $3, updated_at = $4 \
             WHERE patient = $1 AND version = $3 - 1"
        }
    };
    let mut batch = Batch::new();
    batch.push("medication_profile", sql, values, Expect::Rows(1));
    batch
}

/// A row of `safety_override`.
#[derive(Clone, Debug)]
pub(crate) struct OverrideRow {
    /// For whom.
    pub patient: PersonId,
    /// Which finding, opaque.
    pub issue: String,
    /// By whom.
    pub pharmacist: PharmacistId,
    /// Why, sealed.
    pub reason_sealed: Vec<u8>,
    /// When.
    pub created: Timestamp,
    /// The first instant at which it is over.
    pub expires: Timestamp,
}

/// The overrides of a patient that hold at an instant; of several of one finding the newest.
pub(crate) async fn overrides<C: ConnectionTrait>(
    c: &C,
    patient: PersonId,
    now: Timestamp,
) -> Result<Vec<OverrideRow>, Error> {
    let sql = "SELECT issue, pharmacist_id, reason_sealed, created_at, expires_at FROM safety_override \
         WHERE patient = $1 AND expires_at > $2 ORDER BY created_at DESC";
    let rows =
        c.query_all_raw(statement(c, sql, vec![patient.to_string().into(), now.as_micros().into()])).await?;
    rows.iter()
        .map(|row| {
            Ok(OverrideRow {
                patient,
                issue: row.try_get_by_index(0)?,
                pharmacist: parse_id(&row.try_get_by_index::<String>(1)?)?,
                reason_sealed: row.try_get_by_index(2)?,
                created: Timestamp::from_micros(row.try_get_by_index(3)?),
                expires: Timestamp::from_micros(row.try_get_by_index(4)?),
            })
        })
        .collect()
}

/// A new override.
pub(crate) fn insert_override(row: &OverrideRow) -> Batch {
    let sql = "INSERT INTO safety_override (patient, issue, pharmacist_id, reason_sealed, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6)";
    let values = vec![
        row.patient.to_string().into(),
        row.issue.clone().into(),
        row.pharmacist.to_string().into(),
        row.reason_sealed.clone().into(),
        row.created.as_micros().into(),
        row.expires.as_micros().into(),
    ];
    let mut batch = Batch::new();
    batch.push("safety_override", sql, values, Expect::Rows(1));
    batch
}
