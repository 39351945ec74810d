//! RecallLot: a maker's lot is taken out everywhere, and whoever waits for some of it is planned anew.

use caremesh_kernel::{LotId, ProductId};
use caremesh_mesh::policy::Relationship;
use caremesh_mesh::{Action, CallContext, Touched};
use prost::Message;

use super::{ShownLot, shown_lot};
use crate::app::change::{Done, Whose};
use crate::app::scope::is_granted;
use crate::app::{App, Error, Once, pharmacy_events};
use crate::store::branch::{self, Row};
use crate::store::stock::{self, Load, Place};

/// What is recalled.
#[derive(Clone, Debug)]
pub struct Input {
    /// Of which product.
    pub product: ProductId,
    /// The maker's lot number.
    pub number: String,
    /// Why.
    pub reason: String,
}

/// What it hit.
pub struct Outcome {
    /// The lots.
    pub lots: Vec<ShownLot>,
    /// Broken reservations.
    pub broken: usize,
}

/// Recalls a lot at every branch of the caller's chain, or of all chains for an operator, once per request_id. No branch has
/// it: that is an answer too.
///
/// # Errors
/// [`Error::NotFound`] for a pharmacist who is not registered.
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Outcome, T>,
    input: Input,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let chain = match is_granted(context, Relationship::Any) {
        true => None,
        false => Some(app.pharmacist(context).await.map_err(|_| Error::NotFound)?.1.organisation),
    };
    app.once(context, once, Whose::Nobody, move |tx| {
        let input = input.clone();
        Box::pin(async move {
            let mut outcome = Outcome { lots: Vec::new(), broken: 0 };
            // In the order of branches, as everybody locks several shelves: nobody waits in a circle.
            for (id, lot) in stock::branches_with_lot(tx, input.product, &input.number).await? {
                let branch = branch::find(tx, id).await?.ok_or(Error::NotFound)?;
                if chain.is_none_or(|chain| chain == branch.organisation) {
                    recall_at(tx, &branch, lot, &input, &mut outcome).await?;
                }
            }
            Ok(Done { resource: input.product.to_string(), version: 1, outcome })
        })
    })
    .await
}

async fn recall_at(
    tx: &caremesh_db::Tx,
    branch: &Row,
    lot: LotId,
    input: &Input,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let at = Place { branch: branch.id, product: input.product };
    let mut shelf = stock::locked(tx, at, Load::Held).await?.ok_or(Error::NotFound)?;
    let recalled = shelf.recall(lot)?;
    tx.emit(pharmacy_events::broken(&shelf, &recalled.broken, tx.now()));
    outcome.broken += recalled.broken.len();
    outcome.lots.push(shown_lot(&shelf, at, lot, branch.today(tx.now()))?);
    tx.context().touched(Touched::new(None, lot, Action::Changed));
    Ok(stock::write(tx, at, shelf, &input.reason).await?)
}
