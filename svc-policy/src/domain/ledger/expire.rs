//! Time first: every expired hold of the touched accounts gives its room back before anything else is looked at,
//! because no constraint of the database can see the clock. The sweeper only does the same earlier.

use caremesh_kernel::{HoldId, Timestamp};

use super::LedgerRefusal;
use super::book::Book;
use super::types::{Entry, EntryKind, HoldState};

/// Releases what expired holds keep of the accounts in the book.
pub(super) fn expire(book: &mut Book, now: Timestamp) -> Result<(), LedgerRefusal> {
    let due: Vec<HoldId> = book
        .holds()
        .filter(|hold| hold.state == HoldState::Open && hold.has_expired(now))
        .map(|hold| hold.id)
        .collect();
    for id in due {
        expire_one(book, id)?;
    }
    Ok(())
}

fn expire_one(book: &mut Book, id: HoldId) -> Result<(), LedgerRefusal> {
    let entries = give_back(book, id, EntryKind::Expire)?;
    if entries.is_empty() {
        return Ok(());
    }
    for entry in entries {
        book.write(entry)?;
    }
    // A leg on an account outside this posting keeps its room until that account is touched.
    let hold = book.hold_mut(id)?;
    if hold.legs.iter().all(|leg| leg.kept() == 0) {
        hold.state = HoldState::Expired;
    }
    Ok(())
}

/// Marks as released what the hold keeps of the accounts in the book, and answers the entries for it.
pub(super) fn give_back(book: &mut Book, id: HoldId, kind: EntryKind) -> Result<Vec<Entry>, LedgerRefusal> {
    let present: Vec<bool> = book.hold(id)?.legs.iter().map(|leg| book.has_account(leg.account)).collect();
    let hold = book.hold_mut(id)?;
    let event = hold.event.clone();
    let mut entries = Vec::new();
    for (leg, _) in hold.legs.iter_mut().zip(present).filter(|(leg, present)| *present && leg.kept() > 0) {
        let kept = leg.kept();
        leg.released += kept;
        entries.push(Entry {
            reserved: -kept,
            hold: Some(id),
            ..Entry::blank(kind, leg.account, leg.layer, leg.line, event.clone())
        });
    }
    Ok(entries)
}
