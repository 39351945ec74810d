//! The whole of the rules against a model that is too simple to be wrong.

use proptest::prelude::*;

use super::*;

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
