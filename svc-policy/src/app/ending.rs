//! What the end of cover does to the ledger: holds for events that are not covered any more are given back, and the plan's
//! money for those that were is counted. It decides nothing about money or days.

use caremesh_db::Tx;
use caremesh_kernel::{Date, MemberId, PolicyId, PostingId, TermId};

use super::posting::written;
use super::{App, Error, events};
use crate::domain::ledger::{Book, Posting, Source, withdraw};
use crate::domain::life::money_accounts;
use crate::domain::plan::PlanVersion;
use crate::store::ledger::{self, Due, Query};
use crate::store::{Error as StoreError, life};

/// Gives back every open hold of a policy, or of one member, for events from a day on. Whatever ends cover comes here first,
/// before it reads what was used: postings that read the cover before either are done by then, or will look again.
pub(crate) async fn release_from(
    app: &App,
    tx: &Tx,
    policy: PolicyId,
    member: Option<MemberId>,
    from: Date,
) -> Result<(), Error> {
    tx.apply(ledger::move_on(policy)).await?;
    for due in life::holds_from(tx, policy, member, from, tx.now()).await? {
        release(app, tx, due).await?;
    }
    Ok(())
}

async fn release(app: &App, tx: &Tx, due: Due) -> Result<(), Error> {
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
    let (Some(hold), Some(cover)) = (hold, view.cover) else { return Ok(()) };
    let posting = Posting {
        id: PostingId::from_uuid(app.ids.uuid()),
        source,
        revision: 0,
        event: hold.event,
        movements: Vec::new(),
        expected: std::collections::BTreeMap::new(),
        now: tx.now(),
    };
    let book = Book::new(view.accounts, view.holds, view.captured);
    let refused = |refusal| Error::Ledger { refusal, balances: Vec::new() };
    let decision = withdraw(book, &posting, due.hold).map_err(refused)?;
    tx.emit([events::benefit_posted(cover.policy, posting.id, tx.now())]);
    let batch = ledger::batch(tx.kind(), &cover, &posting, None, &decision);
    tx.apply(batch).await.map(drop).map_err(written)
}

/// Plan money of a term: what is used, and what is held for events before a day.
pub(crate) async fn plan_money(
    tx: &Tx,
    plans: &[&PlanVersion],
    term: TermId,
    before: Date,
) -> Result<(i64, i64), Error> {
    let codes = money_accounts(plans).ok_or(StoreError::Corrupt("pools that count money twice"))?;
    Ok(life::plan_money(tx, tx.kind(), term, &codes, before, tx.now()).await?)
}
