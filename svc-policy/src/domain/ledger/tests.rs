//! The ledger's rules, one sentence a test, and the whole of it against a model that is too simple to be wrong.

use std::collections::BTreeMap;

use caremesh_kernel::{
    Currency, Date, DateRange, EventId, HoldId, MemberId, PostingId, TermId, Timestamp, Uuid,
};
use proptest::prelude::*;

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

#[test]
fn the_first_touch_writes_the_limit_into_the_journal() {
    let mut shelf = shelf();
    let decision = shelf.post(10, vec![hold(1, 100, 300)]).unwrap();
    assert_eq!(decision.entries[0].kind, EntryKind::Open);
    assert_eq!(decision.entries[0].granted, 1_000);
    assert_eq!(decision.accounts[0].account.version, 1);
    assert_eq!(shelf.balance(&pool()), (300, 0, 1_000));
}

#[test]
fn a_capture_in_parts_uses_what_was_held_and_the_last_part_releases_the_rest() {
    let mut shelf = shelf();
    shelf.post(10, vec![hold(1, 100, 300)]).unwrap();
    shelf.post(20, vec![capture(1, 100, false)]).unwrap();
    assert_eq!(shelf.balance(&pool()), (200, 100, 1_000));
    shelf.post(30, vec![capture(1, 50, true)]).unwrap();
    assert_eq!(shelf.balance(&pool()), (0, 150, 1_000));
    assert_eq!(shelf.holds[&hold_id(1)].state, HoldState::Closed);
}

#[test]
fn a_closed_hold_is_not_captured_again() {
    let mut shelf = shelf();
    shelf.post(10, vec![hold(1, 100, 300)]).unwrap();
    shelf.post(20, vec![capture(1, 300, false)]).unwrap();
    let refused = shelf.post(30, vec![capture(1, 1, false)]).unwrap_err();
    assert_eq!(refused, LedgerRefusal::HoldClosed { hold: hold_id(1) });
}

#[test]
fn more_than_was_held_is_a_movement_of_its_own() {
    let mut shelf = shelf();
    shelf.post(10, vec![hold(1, 100, 300)]).unwrap();
    let refused = shelf.post(20, vec![capture(1, 301, false)]).unwrap_err();
    assert_eq!(refused, LedgerRefusal::MoreThanHeld { layer: base(), held: 300 });
    shelf.post(20, vec![capture(1, 300, true), spend(1)]).unwrap();
    assert_eq!(shelf.balance(&pool()), (0, 301, 1_000));
}

#[test]
fn an_enhancement_is_a_second_hold_of_the_same_source() {
    let mut shelf = shelf();
    shelf.post(10, vec![hold(2, 100, 300)]).unwrap();
    shelf.post(11, vec![hold(1, 100, 200)]).unwrap();
    shelf.post(20, vec![capture(2, 300, true), capture(1, 50, false)]).unwrap();
    assert_eq!(shelf.holds[&hold_id(2)].state, HoldState::Closed);
    assert_eq!(shelf.holds[&hold_id(1)].legs[0].kept(), 150);
}

#[test]
fn the_hold_of_another_service_is_as_good_as_none() {
    let mut shelf = shelf();
    shelf.post(10, vec![hold(1, 100, 300)]).unwrap();
    let mut posting = shelf.posting(20, vec![capture(1, 300, true)]);
    posting.source.service = "svc-pharmacy".to_owned();
    assert_eq!(
        shelf.post_as(&term(), &posting).unwrap_err(),
        LedgerRefusal::HoldUnknown { hold: hold_id(1) }
    );
}

#[test]
fn the_instant_of_expiry_is_already_too_late() {
    let mut shelf = shelf();
    shelf.post(10, vec![hold(1, 100, 1_000)]).unwrap();
    assert!(matches!(
        shelf.clone().post(99, vec![hold(2, 200, 1)]),
        Err(LedgerRefusal::Exhausted { room: 0, .. })
    ));
    shelf.post(100, vec![hold(2, 200, 1_000)]).unwrap();
    assert_eq!(shelf.balance(&pool()), (1_000, 0, 1_000));
    assert_eq!(shelf.holds[&hold_id(1)].state, HoldState::Expired);
}

#[test]
fn a_capture_that_meets_its_own_expired_hold_draws_afresh() {
    let mut shelf = shelf();
    shelf.post(10, vec![hold(1, 100, 300)]).unwrap();
    let decision = shelf.post(200, vec![capture(1, 300, true)]).unwrap();
    let kinds: Vec<EntryKind> = decision.entries.iter().map(|e| e.kind).collect();
    assert_eq!(kinds, [EntryKind::Expire, EntryKind::Capture]);
    assert_eq!(shelf.balance(&pool()), (0, 300, 1_000));
}

#[test]
fn a_capture_whose_expired_room_went_to_others_is_refused_as_expired() {
    let mut shelf = shelf();
    shelf.post(10, vec![hold(1, 100, 900)]).unwrap();
    shelf.post(150, vec![hold(2, 500, 200)]).unwrap();
    let refused = shelf.post(200, vec![capture(1, 900, true)]).unwrap_err();
    assert_eq!(refused, LedgerRefusal::HoldExpired { hold: hold_id(1) });
    shelf.post(200, vec![capture(1, 800, true)]).unwrap();
    assert_eq!(shelf.balance(&pool()), (200, 800, 1_000));
}

#[test]
fn a_released_hold_gives_everything_back_once() {
    let mut shelf = shelf();
    shelf.post(10, vec![hold(1, 100, 300)]).unwrap();
    shelf.post(20, vec![Action::Release { hold: hold_id(1) }]).unwrap();
    assert_eq!(shelf.balance(&pool()), (0, 0, 1_000));
    let again = shelf.post(30, vec![Action::Release { hold: hold_id(1) }]).unwrap_err();
    assert_eq!(again, LedgerRefusal::HoldClosed { hold: hold_id(1) });
}

#[test]
fn a_reversal_is_never_more_than_was_captured() {
    let mut shelf = shelf();
    shelf.post(10, vec![spend(400)]).unwrap();
    shelf.post(20, vec![reverse(1, 300)]).unwrap();
    let refused = shelf.post(30, vec![reverse(1, 101)]).unwrap_err();
    assert_eq!(refused, LedgerRefusal::MoreThanCaptured { layer: base(), captured: 100 });
    assert_eq!(shelf.balance(&pool()), (0, 100, 1_000));
}

#[test]
fn a_reversal_and_a_new_capture_are_one_posting_that_leaves_no_gap() {
    let mut shelf = shelf();
    shelf.post(10, vec![spend(1_000)]).unwrap();
    shelf.post(20, vec![reverse(1, 1_000), spend(1_000)]).unwrap();
    assert_eq!(shelf.balance(&pool()), (0, 1_000, 1_000));
    assert!(shelf.post(30, vec![spend(1), reverse(2, 1_000)]).is_err());
}

#[test]
fn a_reversal_works_in_a_closed_term_and_a_capture_does_not() {
    let mut shelf = shelf();
    shelf.post(10, vec![spend(400)]).unwrap();
    let closed = Term { state: TermState::Closed, cover: CoverState::NotCovered, ..term() };
    let posting = shelf.posting(20, vec![spend(1)]);
    assert_eq!(shelf.post_as(&closed, &posting).unwrap_err(), LedgerRefusal::TermClosed);
    let posting = shelf.posting(20, vec![reverse(1, 400)]);
    shelf.post_as(&closed, &posting).unwrap();
    assert_eq!(shelf.balance(&pool()), (0, 0, 1_000));
}

#[test]
fn counts_come_back_only_when_the_event_did_not_happen() {
    let visits = key("VISITS", Measure::Count);
    let mut shelf = Shelf::with(vec![account(visits.clone(), 3)]);
    shelf.post(10, vec![Action::Capture { hold: None, legs: vec![draw(&visits, 1)], last: true }]).unwrap();
    let back =
        |event_undone| Action::Reverse { of: posting_id(1), legs: vec![draw(&visits, 1)], event_undone };
    assert_eq!(
        shelf.post(20, vec![back(false)]).unwrap_err(),
        LedgerRefusal::CountStays { account: visits.id() }
    );
    shelf.post(20, vec![back(true)]).unwrap();
    assert_eq!(shelf.balance(&visits), (0, 0, 3));
}

#[test]
fn a_stale_version_is_refused_before_anything_else() {
    let mut shelf = shelf();
    let early = shelf.posting(10, vec![hold(1, 100, 300)]);
    shelf.post(10, vec![hold(2, 100, 300)]).unwrap();
    assert_eq!(shelf.post_as(&term(), &early).unwrap_err(), LedgerRefusal::Stale);
}

#[test]
fn a_draw_without_the_version_it_was_priced_against_is_refused() {
    let mut shelf = shelf();
    let mut posting = shelf.posting(10, vec![hold(1, 100, 300)]);
    posting.expected.clear();
    let refused = shelf.post_as(&term(), &posting).unwrap_err();
    assert_eq!(refused, LedgerRefusal::VersionMissing { account: pool().id() });
}

#[test]
fn an_account_that_the_price_relied_on_opens_even_when_nothing_is_drawn_from_it() {
    let deductible = key("DEDUCTIBLE", Measure::Deductible);
    let mut shelf = Shelf::with(vec![account(pool(), 1_000), account(deductible.clone(), 50)]);
    let racer = shelf.posting(10, vec![hold(2, 100, 1)]);
    shelf.post(10, vec![hold(1, 100, 300)]).unwrap();
    assert_eq!(shelf.accounts[&deductible.id()].version, 1);
    assert_eq!(shelf.post_as(&term(), &racer).unwrap_err(), LedgerRefusal::Stale);
}

#[test]
fn no_cover_on_the_event_date_refuses_a_fresh_draw_but_not_what_was_reserved() {
    let mut shelf = shelf();
    shelf.post(10, vec![hold(1, 100, 300)]).unwrap();
    let uncovered = Term { cover: CoverState::NotCovered, ..term() };
    let posting = shelf.posting(20, vec![hold(2, 100, 1)]);
    assert_eq!(shelf.post_as(&uncovered, &posting).unwrap_err(), LedgerRefusal::NoCover);
    let posting = shelf.posting(20, vec![capture(1, 300, true)]);
    shelf.post_as(&uncovered, &posting).unwrap();
}

#[test]
fn a_layer_is_not_drawn_outside_its_days() {
    let mut shelf = shelf();
    let mut posting = shelf.posting(10, vec![hold(1, 100, 1)]);
    posting.event.date = Date::new(2027, 1, 1).unwrap();
    let wide = Term { days: DateRange::ALWAYS, ..term() };
    assert_eq!(shelf.post_as(&wide, &posting).unwrap_err(), LedgerRefusal::LayerNotOpen { layer: base() });
}

#[test]
fn lowering_below_use_needs_a_recovery_and_heals_as_use_goes_back() {
    let mut shelf = shelf();
    shelf.post(10, vec![spend(800)]).unwrap();
    let lower = |recovery: Option<&str>| Action::Grant {
        grants: vec![grant_of(&pool(), LayerKind::Base, -500)],
        recovery: recovery.map(ToOwned::to_owned),
    };
    let refused = shelf.post(20, vec![lower(None)]).unwrap_err();
    assert_eq!(refused, LedgerRefusal::RecoveryMissing { layer: base(), short: 300 });
    shelf.post(20, vec![lower(Some("rcv_1"))]).unwrap();
    assert_eq!(shelf.accounts[&pool().id()].layers[0].overdrawn, 300);
    shelf.post(30, vec![reverse(1, 200)]).unwrap();
    assert_eq!(shelf.accounts[&pool().id()].layers[0].overdrawn, 100);
    assert!(matches!(shelf.post(40, vec![spend(1)]), Err(LedgerRefusal::Exhausted { room: 0, .. })));
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

#[test]
fn an_account_is_restored_once_and_only_when_it_is_exhausted() {
    let mut shelf = shelf();
    let refused = shelf.post(10, vec![restore()]).unwrap_err();
    assert_eq!(refused, LedgerRefusal::NotExhausted { account: pool().id() });
    shelf.post(10, vec![spend(1_000)]).unwrap();
    shelf.post(20, vec![restore()]).unwrap();
    assert_eq!(shelf.balance(&pool()), (0, 1_000, 2_000));
    let again = shelf.post(30, vec![restore()]).unwrap_err();
    assert_eq!(again, LedgerRefusal::AlreadyRestored { layer: layer_key(&pool(), LayerKind::Restored).id() });
}

#[test]
fn the_same_line_twice_in_one_posting_is_refused() {
    let mut shelf = shelf();
    let mut posting = shelf.posting(10, vec![spend(1), spend(1)]);
    posting.movements[1].part = 0;
    assert!(matches!(shelf.post_as(&term(), &posting), Err(LedgerRefusal::Malformed { .. })));
}

#[test]
fn nothing_and_less_than_nothing_are_not_amounts() {
    for amount in [0, -1] {
        let refused = shelf().post(10, vec![spend(amount)]);
        assert!(matches!(refused, Err(LedgerRefusal::Malformed { field: "legs.amount", .. })));
    }
}

/// What a random history does.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Hold { amount: i64, lasts: i64 },
    Capture { which: usize, amount: i64, last: bool },
    Fresh { amount: i64 },
    Release { which: usize },
    Reverse { which: usize, amount: i64 },
    Raise { amount: i64 },
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..400_i64, 1..60_i64).prop_map(|(amount, lasts)| Step::Hold { amount, lasts }),
        (0..8_usize, 1..300_i64, any::<bool>()).prop_map(|(which, amount, last)| Step::Capture {
            which,
            amount,
            last
        }),
        (1..400_i64).prop_map(|amount| Step::Fresh { amount }),
        (0..8_usize).prop_map(|which| Step::Release { which }),
        (0..12_usize, 1..400_i64).prop_map(|(which, amount)| Step::Reverse { which, amount }),
        (1..200_i64).prop_map(|amount| Step::Raise { amount }),
    ]
}

/// The model: one number per hold and two for the rest. No legs, no versions, no layers.
#[derive(Default)]
struct Model {
    limit: i64,
    used: i64,
    holds: Vec<ModelHold>,
    captures: Vec<i64>,
}

struct ModelHold {
    amount: i64,
    captured: i64,
    ends: i64,
    closed: bool,
}

impl ModelHold {
    fn reserves(&self, now: i64) -> i64 {
        if self.closed || now >= self.ends { 0 } else { self.amount - self.captured }
    }
}

impl Model {
    fn reserved(&self, now: i64) -> i64 {
        self.holds.iter().map(|h| h.reserves(now)).sum()
    }

    fn room(&self, now: i64) -> i64 {
        self.limit - self.used - self.reserved(now)
    }

    fn apply(&mut self, now: i64, step: &Step) -> bool {
        match step {
            Step::Hold { amount, lasts } => self.hold(now, *amount, *lasts),
            Step::Capture { which, amount, last } => self.capture(now, *which, *amount, *last),
            Step::Fresh { amount } => self.spend(now, *amount),
            Step::Release { which } => self.release(*which),
            Step::Reverse { which, amount } => self.reverse(*which, *amount),
            Step::Raise { amount } => {
                self.limit += amount;
                true
            }
        }
    }

    fn hold(&mut self, now: i64, amount: i64, lasts: i64) -> bool {
        let ok = self.room(now) >= amount;
        if ok {
            self.holds.push(ModelHold { amount, captured: 0, ends: now + lasts, closed: false });
        }
        ok
    }

    fn spend(&mut self, now: i64, amount: i64) -> bool {
        let ok = self.room(now) >= amount;
        if ok {
            self.use_up(amount);
        }
        ok
    }

    fn use_up(&mut self, amount: i64) {
        self.used += amount;
        self.captures.push(amount);
    }

    fn capture(&mut self, now: i64, which: usize, amount: i64, last: bool) -> bool {
        let room = self.room(now);
        let Some(hold) = self.holds.get_mut(which).filter(|h| !h.closed) else { return false };
        let expired = now >= hold.ends;
        if hold.amount - hold.captured < amount || (expired && room < amount) {
            return false;
        }
        hold.captured += amount;
        hold.closed = last || (!expired && hold.captured == hold.amount);
        self.use_up(amount);
        true
    }

    fn release(&mut self, which: usize) -> bool {
        let Some(hold) = self.holds.get_mut(which).filter(|h| !h.closed) else { return false };
        hold.closed = true;
        true
    }

    fn reverse(&mut self, which: usize, amount: i64) -> bool {
        let Some(left) = self.captures.get_mut(which).filter(|left| **left >= amount) else { return false };
        *left -= amount;
        self.used -= amount;
        true
    }
}

pub(crate) fn action(step: &Step, now: i64, next: u128, holds: &[u128], captures: &[u128]) -> Action {
    let known = |which: &usize| holds.get(*which).copied().unwrap_or(u128::MAX);
    match step {
        Step::Hold { amount, lasts } => hold(next, now + lasts, *amount),
        Step::Capture { which, amount, last } => capture(known(which), *amount, *last),
        Step::Fresh { amount } => spend(*amount),
        Step::Release { which } => Action::Release { hold: hold_id(known(which)) },
        Step::Reverse { which, amount } => {
            reverse(captures.get(*which).copied().unwrap_or(u128::MAX), *amount)
        }
        Step::Raise { amount } => {
            Action::Grant { grants: vec![grant_of(&pool(), LayerKind::Base, *amount)], recovery: None }
        }
    }
}

proptest! {
    #[test]
    fn inv_p1_and_p2_any_history_agrees_with_the_model_and_with_its_own_journal(
        history in prop::collection::vec((step(), 0..20_i64), 1..60)
    ) {
        let mut shelf = shelf();
        let mut model = Model { limit: 1_000, ..Model::default() };
        let (mut now, mut next, mut holds, mut captures) = (1, 0_u128, Vec::new(), Vec::new());
        for (step, wait) in history {
            now += wait;
            next += 1;
            let ours = shelf.post(now, vec![action(&step, now, next, &holds, &captures)]);
            let theirs = model.apply(now, &step);
            prop_assert_eq!(ours.is_ok(), theirs, "{:?} at {}: {:?}", step, now, ours.err());
            if theirs && matches!(step, Step::Hold { .. }) {
                holds.push(next);
            }
            if theirs && matches!(step, Step::Capture { .. } | Step::Fresh { .. }) {
                captures.push(next);
            }
            for layer in shelf.accounts[&pool().id()].layers.iter() {
                prop_assert!(layer.reserved >= 0 && layer.used >= 0);
                prop_assert!(layer.reserved + layer.used <= layer.granted + layer.overdrawn);
            }
            if shelf.accounts[&pool().id()].version > 0 {
                prop_assert_eq!(shelf.balance(&pool()).1, model.used);
                let fold = |f: fn(&Entry) -> i64| shelf.journal.iter().map(f).sum::<i64>();
                prop_assert_eq!(shelf.balance(&pool()), (fold(|e| e.reserved), fold(|e| e.used), fold(|e| e.granted)));
                // What the ledger still reserves for holds that time has ended is given back by the next touch.
                prop_assert!(shelf.balance(&pool()).0 >= model.reserved(now));
            }
        }
    }
}
