//! One try of a posting inside a transaction: read, decide, write. What Post and the sweeper share; it knows the order
//! of these steps and no rule of the ledger.

use std::collections::BTreeSet;

use caremesh_db::{Error as DbError, Tx};
use caremesh_kernel::{AccountId, Timestamp};

use super::Error;
use crate::domain::account::{Account, AccountKey};
use crate::domain::ledger::{Book, CoverState, Decision, LedgerRefusal, Posting, decide};
use crate::store::ledger;

/// A posting and where to look for what it needs.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    /// What is posted. Its instant is set by each try.
    pub(crate) posting: Posting,
    /// Which rows it needs.
    pub(crate) query: ledger::Query,
    /// Keys of the accounts it may touch, so that those without a row can be opened.
    pub(crate) keys: Vec<AccountKey>,
    /// The episode of care, to be read together with.
    pub(crate) episode: Option<String>,
}

/// What a try found and decided, not yet written.
#[derive(Debug)]
pub(crate) struct Tried {
    /// The posting at the instant of the try.
    pub(crate) posting: Posting,
    /// What is to be written.
    pub(crate) decision: Decision,
    /// What was read.
    pub(crate) view: ledger::View,
    /// The member's cover on the day of the event.
    pub(crate) cover: ledger::Cover,
}

/// A posting held against the plan, and the accounts that the plan opens for it.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    /// The posting, its grants completed by the plan.
    pub(crate) posting: Posting,
    /// The accounts as they open at their first touch.
    pub(crate) openings: Vec<Account>,
    /// Whether time alone has ended the cover before the day of the event, and nobody has written it down yet.
    pub(crate) overdue: bool,
}

impl Command {
    /// Reads everything in one statement and decides. `prepare` holds the posting against the plan. `locked`: a try
    /// before collided, so the rows are taken first.
    pub(crate) async fn attempt<P>(&self, tx: &Tx, locked: bool, prepare: P) -> Result<Tried, Error>
    where
        P: FnOnce(&ledger::View, &ledger::Cover, Posting) -> Result<Prepared, Error> + Send,
    {
        if locked {
            ledger::lock(tx, tx.kind(), &self.query.accounts).await?;
        }
        let view = ledger::view(tx, tx.kind(), &self.query, tx.now()).await?;
        self.decide(view, tx.now(), prepare)
    }

    pub(crate) fn decide<P>(&self, view: ledger::View, now: Timestamp, prepare: P) -> Result<Tried, Error>
    where
        P: FnOnce(&ledger::View, &ledger::Cover, Posting) -> Result<Prepared, Error>,
    {
        if view.turn.of_another {
            return Err(Error::NotYourTurn { balances: view.accounts });
        }
        let Some(mut cover) = view.cover.clone() else { return Err(Error::NoCover) };
        let Prepared { posting, openings, overdue } =
            prepare(&view, &cover, Posting { now, ..self.posting.clone() })?;
        if overdue {
            cover.term.cover = CoverState::NotCovered;
        }
        let book = Book::new(with_openings(&view, openings), view.holds.clone(), view.captured.clone());
        match decide(book, &cover.term, &posting) {
            Ok(decision) => Ok(Tried { posting, decision, view, cover }),
            Err(refusal) => Err(refused(refusal, view)),
        }
    }
}

/// The stored accounts, and those without a row as the plan opens them.
fn with_openings(view: &ledger::View, openings: Vec<Account>) -> Vec<Account> {
    let mut known: BTreeSet<AccountId> = view.accounts.iter().map(Account::id).collect();
    let fresh = openings.into_iter().filter(|account| known.insert(account.id()));
    view.accounts.iter().cloned().chain(fresh).collect()
}

fn refused(refusal: LedgerRefusal, view: ledger::View) -> Error {
    let again = matches!(refusal, LedgerRefusal::Stale | LedgerRefusal::Exhausted { .. });
    Error::Ledger { refusal, balances: if again { view.accounts } else { Vec::new() } }
}

/// What a refusal of the database means for a posting: somebody was faster, or the same line was posted before.
pub(crate) fn written(error: DbError) -> Error {
    match error {
        DbError::Stale { statement: "account" | "openings", .. } => Error::Collided,
        // PostgreSQL runs all statements of a batch before their counts are looked at: a layer that others have moved may
        // break its own constraint before it is seen that the account's version did.
        DbError::Constraint { constraint }
            if constraint.contains("layer") || constraint.contains("hold_leg") =>
        {
            Error::Collided
        }
        DbError::Duplicate { constraint } if constraint.contains("posting_line") => Error::AlreadyPosted,
        // Two postings opened the same account at the same time.
        DbError::Duplicate { constraint }
            if constraint.contains("account") || constraint.contains("layer") =>
        {
            Error::Collided
        }
        other => Error::Store(other),
    }
}
