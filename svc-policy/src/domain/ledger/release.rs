//! Giving back what holds still keep, because the order was cancelled or the last part has been captured.

use caremesh_kernel::HoldId;

use super::book::Book;
use super::expire::give_back;
use super::types::{EntryKind, HoldState};
use super::LedgerRefusal;

/// Closes the holds and gives their rest back. A hold that time has ended already is only closed.
pub(super) fn release(book: &mut Book, holds: &[HoldId]) -> Result<(), LedgerRefusal> {
    for id in holds {
        if !book.hold(*id)?.is_usable() {
            return Err(LedgerRefusal::HoldNotOpen { hold: *id });
        }
        release_rest(book, *id)?;
    }
    Ok(())
}

/// Gives back what one hold keeps and closes it for good: not even its expired room can be captured afterwards.
pub(super) fn release_rest(book: &mut Book, id: HoldId) -> Result<(), LedgerRefusal> {
    for entry in give_back(book, id, EntryKind::Release)? {
        book.write(entry)?;
    }
    book.hold_mut(id)?.state = HoldState::Closed;
    Ok(())
}
