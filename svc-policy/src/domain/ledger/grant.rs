//! Giving room: layers granted, raised or lowered by an endorsement, and the layer that restores an exhausted
//! account. The amounts come from the plan; here it is only decided whether they may be written.

use super::LedgerRefusal;
use super::book::Book;
use super::types::{Draw, Entry, EntryKind, Posting};
use crate::domain::account::{Account, Grant, Layer, LayerKind};

/// Grants, raises or lowers each layer, or refuses. Lowering below use overdraws the layer and needs a recovery.
pub(super) fn grant(
    book: &mut Book,
    posting: &Posting,
    grants: &[Grant],
    recovery: Option<&String>,
) -> Result<(), LedgerRefusal> {
    for grant in grants {
        if grant.layer.kind == LayerKind::Restored {
            return Err(LedgerRefusal::Malformed {
                field: "grants.layer.kind",
                rule: "must not be RESTORED; restore instead",
            });
        }
        write_grant(book, posting, grant, EntryKind::Grant, recovery)?;
    }
    Ok(())
}

/// Restores an exhausted account: once per account and rule, which the layer's ordinal names.
pub(super) fn restore(book: &mut Book, posting: &Posting, grant: &Grant) -> Result<(), LedgerRefusal> {
    if grant.layer.kind != LayerKind::Restored || grant.amount <= 0 {
        return Err(LedgerRefusal::Malformed {
            field: "restore.grant",
            rule: "must grant a RESTORED layer more than 0",
        });
    }
    let account = book.account_by_id(grant.layer.account)?;
    if account.layers.iter().any(|layer| layer.id == grant.layer.id()) {
        return Err(LedgerRefusal::AlreadyRestored { layer: grant.layer.id() });
    }
    if has_room(account, posting) {
        return Err(LedgerRefusal::NotExhausted { account: grant.layer.account });
    }
    write_grant(book, posting, grant, EntryKind::Restore, None)
}

fn has_room(account: &Account, posting: &Posting) -> bool {
    account.layers.iter().any(|layer| layer.valid.contains(posting.event.date) && layer.room() > 0)
}

fn write_grant(
    book: &mut Book,
    posting: &Posting,
    grant: &Grant,
    kind: EntryKind,
    recovery: Option<&String>,
) -> Result<(), LedgerRefusal> {
    let (account, layer) = (grant.layer.account, grant.layer.id());
    // An account that nobody has touched opens first, so that the grant comes on top of what the plan gives.
    book.touch(account)?;
    if book.layer(account, layer).is_err() {
        book.add_layer(
            account,
            Layer::fresh(grant.layer, 0, grant.valid, grant.waiting_from, grant.draw_order),
        )?;
    }
    let entry = Entry::blank(kind, account, layer, 0, posting.event.clone());
    book.write(Entry {
        granted: grant.amount,
        recovery: recovery.cloned(),
        rule: Some(grant.rule.clone()),
        ..entry
    })
}

impl Book {
    /// The layer a fresh draw goes to, when the caller priced against the account, it is open and has the room.
    pub(super) fn fresh_room(
        &self,
        draw: &Draw,
        posting: &Posting,
    ) -> Result<caremesh_kernel::LayerId, LedgerRefusal> {
        let account = draw.account.id();
        if !posting.expected.contains_key(&account) {
            return Err(LedgerRefusal::VersionMissing { account });
        }
        let layer = self.open_layer(draw, &posting.event)?;
        if layer.room() < draw.amount {
            return Err(LedgerRefusal::Exhausted { layer: layer.id, room: layer.room().max(0) });
        }
        Ok(layer.id)
    }
}
