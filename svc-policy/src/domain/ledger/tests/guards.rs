//! What a posting must say before anything of it is written: versions, cover, lines, amounts.

use super::*;

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
