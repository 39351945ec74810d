//! CreateBranch: a branch enters the chain. It dispenses nothing before both licences are recorded.

use caremesh_kernel::{BranchId, OrganisationId, Zone};
use caremesh_mesh::{Action, CallContext, Touched};
use prost::Message;

use crate::app::change::{Done, Whose};
use crate::app::{App, Error, Once};
use crate::domain::branch::Point;
use crate::store::branch::{self, Row};

/// What is entered.
#[derive(Clone, Debug)]
pub struct Input {
    /// The chain.
    pub organisation: OrganisationId,
    /// What people call it.
    pub name: String,
    /// Whose rules hold.
    pub jurisdiction: String,
    /// In which its days are counted.
    pub zone: String,
    /// Where it is.
    pub place: Point,
}

/// Enters a branch, once per request_id.
///
/// # Errors
/// [`Error::Field`] for a jurisdiction or a zone that the product does not know.
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Row, T>,
    input: Input,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let field = |field: &str, rule| Error::Field { field: field.to_owned(), rule };
    if app.control.zone(&input.jurisdiction).is_none() {
        return Err(field("jurisdiction_code", "jurisdiction.known"));
    }
    let zone: Zone = input.zone.parse().map_err(|_| field("time_zone", "zone.known"))?;
    let id = BranchId::from_uuid(app.ids.uuid());
    app.once(context, once, Whose::Nobody, move |tx| {
        let row = Row {
            id,
            organisation: input.organisation,
            name: input.name.clone(),
            jurisdiction: input.jurisdiction.clone(),
            zone: zone.clone(),
            place: input.place,
            version: 1,
            created: tx.now(),
            licences: Vec::new(),
        };
        Box::pin(async move {
            tx.context().touched(Touched::new(None, id, Action::Created));
            tx.apply(branch::insert(&row)).await?;
            Ok(Done { resource: id.to_string(), version: 1, outcome: row })
        })
    })
    .await
}
