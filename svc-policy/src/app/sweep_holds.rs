//! Gives the room of expired holds back before anybody needs it, so that balances read well. Correctness does not wait for
//! it: every posting expires first what it touches.

use caremesh_db::Tx;
use caremesh_kernel::{PostingId, Timestamp};
use caremesh_mesh::{Action as Done, CallContext, Touched};

use super::posting::written;
use super::{App, Error, events};
use crate::domain::ledger::{Book, Posting, Source, sweep};
use crate::store::ledger::{self, Due, Query};

/// Holds of one sweep.
const MOST: u32 = 100;

/// Sweeps once; returns how many holds were ended. Call again while it returns many.
///
/// # Errors
/// What the store answers. A hold that somebody else touches meanwhile is left to them.
pub async fn run(app: &App, context: &CallContext) -> Result<usize, Error> {
    let due = ledger::due(&app.db.read(context), app.clock.now(), MOST).await?;
    let mut ended = 0;
    for hold in due {
        ended += usize::from(sweep_one(app, context, hold).await?);
    }
    Ok(ended)
}

async fn sweep_one(app: &App, context: &CallContext, due: Due) -> Result<bool, Error> {
    let id = PostingId::from_uuid(app.ids.uuid());
    let swept = app.db.write(context, move |tx| Box::pin(write(tx, due, id))).await;
    match swept {
        Ok(swept) => Ok(swept),
        // Whoever was faster has expired it too.
        Err(Error::Collided) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn write(tx: &Tx, due: Due, id: PostingId) -> Result<bool, Error> {
    let source = Source { service: "svc-policy".to_owned(), resource: due.hold.to_string() };
    let query = Query {
        accounts: Vec::new(),
        holds: vec![due.hold],
        reversed: Vec::new(),
        restored: None,
        member: due.member,
        day: due.day,
        source: source.clone(),
    };
    let view = ledger::view(tx, tx.kind(), &query, tx.now()).await?;
    let hold = view.holds.iter().find(|hold| hold.id == due.hold).cloned();
    let (Some(hold), Some(cover)) = (hold, view.cover) else { return Ok(false) };
    let posting = posting(id, source, hold.event, tx.now());
    let book = Book::new(view.accounts, view.holds, view.captured);
    let decision =
        sweep(book, &posting).map_err(|refusal| Error::Ledger { refusal, balances: Vec::new() })?;
    if decision.entries.is_empty() {
        return Ok(false);
    }
    tx.emit([events::benefit_posted(cover.policy, id, tx.now())]);
    tx.context().touched(Touched::new(cover.person, id, Done::Created));
    tx.apply(ledger::batch(tx.kind(), &cover, &posting, None, &decision)).await.map_err(written)?;
    Ok(true)
}

fn posting(id: PostingId, source: Source, event: crate::domain::ledger::Event, now: Timestamp) -> Posting {
    Posting {
        id,
        source,
        revision: 0,
        event,
        movements: Vec::new(),
        expected: std::collections::BTreeMap::new(),
        now,
    }
}
