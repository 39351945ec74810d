//! Giving back what was used: to the account, layer and period it came from, never more than was captured there.
//! It works in closed terms too, and reopens nobody else's decision.

use caremesh_kernel::PostingId;

use super::LedgerRefusal;
use super::book::Book;
use super::types::{Draw, Entry, EntryKind, Posting};
use crate::domain::account::Measure;

/// Reverses every leg, or refuses.
pub(super) fn reverse(
    book: &mut Book,
    posting: &Posting,
    of: PostingId,
    legs: &[Draw],
    event_undone: bool,
) -> Result<(), LedgerRefusal> {
    if !book.has_captured(of) {
        return Err(LedgerRefusal::CaptureUnknown { posting: of });
    }
    for draw in legs {
        if !event_undone && matches!(draw.account.measure, Measure::Count | Measure::Days) {
            return Err(LedgerRefusal::CountStays { account: draw.account.id() });
        }
        take_back(book, of, draw)?;
        let (account, layer) = (draw.account.id(), draw.layer.id());
        let entry = Entry::blank(EntryKind::Reverse, account, layer, draw.line, posting.event.clone());
        book.write(Entry { used: -draw.amount, reverses: Some(of), ..entry })?;
    }
    Ok(())
}

fn take_back(book: &mut Book, of: PostingId, draw: &Draw) -> Result<(), LedgerRefusal> {
    let layer = draw.layer.id();
    let Some(captured) = book.captured_mut(of, draw) else {
        return Err(LedgerRefusal::MoreThanCaptured { layer, captured: 0 });
    };
    if captured.net < draw.amount {
        return Err(LedgerRefusal::MoreThanCaptured { layer, captured: captured.net });
    }
    captured.net -= draw.amount;
    Ok(())
}
