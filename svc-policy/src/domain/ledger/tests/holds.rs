//! Holds: captured in parts, released, ended by time. One sentence a test.

use super::*;

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
