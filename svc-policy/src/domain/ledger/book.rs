//! The working copy on which a posting is tried: accounts, holds and captures as read, changed entry by entry.
//! Nothing outside sees it before every movement has been accepted. It alone does the sums of a layer.

use std::collections::{BTreeMap, BTreeSet};

use caremesh_kernel::{AccountId, HoldId, LayerId, PostingId};

use super::LedgerRefusal;
use super::types::{Captured, Draw, Entry, EntryKind, Event, Hold, HoldState, LineKey};
use crate::domain::account::{Account, Layer};

/// The part of the ledger that a posting can see.
#[derive(Clone, Debug, Default)]
pub struct Book {
    event: Option<Event>,
    movement: Option<u32>,
    accounts: BTreeMap<AccountId, Account>,
    holds: BTreeMap<HoldId, Hold>,
    captured: Vec<Captured>,
    fresh_layers: BTreeSet<LayerId>,
    touched: BTreeSet<AccountId>,
    changed_holds: BTreeSet<HoldId>,
    entries: Vec<Entry>,
    lines: Vec<LineKey>,
}

/// A layer after the posting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerChange {
    /// The layer with its new balances.
    pub layer: Layer,
    /// Whether this posting creates it.
    pub created: bool,
}

/// An account after the posting.
#[derive(Clone, Debug)]
pub struct AccountChange {
    /// The account; its version is one more than was read.
    pub account: Account,
    /// The version that was read; 0: this posting creates it.
    pub read_version: i64,
    /// Its layers that changed or are new, in the order of their ids.
    pub layers: Vec<LayerChange>,
}

/// A hold after the posting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldChange {
    /// The hold with its new legs and state.
    pub hold: Hold,
    /// Whether this posting creates it.
    pub created: bool,
}

/// What a posting that was accepted writes. Accounts and layers stand in the order of their ids, so that every
/// writer takes its locks in the same order.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Accounts that move.
    pub accounts: Vec<AccountChange>,
    /// Holds that move.
    pub holds: Vec<HoldChange>,
    /// The journal.
    pub entries: Vec<Entry>,
    /// The guards against posting twice.
    pub lines: Vec<LineKey>,
}

impl Book {
    /// A book of what was read: accounts as stored (or as the plan opens them, at version 0), the holds that are
    /// named and every expired hold of those accounts, and what the source has captured.
    #[must_use]
    pub fn new(accounts: Vec<Account>, holds: Vec<Hold>, captured: Vec<Captured>) -> Self {
        Self {
            accounts: accounts.into_iter().map(|account| (account.id(), account)).collect(),
            holds: holds.into_iter().map(|hold| (hold.id, hold)).collect(),
            captured,
            ..Self::default()
        }
    }

    /// Says which event the posting is about: the opening of an account is written in its name.
    pub(super) fn begin(&mut self, event: &Event) {
        self.event = Some(event.clone());
    }

    pub(super) fn account_by_id(&self, id: AccountId) -> Result<&Account, LedgerRefusal> {
        self.accounts.get(&id).ok_or(LedgerRefusal::AccountUnknown { account: id })
    }

    pub(super) fn has_account(&self, id: AccountId) -> bool {
        self.accounts.contains_key(&id)
    }

    /// The version that was read; 0 for an account that nobody has touched.
    pub(super) fn version(&self, id: AccountId) -> i64 {
        self.accounts.get(&id).map_or(0, |account| account.version)
    }

    pub(super) fn accounts(&self) -> impl Iterator<Item = (&AccountId, &Account)> {
        self.accounts.iter()
    }

    pub(super) fn holds(&self) -> impl Iterator<Item = &Hold> {
        self.holds.values()
    }

    pub(super) fn hold(&self, id: HoldId) -> Result<&Hold, LedgerRefusal> {
        self.holds.get(&id).ok_or(LedgerRefusal::HoldUnknown { hold: id })
    }

    pub(super) fn hold_mut(&mut self, id: HoldId) -> Result<&mut Hold, LedgerRefusal> {
        self.changed_holds.insert(id);
        self.holds.get_mut(&id).ok_or(LedgerRefusal::HoldUnknown { hold: id })
    }

    pub(super) fn add_hold(&mut self, hold: Hold) {
        self.changed_holds.insert(hold.id);
        self.holds.insert(hold.id, hold);
    }

    pub(super) fn has_captured(&self, posting: PostingId) -> bool {
        self.captured.iter().any(|captured| captured.posting == posting)
    }

    pub(super) fn captured_mut(&mut self, posting: PostingId, draw: &Draw) -> Option<&mut Captured> {
        let (account, layer) = (draw.account.id(), draw.layer.id());
        let same = |c: &&mut Captured| c.account == account && c.layer == layer && c.line == draw.line;
        self.captured.iter_mut().filter(|captured| captured.posting == posting).find(same)
    }

    pub(super) fn layer(&self, account: AccountId, layer: LayerId) -> Result<&Layer, LedgerRefusal> {
        self.accounts
            .get(&account)
            .and_then(|found| found.layers.iter().find(|l| l.id == layer))
            .ok_or(LedgerRefusal::LayerNotOpen { layer })
    }

    /// The layer of a draw, when it exists and is valid on the day of the event.
    pub(super) fn open_layer(&self, draw: &Draw, event: &Event) -> Result<&Layer, LedgerRefusal> {
        let layer = self.layer(draw.account.id(), draw.layer.id())?;
        if layer.valid.contains(event.date) {
            Ok(layer)
        } else {
            Err(LedgerRefusal::LayerNotOpen { layer: layer.id })
        }
    }

    /// Adds a layer that this posting creates, with nothing granted yet.
    pub(super) fn add_layer(&mut self, account: AccountId, layer: Layer) -> Result<(), LedgerRefusal> {
        self.account_by_id(account)?;
        self.fresh_layers.insert(layer.id);
        if let Some(found) = self.accounts.get_mut(&account) {
            found.layers.push(layer);
        }
        Ok(())
    }

    /// Says which movement the entries to come belong to.
    pub(super) fn enter(&mut self, movement: u32) {
        self.movement = Some(movement);
    }

    /// Guards a movement's line for ever; twice in one posting is already once too often.
    pub(super) fn guard(&mut self, key: LineKey) -> Result<(), LedgerRefusal> {
        let same = |other: &LineKey| LineKey { movement: key.movement, ..other.clone() } == key;
        if !self.lines.iter().any(same) {
            self.lines.push(key);
            return Ok(());
        }
        Err(LedgerRefusal::Malformed {
            field: "movements",
            rule: "must differ in line, revision, kind or part",
        })
    }

    /// Writes an entry and applies it to its layer. A layer that was overdrawn heals as use goes back.
    pub(super) fn write(&mut self, mut entry: Entry) -> Result<(), LedgerRefusal> {
        self.open_account(entry.account);
        let layer = self
            .accounts
            .get_mut(&entry.account)
            .and_then(|account| account.layers.iter_mut().find(|l| l.id == entry.layer))
            .ok_or(LedgerRefusal::LayerNotOpen { layer: entry.layer })?;
        let short = |layer: &Layer| (layer.reserved + layer.used - layer.granted).max(0);
        layer.granted = checked(layer.granted, entry.granted)?;
        layer.reserved = checked(layer.reserved, entry.reserved)?;
        layer.used = checked(layer.used, entry.used)?;
        entry.overdrawn = short(layer) - layer.overdrawn;
        if entry.overdrawn > 0 && entry.recovery.is_none() {
            return Err(LedgerRefusal::RecoveryMissing { layer: layer.id, short: short(layer) });
        }
        layer.overdrawn += entry.overdrawn;
        entry.movement = self.movement;
        self.touched.insert(entry.account);
        self.entries.push(entry);
        Ok(())
    }

    /// The first touch of an account writes its limit into the journal, so that the journal alone gives the balance.
    fn open_account(&mut self, id: AccountId) {
        let Some(account) = self.accounts.get(&id).filter(|a| a.version == 0) else { return };
        if !self.touched.insert(id) {
            return;
        }
        let Some(event) = self.event.clone() else { return };
        for layer in account.layers.iter().filter(|l| !self.fresh_layers.contains(&l.id)) {
            self.entries.push(opening(id, layer, event.clone()));
        }
    }

    /// Opens an account that the caller priced against and nobody has touched yet, when the posting names it by its key.
    /// One that it names by its id alone cannot be opened: that it still has no row was checked with the versions, and
    /// stays so until the commit, because the store holds the count of openings that was read.
    pub(super) fn touch_new(&mut self, id: AccountId) -> Result<(), LedgerRefusal> {
        if self.has_account(id) && self.version(id) == 0 { self.touch(id) } else { Ok(()) }
    }

    /// Makes the account move with this posting.
    pub(super) fn touch(&mut self, id: AccountId) -> Result<(), LedgerRefusal> {
        self.account_by_id(id)?;
        self.open_account(id);
        self.touched.insert(id);
        Ok(())
    }

    /// Closes the book: what is to be written, in a fixed order.
    #[must_use]
    pub(super) fn close(mut self) -> Decision {
        let moved: BTreeSet<LayerId> = self.entries.iter().map(|e| e.layer).collect();
        let touched = std::mem::take(&mut self.touched);
        let accounts = touched.iter().filter_map(|id| self.accounts.remove(id));
        let accounts = accounts.map(|account| account_change(account, &moved, &self.fresh_layers)).collect();
        let changed = std::mem::take(&mut self.changed_holds);
        let holds = changed.iter().filter_map(|id| self.holds.remove(id));
        let created: BTreeSet<HoldId> =
            self.entries.iter().filter(|e| e.kind == EntryKind::Hold).filter_map(|e| e.hold).collect();
        let holds = holds.map(|hold| HoldChange { created: created.contains(&hold.id), hold }).collect();
        Decision { accounts, holds, entries: self.entries, lines: self.lines }
    }
}

fn account_change(
    mut account: Account,
    moved: &BTreeSet<LayerId>,
    fresh: &BTreeSet<LayerId>,
) -> AccountChange {
    let read_version = account.version;
    account.version += 1;
    let created = |layer: &Layer| read_version == 0 || fresh.contains(&layer.id);
    let mut layers: Vec<LayerChange> = account
        .layers
        .iter()
        .filter(|layer| created(layer) || moved.contains(&layer.id))
        .map(|layer| LayerChange { created: created(layer), layer: layer.clone() })
        .collect();
    layers.sort_by_key(|change| change.layer.id);
    AccountChange { account, read_version, layers }
}

/// The entry that opens a layer with the limit that the plan gives it.
fn opening(account: AccountId, layer: &Layer, event: Event) -> Entry {
    Entry { granted: layer.granted, ..Entry::blank(EntryKind::Open, account, layer.id, 0, event) }
}

/// A balance never leaves the range of its column and never falls below zero.
fn checked(balance: i64, delta: i64) -> Result<i64, LedgerRefusal> {
    balance.checked_add(delta).filter(|sum| *sum >= 0).ok_or(LedgerRefusal::Malformed {
        field: "legs.amount",
        rule: "must keep every balance between 0 and 2^63-1",
    })
}

impl Hold {
    /// Closes the hold once none of its legs keeps anything.
    pub(super) fn settle(&mut self) {
        if self.state == HoldState::Open && self.legs.iter().all(|leg| leg.kept() == 0) {
            self.state = HoldState::Closed;
        }
    }
}
