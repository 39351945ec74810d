//! ClaimVerification: the oldest paper that waits becomes a pharmacist's work for twenty minutes.

use caremesh_kernel::PrescriptionId;
use caremesh_mesh::{Action, CallContext, Touched};
use prost::Message;

use super::Shown;
use crate::app::change::{Done, Whose};
use crate::app::{App, Error, Once};
use crate::domain::prescription::Lease;
use crate::store::prescription::{self, Row};
use crate::store::queue;

/// Milliseconds of a lease.
const LEASE_MS: i64 = 20 * 60 * 1_000;
/// How often a claim that somebody else won is tried anew.
const TRIES: u32 = 10;

/// The work, if there is any.
pub struct Claimed {
    /// The prescription, without what an earlier transcription says, and until when it is the caller's.
    pub work: Option<(Shown, Lease)>,
    /// How many more wait.
    pub waiting: i64,
    /// An earlier prescription with the same document.
    pub duplicate_of: Option<PrescriptionId>,
}

/// Claims work, once per request_id: asking again gives the same work.
///
/// # Errors
/// [`Error::NotRegistered`].
pub async fn run<R, T>(app: &App, context: &CallContext, once: Once<R, Claimed, T>) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let (pharmacist, branch) = app.pharmacist(context).await?;
    let pharmacist = pharmacist.registration.pharmacist;
    let again = app.clone();
    app.once(context, once, Whose::OfPrescription, move |tx| {
        let (app, jurisdiction) = (again.clone(), branch.jurisdiction.clone());
        let lease = Lease { pharmacist, until: tx.now().plus_ms(LEASE_MS) };
        Box::pin(async move {
            let claimed = claim(tx, &jurisdiction, lease).await?;
            let waiting = queue::waiting(tx, &jurisdiction, tx.now()).await?;
            let Some(row) = claimed else {
                tx.context().touched(Touched::read(None, "queue"));
                let outcome = Claimed { work: None, waiting, duplicate_of: None };
                return Ok(Done { resource: "queue".to_owned(), version: 0, outcome });
            };
            let sha256 = row.document.as_ref().map(|document| document.sha256.clone()).unwrap_or_default();
            let duplicate_of = queue::same_document(tx, row.id, &sha256, false).await?;
            tx.context().touched(Touched::new(row.patient, row.id, Action::Changed));
            let (resource, version) = (row.id.to_string(), row.version);
            let outcome = Claimed { work: Some((app.bare(row, tx.now()), lease)), waiting, duplicate_of };
            Ok(Done { resource, version, outcome })
        })
    })
    .await
}

/// When somebody else was faster the next one is tried.
async fn claim(tx: &caremesh_db::Tx, jurisdiction: &str, lease: Lease) -> Result<Option<Row>, Error> {
    for _ in 0..TRIES {
        if let Some(id) = queue::claim(tx, jurisdiction, lease, tx.now()).await? {
            return Ok(prescription::find(tx, id).await?);
        }
        if queue::waiting(tx, jurisdiction, tx.now()).await? == 0 {
            return Ok(None);
        }
    }
    Ok(None)
}
