//! Giving back what a hold still keeps, because the order was cancelled or the last part has been captured.

use caremesh_kernel::HoldId;

use super::LedgerRefusal;
use super::book::Book;
use super::expire::give_back;
use super::types::{EntryKind, HoldState, Posting};

/// Closes the hold and gives its rest back. A hold that time has ended already is only closed.
pub(super) fn release(book: &mut Book, posting: &Posting, hold: HoldId) -> Result<(), LedgerRefusal> {
    book.usable(hold, posting)?;
    release_rest(book, hold)
}

/// Gives back what one hold keeps and closes it for good: not even its expired room can be captured afterwards.
pub(super) fn release_rest(book: &mut Book, id: HoldId) -> Result<(), LedgerRefusal> {
    for entry in give_back(book, id, EntryKind::Release)? {
        book.write(entry)?;
    }
    book.hold_mut(id)?.state = HoldState::Closed;
    Ok(())
}

impl Book {
    /// Refuses a hold that is closed, or that another service made.
    pub(super) fn usable(&self, id: HoldId, posting: &Posting) -> Result<(), LedgerRefusal> {
        let hold = self.hold(id)?;
        if hold.source.service != posting.source.service {
            return Err(LedgerRefusal::HoldUnknown { hold: id });
        }
        if hold.state == HoldState::Closed { Err(LedgerRefusal::HoldClosed { hold: id }) } else { Ok(()) }
    }
}
