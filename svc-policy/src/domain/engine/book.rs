//! The accounts that one price touches, as they were read, with what the price itself has taken so far.
//!
//! Nothing here is posted: takes only keep two lines of one bill from being promised the same room.

use std::collections::HashMap;

use caremesh_kernel::{AccountId, Date};

use super::opening;
use super::request::{Cover, Event, Line};
use super::restoring;
use super::waiting;
use crate::domain::account::{Account, AccountKey, Grant, LayerKind, PriorDraw, ScopeKind, Snapshot};
use crate::domain::plan::{AccountRule, PlanVersion, Waiting};

/// Place of an account in the book.
pub(super) type Slot = usize;

/// What decides which layers a line may draw.
pub(super) struct Drawer<'a> {
    pub(super) date: Date,
    pub(super) waits: &'a [&'a Waiting],
}

/// One account with what is left of it.
pub(super) struct Entry<'a> {
    pub(super) account: Account,
    pub(super) id: AccountId,
    pub(super) rule: &'a AccountRule,
    /// What is left of each layer.
    pub(super) room: Vec<i64>,
    /// Whether this event may draw restored layers.
    pub(super) may_restore: bool,
    /// Whether this event was counted on it before.
    pub(super) event_counted: bool,
    /// A layer that this price would grant, and whether a line has drawn it.
    pub(super) grant: Option<Grant>,
}

/// What was taken of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) slot: Slot,
    pub(super) layer: usize,
    pub(super) amount: i64,
}

/// The accounts of one price.
pub(super) struct Book<'a> {
    plan: &'a PlanVersion,
    cover: &'a Cover,
    event: &'a Event,
    known: HashMap<&'a AccountKey, &'a Account>,
    draws: &'a [PriorDraw],
    pub(super) entries: Vec<Entry<'a>>,
    /// Which account a rule meant for a day and procedure, so that a key is built once.
    seen: Vec<(usize, Date, Option<&'a str>, Option<Slot>)>,
}

impl<'a> Book<'a> {
    pub(super) fn new(
        plan: &'a PlanVersion,
        cover: &'a Cover,
        event: &'a Event,
        snapshot: Option<&'a Snapshot>,
    ) -> Self {
        let accounts = snapshot.map_or(&[][..], |s| &s.accounts);
        Self {
            plan,
            cover,
            event,
            known: accounts.iter().map(|account| (&account.key, account)).collect(),
            draws: snapshot.map_or(&[][..], |s| &s.draws),
            entries: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// The account that the line touches under this code; `None` where the member is outside its group.
    pub(super) fn slot(&mut self, code: &str, line: &'a Line, date: Date) -> Option<Slot> {
        let index = self.plan.accounts.iter().position(|rule| rule.code == code)?;
        let rule = &self.plan.accounts[index];
        let procedure = (rule.scope == ScopeKind::Procedure).then_some(line.procedure.as_deref()).flatten();
        let of_line = rule.scope == ScopeKind::Procedure && procedure.is_none();
        let same = |seen: &&(usize, Date, Option<&str>, Option<Slot>)| {
            (seen.0, seen.1, seen.2) == (index, date, procedure)
        };
        if !of_line && let Some(seen) = self.seen.iter().find(same) {
            return seen.3;
        }
        let slot = self.open(rule, line, date);
        if !of_line {
            self.seen.push((index, date, procedure, slot));
        }
        slot
    }

    fn open(&mut self, rule: &'a AccountRule, line: &Line, date: Date) -> Option<Slot> {
        let key = opening::key(self.plan, self.cover, rule, self.event, line, date)?;
        if let Some(open) = self.entries.iter().position(|entry| entry.account.key == key) {
            return Some(open);
        }
        let account = match self.known.get(&key) {
            Some(known) => (*known).clone(),
            None => opening::open(self.plan, self.cover.ground(), rule, key),
        };
        let id = account.layers.first().map_or_else(|| account.id(), |layer| layer.key.account);
        let mut entry = Entry {
            room: account.layers.iter().map(|layer| layer.room()).collect(),
            account,
            id,
            rule,
            may_restore: true,
            event_counted: self.draws.iter().any(|draw| draw.account == id && draw.event == self.event.id),
            grant: None,
        };
        restoring::prepare(&mut entry, self.plan, self.cover, self.event, self.draws, date);
        self.entries.push(entry);
        Some(self.entries.len() - 1)
    }

    /// What a line may still draw of an account.
    pub(super) fn room(&self, slot: Slot, drawer: &Drawer<'_>) -> i64 {
        let entry = &self.entries[slot];
        let usable = |layer: &usize| self.usable(entry, *layer, drawer);
        (0..entry.room.len()).filter(usable).map(|layer| entry.room[layer]).sum()
    }

    /// Whether a line may draw a layer: valid on the day, waited for by its own clock, restored for others only.
    fn usable(&self, entry: &Entry<'_>, index: usize, drawer: &Drawer<'_>) -> bool {
        let layer = &entry.account.layers[index];
        layer.valid.contains(drawer.date)
            && (layer.key.kind != LayerKind::Restored || entry.may_restore)
            && waiting::served(drawer.waits, &self.cover.member, layer.waiting_from, drawer.date)
    }

    /// Takes an amount off an account, layer by layer in draw order; less where there is no room for all of it.
    pub(super) fn take(&mut self, slot: Slot, amount: i64, drawer: &Drawer<'_>, out: &mut Vec<Taken>) -> i64 {
        let mut left = amount;
        for layer in 0..self.entries[slot].room.len() {
            let room = self.entries[slot].room[layer];
            if left == 0 {
                break;
            }
            if room == 0 || !self.usable(&self.entries[slot], layer, drawer) {
                continue;
            }
            let part = room.min(left);
            self.entries[slot].room[layer] -= part;
            left -= part;
            out.push(Taken { slot, layer, amount: part });
        }
        amount - left
    }

    /// Gives every account its room back, to fill it anew with the final amounts.
    pub(super) fn refresh(&mut self) {
        for entry in &mut self.entries {
            entry.room = entry.account.layers.iter().map(|layer| layer.room()).collect();
        }
    }
}
