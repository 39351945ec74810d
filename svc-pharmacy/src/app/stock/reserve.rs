//! ReserveStock: a pharmacist puts stock aside at the counter. What is not there is refused with the nearest branch that has
//! it.

use caremesh_kernel::{BranchId, ReservationId};
use caremesh_mesh::{Action, CallContext, Touched};
use prost::Message;

use super::{ShownReservation, shown_reservation};
use crate::app::change::{Before, Done, Whose};
use crate::app::{App, Error, Once};
use crate::domain::branch::nearest_first;
use crate::domain::stock::{Ask, Refusal};
use crate::store::branch::Row;
use crate::store::stock::{self, Load, Place};

/// Whose a reservation at the counter is.
const COUNTER: &str = "counter";

/// What is put aside.
#[derive(Clone, Debug)]
pub struct Input {
    /// On which shelf.
    pub at: Place,
    /// Units.
    pub quantity: i64,
    /// Unit of the quantity.
    pub unit: String,
    /// For how long, in milliseconds.
    pub life_ms: i64,
}

/// Puts stock aside, once per request_id.
///
/// # Errors
/// [`Error::NotFound`] for another branch; [`Error::Unlicensed`]; [`Error::Shortage`]; [`Error::Stock`].
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, ShownReservation, T>,
    input: Input,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let branch = app.must_work_at(context, input.at.branch).await?;
    let licensed = Before::new(app.licensed_branch(context, branch.id).await.map(drop));
    let (at, quantity) = (input.at, input.quantity);
    let from = branch.clone();
    let answered = app.once(context, once, Whose::Nobody, move |tx| {
        let (input, today, licensed) = (input.clone(), branch.today(tx.now()), licensed.clone());
        Box::pin(async move {
            licensed.get()?;
            let ask = Ask {
                id: ReservationId::from_uuid(tx.uuid()),
                holder: COUNTER.to_owned(),
                quantity: input.quantity,
                unit: input.unit,
                expires: tx.now().plus_ms(input.life_ms),
            };
            let reservation = stock::reserve(tx, input.at, &ask, today).await?;
            let shelf = stock::load(tx, input.at, &ask.unit, Load::One(ask.id)).await?;
            tx.context().touched(Touched::new(None, ask.id, Action::Created));
            let outcome = shown_reservation(&shelf, input.at, reservation);
            Ok(Done { resource: ask.id.to_string(), version: 1, outcome })
        })
    });
    match answered.await {
        Err(Error::Stock(Refusal::Shortage { .. })) => {
            Err(Error::Shortage { next: app.next_with_stock(context, &from, at, quantity).await? })
        }
        other => other,
    }
}

impl App {
    /// The nearest other branch that could hand out a quantity now: what a refusal names instead.
    pub(crate) async fn next_with_stock(
        &self,
        context: &CallContext,
        from: &Row,
        at: Place,
        quantity: i64,
    ) -> Result<Option<BranchId>, Error> {
        let branches = super::find::able(self, context, at.product, quantity).await?;
        let others = branches.into_iter().filter(|branch| branch.id != from.id).collect();
        let nearest = nearest_first(from.place, others, |branch: &Row| branch.place);
        Ok(nearest.into_iter().next().map(|(branch, _)| branch.id))
    }
}
