//! Giving back what was captured: never more, and counts only when nothing happened.

use super::*;

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
