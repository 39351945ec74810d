//! What a shelf may never do, whatever is done with it in whatever order.

use caremesh_kernel::{Date, LotId, ReservationId, Timestamp, Uuid};
use proptest::prelude::*;

use super::*;

const UNIT: &str = "{tablet}";

fn day(offset: i64) -> Date {
    Date::new(2026, 6, 1).unwrap().plus_days(offset)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn lot_id(n: u128) -> LotId {
    LotId::from_uuid(Uuid::from_u128(n))
}

fn rsv(n: u128) -> ReservationId {
    ReservationId::from_uuid(Uuid::from_u128(n))
}

fn lot(n: u128, expiry: i64, on_hand: i64) -> Lot {
    Lot {
        id: lot_id(n),
        number: format!("L{n}"),
        expiry: day(expiry),
        on_hand,
        reserved: 0,
        recalled: false,
        version: 1,
    }
}

fn ask(n: u128, quantity: i64, expires: i64) -> Ask {
    Ask { id: rsv(n), holder: "counter".to_owned(), quantity, unit: UNIT.to_owned(), expires: at(expires) }
}

fn shelf(lots: &[Lot]) -> Shelf {
    Shelf::new(UNIT, lots.to_vec(), vec![])
}

#[test]
fn inv_r2_the_lot_that_expires_first_goes_first_and_expired_or_recalled_lots_never() {
    let mut shelf = shelf(&[lot(1, 30, 5), lot(2, 10, 5), lot(3, 0, 5), lot(4, 5, 5)]);
    shelf.recall(lot_id(4)).unwrap();
    let parts = shelf.reserve(&ask(1, 7, 60), day(0), at(0)).unwrap().parts.clone();
    let taken: Vec<_> = parts.iter().map(|part| (part.lot, part.quantity)).collect();
    assert_eq!(taken, [(lot_id(2), 5), (lot_id(1), 2)]);
    assert_eq!(shelf.reserve(&ask(2, 4, 60), day(0), at(0)), Err(Refusal::Shortage { free: 3 }));
}

#[test]
fn a_reservation_ends_at_its_instant_and_gives_its_stock_back_once() {
    let mut shelf = shelf(&[lot(1, 30, 5)]);
    shelf.reserve(&ask(1, 5, 60), day(0), at(0)).unwrap();
    shelf.expire(at(59));
    assert_eq!(shelf.free(day(0)), 0);
    shelf.expire(at(60));
    shelf.expire(at(61));
    assert_eq!(shelf.free(day(0)), 5);
    assert_eq!(shelf.release(rsv(1)), Ok(false), "releasing what time has ended is no error");
    let closed = Closed { state: ReservationState::Expired };
    assert_eq!(shelf.consume(rsv(1), 1, day(0)), Err(Refusal::Closed(closed)));
}

#[test]
fn what_is_handed_out_in_parts_is_taken_from_the_lots_once() {
    let mut shelf = shelf(&[lot(1, 10, 3), lot(2, 20, 10)]);
    shelf.reserve(&ask(1, 8, 60), day(0), at(0)).unwrap();
    assert_eq!(shelf.consume(rsv(1), 9, day(0)), Err(Refusal::Shortage { free: 8 }));
    let first: Vec<_> =
        shelf.consume(rsv(1), 4, day(0)).unwrap().iter().map(|p| (p.lot, p.quantity)).collect();
    assert_eq!(first, [(lot_id(1), 3), (lot_id(2), 1)]);
    assert_eq!(shelf.reservation(rsv(1)).unwrap().left(), 4);
    shelf.consume(rsv(1), 4, day(0)).unwrap();
    assert_eq!(shelf.reservation(rsv(1)).unwrap().state, ReservationState::Consumed);
    assert_eq!((shelf.lot(lot_id(1)).unwrap().on_hand, shelf.lot(lot_id(2)).unwrap().on_hand), (0, 5));
    assert!(shelf.release(rsv(1)).is_err());
}

#[test]
fn a_recall_breaks_every_reservation_of_the_lot_and_gives_back_their_other_lots() {
    let mut shelf = shelf(&[lot(1, 10, 3), lot(2, 20, 10)]);
    shelf.reserve(&ask(1, 8, 60), day(0), at(0)).unwrap();
    shelf.reserve(&ask(2, 2, 60), day(0), at(1)).unwrap();
    assert_eq!(shelf.recall(lot_id(1)).unwrap().broken, [rsv(1)]);
    assert_eq!(shelf.free(day(0)), 8, "the second lot without what the other reservation holds");
    let closed = Closed { state: ReservationState::Broken };
    assert_eq!(shelf.consume(rsv(1), 1, day(0)), Err(Refusal::Closed(closed)));
    assert_eq!(shelf.receive(lot_id(9), "L1", day(10), 1, UNIT, day(0)), Err(Refusal::Recalled));
}

#[test]
fn a_stock_take_that_finds_too_little_breaks_the_newest_reservations() {
    let mut shelf = shelf(&[lot(1, 10, 10)]);
    for n in 1..=3 {
        shelf.reserve(&ask(n, 3, 60), day(0), at(i64::try_from(n).unwrap())).unwrap();
    }
    assert_eq!(shelf.count(lot_id(1), 6).unwrap().broken, [rsv(3)]);
    assert_eq!(shelf.count(lot_id(1), 6).unwrap().broken, []);
    assert_eq!(shelf.count(lot_id(1), 0).unwrap().broken, [rsv(2), rsv(1)]);
}

#[test]
fn hard_case_10_units_are_never_converted_by_guess() {
    let mut shelf = shelf(&[lot(1, 10, 10)]);
    let strips = Ask { unit: "{strip}".to_owned(), ..ask(1, 3, 60) };
    assert_eq!(shelf.reserve(&strips, day(0), at(0)), Err(Refusal::Unit));
    assert_eq!(shelf.receive(lot_id(2), "L2", day(9), 1, "{strip}", day(0)), Err(Refusal::Unit));
    assert_eq!(shelf.receive(lot_id(2), "L1", day(9), 1, UNIT, day(0)), Err(Refusal::OtherExpiry));
    assert_eq!(shelf.receive(lot_id(2), "L2", day(0), 1, UNIT, day(0)), Err(Refusal::Expired));
    assert_eq!(shelf.receive(lot_id(2), "L1", day(10), 1, UNIT, day(0)), Ok(lot_id(1)), "the same lot grows");
}

#[test]
fn a_reservation_moves_only_from_held_and_then_never_again() {
    for from in ReservationState::ALL {
        for to in ReservationState::ALL {
            let legal = from == ReservationState::Held && to != ReservationState::Held;
            assert_eq!(from.to(to).is_ok(), legal, "{from:?} to {to:?}");
        }
        assert_eq!(ReservationState::of_name(from.name()), Some(from));
    }
}

#[derive(Clone, Debug)]
enum Deed {
    Receive(u128, i64),
    Reserve(i64, i64),
    Release(u128),
    Consume(u128, i64),
    Count(u128, i64),
    Recall(u128),
    Send(u128, i64),
    Pass(i64),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        (1..5_u128, 1..20_i64).prop_map(|(lot, n)| Deed::Receive(lot, n)),
        (1..12_i64, 1..50_i64).prop_map(|(n, ttl)| Deed::Reserve(n, ttl)),
        (1..40_u128).prop_map(Deed::Release),
        (1..40_u128, 1..8_i64).prop_map(|(held, n)| Deed::Consume(held, n)),
        (1..5_u128, 0..20_i64).prop_map(|(lot, n)| Deed::Count(lot, n)),
        (1..5_u128).prop_map(Deed::Recall),
        (1..5_u128, 1..10_i64).prop_map(|(lot, n)| Deed::Send(lot, n)),
        (1..40_i64).prop_map(Deed::Pass),
    ]
}

/// Does it, and says nothing of whether it was refused: the shelf must be right either way.
fn perform(shelf: &mut Shelf, deed: &Deed, next: &mut u128, clock: &mut i64) {
    let (today, now) = (day(*clock / 40), at(*clock));
    shelf.expire(now);
    match *deed {
        Deed::Receive(lot, n) => {
            let expiry = day(i64::try_from(lot).unwrap() * 3);
            drop(shelf.receive(lot_id(lot), &format!("L{lot}"), expiry, n, UNIT, today));
        }
        Deed::Reserve(n, ttl) => {
            drop(shelf.reserve(&ask(*next, n, *clock + ttl), today, now).map(|_| ()));
            *next += 1;
        }
        Deed::Release(held) => drop(shelf.release(rsv(held))),
        Deed::Consume(held, n) => drop(shelf.consume(rsv(held), n, today)),
        Deed::Count(lot, n) => drop(shelf.count(lot_id(lot), n)),
        Deed::Recall(lot) => drop(shelf.recall(lot_id(lot))),
        Deed::Send(lot, n) => drop(shelf.send_away(lot_id(lot), n, today)),
        Deed::Pass(by) => *clock += by,
    }
}

proptest! {
    #[test]
    fn inv_r2_no_lot_is_ever_reserved_beyond_what_is_there(deeds in prop::collection::vec(deed(), 1..120)) {
        let (mut shelf, mut next, mut clock) = (shelf(&[]), 1, 0);
        for deed in &deeds {
            perform(&mut shelf, deed, &mut next, &mut clock);
            for lot in shelf.lots() {
                prop_assert!(0 <= lot.reserved && lot.reserved <= lot.on_hand, "{deed:?} left {lot:?}");
                let held: i64 = (1..next).filter_map(|n| shelf.reservation(rsv(n)))
                    .filter(|held| held.state == ReservationState::Held)
                    .flat_map(|held| &held.parts).filter(|part| part.lot == lot.id).map(Part::left).sum();
                prop_assert_eq!(held, lot.reserved, "what is put aside is what is held");
                if lot.recalled {
                    prop_assert_eq!(lot.reserved, 0);
                }
            }
        }
        let change = shelf.clone().into_change();
        for lot in shelf.lots() {
            let of = |m: &&Movement| m.lot == lot.id;
            prop_assert_eq!(change.movements.iter().filter(of).map(|m| m.on_hand).sum::<i64>(), lot.on_hand);
            prop_assert_eq!(change.movements.iter().filter(of).map(|m| m.reserved).sum::<i64>(), lot.reserved);
        }
    }
}
