//! RecordLicence: a licence of the premises or of the superintendent pharmacist, with its days.

use caremesh_kernel::{BranchId, Timestamp};
use caremesh_mesh::{Action, CallContext, Touched};
use prost::Message;

use crate::app::change::{Done, Whose};
use crate::app::{App, Error, Once};
use crate::domain::branch::Licence;
use crate::store::branch::{self, Row};

/// Records a licence, once per request_id. Answers the branch and the instant at which it stands so.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, (Row, Timestamp), T>,
    id: BranchId,
    licence: Licence,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    super::get(app, context, id).await?;
    app.once(context, once, Whose::Nobody, move |tx| {
        let licence = licence.clone();
        Box::pin(async move {
            tx.context().touched(Touched::new(None, id, Action::Changed));
            tx.apply(branch::record_licence(id, &licence, tx.now())).await?;
            let row = branch::find(tx, id).await?.ok_or(Error::NotFound)?;
            Ok(Done { resource: id.to_string(), version: row.version, outcome: (row, tx.now()) })
        })
    })
    .await
}
