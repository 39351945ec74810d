//! The ledger's tables: reading for a posting, writing a decision, balances and journal for readers, verification.
//! Every rule is in `domain/ledger/`; what is here is that nothing of it can be half done or lost.

mod convert;
mod due;
mod list;
mod queue;
mod read;
mod read_sql;
mod rows;
pub(crate) mod snapshot;
mod texts;
mod verify;
mod write;

pub(crate) use due::{Due, due};
pub(crate) use list::{Filter, Page, Written, account_ids, postings};
pub(crate) use queue::{join_queue, leave_queue};
pub(crate) use read::{Cover, Query, View, accounts, lock, view};
pub(crate) use snapshot::DrawsAsked;
pub(crate) use verify::verify;
pub use verify::{Difference, LedgerReport, Overdrawn};
pub(crate) use write::{batch, move_on};

#[cfg(test)]
mod tests;
