//! What a posting may do to the benefit ledger: reserve, use, give back, restore and grant, all legs or none.
//! Pure: it is given the accounts, the holds, what was captured before and the instant, and answers the legs to
//! write. It knows no plan rule (the engine priced before it was asked), no clock and no database.

mod book;
mod capture;
mod decide;
mod expire;
mod grant;
mod hold;
mod refusal;
mod release;
mod reverse;
mod types;

pub use book::{AccountChange, Book, Decision, HoldChange, LayerChange};
pub use decide::{decide, sweep, withdraw};
pub use refusal::LedgerRefusal;
pub use types::{
    Action, Captured, CoverState, Draw, Entry, EntryKind, Event, Hold, HoldLeg, HoldState, LineKey, LineKind,
    Movement, Posting, Source, Term, TermState,
};

#[cfg(test)]
pub(crate) mod tests;
