//! Identity and room of accounts and layers.

use super::*;

fn key(code: &str) -> AccountKey {
    AccountKey {
        term: TermId::from_uuid(Uuid::from_u128(1)),
        code: code.to_owned(),
        measure: Measure::PlanPaid,
        scope_kind: ScopeKind::Family,
        scope_id: FAMILY_SCOPE.to_owned(),
        period: PeriodKey::term(),
        currency: Currency::NGN,
    }
}

#[test]
fn the_ids_of_accounts_and_layers_never_change() {
    let account = key("SUM_INSURED").id();
    assert_eq!(account.to_string(), "acc_42t8exskdbame8vb6edfg1fmmy");
    let layer = LayerKey { account, kind: LayerKind::Base, ordinal: 0 };
    assert_eq!(layer.id().to_string(), "lay_3rsgknk64gbm7vp9r98zv4jhs1");
}

#[test]
fn another_code_is_another_account() {
    assert_ne!(key("A").id(), key("B").id());
}

#[test]
fn room_is_never_negative() {
    let key = LayerKey { account: key("A").id(), kind: LayerKind::Base, ordinal: 0 };
    let start = Date::new(2026, 1, 1).unwrap();
    let mut layer = Layer::fresh(key, 100, DateRange::of_days(start, 365), start, 0);
    layer.used = 130;
    layer.overdrawn = 30;
    assert_eq!(layer.room(), 0);
}
