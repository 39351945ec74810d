//! Layers: their days, granted, lowered and restored.

use super::*;

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
