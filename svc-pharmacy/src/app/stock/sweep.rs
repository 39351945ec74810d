//! Gives stock of expired reservations back before anybody needs it, so that lists read well. Correctness does not wait for
//! it: every change of a shelf expires first what it would collide with.

use caremesh_mesh::CallContext;

use crate::app::{App, Error};
use crate::store::stock::{self, Load};

/// Shelves of one sweep.
const MOST: u32 = 100;

/// Sweeps once; returns how many shelves were tidied. Call again while it returns many.
///
/// # Errors
/// What the store answers.
pub async fn run(app: &App, context: &CallContext) -> Result<usize, Error> {
    let due = stock::due(&app.db.read(context), app.clock.now().as_micros(), MOST).await?;
    for at in due.iter().copied() {
        let tidied = app.db.write(context, move |tx| {
            Box::pin(async move {
                if let Some(shelf) = stock::locked(tx, at, Load::Due(tx.now())).await? {
                    stock::write(tx, at, shelf, "").await?;
                }
                Ok::<_, Error>(())
            })
        });
        tidied.await?;
    }
    Ok(due.len())
}
