//! What the tests of the ledger's rules share: a term, accounts, postings, and a store of one term in memory.

mod guards;
mod holds;
mod layers;
mod model;
mod reversals;

use std::collections::BTreeMap;

use caremesh_kernel::{
    Currency, Date, DateRange, EventId, HoldId, MemberId, PostingId, TermId, Timestamp, Uuid,
};

pub(crate) use model::{Step, action, step};

use super::*;
use crate::domain::account::{
    Account, AccountKey, Grant, Layer, LayerKey, LayerKind, Measure, PeriodKey, ScopeKind, WhenFull,
};

pub(crate) fn term_id() -> TermId {
    TermId::from_uuid(Uuid::from_u128(1))
}

fn day() -> Date {
    Date::new(2026, 3, 1).unwrap()
}

pub(crate) fn year() -> DateRange {
    DateRange::new(Date::new(2026, 1, 1).unwrap(), Date::new(2027, 1, 1).unwrap()).unwrap()
}

pub(crate) fn key(code: &str, measure: Measure) -> AccountKey {
    AccountKey {
        term: term_id(),
        code: code.to_owned(),
        measure,
        scope_kind: ScopeKind::Family,
        scope_id: "family".to_owned(),
        period: PeriodKey::term(),
        currency: Currency::NGN,
    }
}

pub(crate) fn pool() -> AccountKey {
    key("SUM_INSURED", Measure::PlanPaid)
}

fn layer_key(account: &AccountKey, kind: LayerKind) -> LayerKey {
    LayerKey { account: account.id(), kind, ordinal: 0 }
}

pub(crate) fn account(key: AccountKey, granted: i64) -> Account {
    let layer = Layer::fresh(layer_key(&key, LayerKind::Base), granted, year(), year().start(), 0);
    Account { key, version: 0, when_full: WhenFull::Cut, layers: vec![layer] }
}

pub(crate) fn term() -> Term {
    Term { id: term_id(), first: term_id(), days: year(), state: TermState::Open, cover: CoverState::Covered }
}

pub(crate) fn hold_id(n: u128) -> HoldId {
    HoldId::from_uuid(Uuid::from_u128(n))
}

pub(crate) fn draw(key: &AccountKey, amount: i64) -> Draw {
    Draw { account: key.clone(), layer: layer_key(key, LayerKind::Base), amount, line: 1 }
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// A store of one term in memory: it keeps what decisions write and reads it back for the next posting.
#[derive(Default, Clone)]
pub(crate) struct Shelf {
    pub(crate) accounts: BTreeMap<caremesh_kernel::AccountId, Account>,
    holds: BTreeMap<HoldId, Hold>,
    captured: Vec<Captured>,
    journal: Vec<Entry>,
    revision: u32,
}

impl Shelf {
    pub(crate) fn with(accounts: Vec<Account>) -> Self {
        Self { accounts: accounts.into_iter().map(|a| (a.id(), a)).collect(), ..Self::default() }
    }

    pub(crate) fn balance(&self, key: &AccountKey) -> (i64, i64, i64) {
        let layers = &self.accounts[&key.id()].layers;
        let sum = |f: fn(&Layer) -> i64| layers.iter().map(f).sum();
        (sum(|l| l.reserved), sum(|l| l.used), sum(|l| l.granted))
    }

    pub(crate) fn posting(&mut self, now: i64, actions: Vec<Action>) -> Posting {
        self.revision += 1;
        let movements = actions
            .into_iter()
            .enumerate()
            .map(|(part, action)| Movement { part: u32::try_from(part).unwrap(), action })
            .collect();
        Posting {
            id: PostingId::from_uuid(Uuid::from_u128(self.revision.into())),
            source: Source { service: "svc-claims".to_owned(), resource: "clm_1".to_owned() },
            revision: self.revision,
            event: event(),
            movements,
            expected: self.accounts.iter().map(|(id, a)| (*id, a.version)).collect(),
            now: at(now),
        }
    }

    fn post(&mut self, now: i64, actions: Vec<Action>) -> Result<Decision, LedgerRefusal> {
        let posting = self.posting(now, actions);
        self.post_as(&term(), &posting)
    }

    pub(crate) fn post_as(&mut self, term: &Term, posting: &Posting) -> Result<Decision, LedgerRefusal> {
        let book = Book::new(
            self.accounts.values().cloned().collect(),
            self.holds.values().cloned().collect(),
            self.captured.clone(),
        );
        let decision = decide(book, term, posting)?;
        self.keep(posting.id, &decision);
        Ok(decision)
    }

    fn keep(&mut self, posting: PostingId, decision: &Decision) {
        for change in &decision.accounts {
            self.accounts.insert(change.account.id(), change.account.clone());
        }
        for change in &decision.holds {
            self.holds.insert(change.hold.id, change.hold.clone());
        }
        for entry in &decision.entries {
            self.note(posting, entry);
            self.journal.push(entry.clone());
        }
    }

    fn note(&mut self, posting: PostingId, entry: &Entry) {
        if !matches!(entry.kind, EntryKind::Capture | EntryKind::Reverse) {
            return;
        }
        let posting = entry.reverses.unwrap_or(posting);
        let same = |c: &&mut Captured| c.posting == posting && c.layer == entry.layer && c.line == entry.line;
        match self.captured.iter_mut().find(same) {
            Some(captured) => captured.net += entry.used,
            None => self.captured.push(Captured {
                posting,
                account: entry.account,
                layer: entry.layer,
                line: entry.line,
                net: entry.used,
            }),
        }
    }
}

pub(crate) fn event() -> Event {
    let id = EventId::from_uuid(Uuid::from_u128(5));
    Event { id, date: day(), member: MemberId::from_uuid(Uuid::from_u128(6)), cause: None }
}

pub(crate) fn hold(n: u128, expires: i64, amount: i64) -> Action {
    Action::Hold { id: hold_id(n), expires: at(expires), legs: vec![draw(&pool(), amount)] }
}

pub(crate) fn capture(hold: u128, amount: i64, last: bool) -> Action {
    Action::Capture { hold: Some(hold_id(hold)), legs: vec![draw(&pool(), amount)], last }
}

pub(crate) fn spend(amount: i64) -> Action {
    Action::Capture { hold: None, legs: vec![draw(&pool(), amount)], last: false }
}

fn posting_id(n: u128) -> PostingId {
    PostingId::from_uuid(Uuid::from_u128(n))
}

pub(crate) fn reverse(of: u128, amount: i64) -> Action {
    Action::Reverse { of: posting_id(of), legs: vec![draw(&pool(), amount)], event_undone: false }
}

fn shelf() -> Shelf {
    Shelf::with(vec![account(pool(), 1_000)])
}

fn base() -> caremesh_kernel::LayerId {
    layer_key(&pool(), LayerKind::Base).id()
}

pub(crate) fn grant_of(key: &AccountKey, kind: LayerKind, amount: i64) -> Grant {
    Grant {
        account: key.clone(),
        layer: layer_key(key, kind),
        amount,
        valid: year(),
        waiting_from: year().start(),
        draw_order: 10,
        rule: "RESTORE_ONCE".to_owned(),
    }
}

pub(crate) fn restore() -> Action {
    Action::Restore { grants: vec![grant_of(&pool(), LayerKind::Restored, 1_000)] }
}
