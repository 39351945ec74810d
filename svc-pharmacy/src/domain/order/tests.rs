//! Orders as values: every transition that is not one is refused, parts sum to their whole, entries to zero.

use caremesh_kernel::{Currency, IdSource as _, SystemIds, Timestamp};
use proptest::prelude::*;

use super::*;

fn id<K: caremesh_kernel::Kind>() -> caremesh_kernel::Id<K> {
    caremesh_kernel::Id::from_uuid(SystemIds.uuid())
}

fn order(quantities: &[i64]) -> Order {
    let line = |(place, quantity): (usize, &i64)| OrderLine {
        sequence: u32::try_from(place).unwrap() + 1,
        product: id(),
        quantity: *quantity,
        unit: "{tablet}".to_owned(),
        over_the_counter: true,
        script: None,
        reservation: id(),
        whole: Shares { list: quantity * 333, plan: quantity * 271 / 2, discount: 0 },
        shares: Shares { list: quantity * 333, plan: quantity * 271 / 2, discount: 0 },
        packed: 0,
        dispensed: 0,
        returned: 0,
    };
    Order {
        id: id(),
        patient: id(),
        placed_by: None,
        member: None,
        policy: None,
        branch: id(),
        state: OrderState::Confirmed,
        currency: Currency::NGN,
        event: id(),
        event_date: "2026-11-22".parse().unwrap(),
        episode: None,
        lines: quantities.iter().enumerate().map(line).collect(),
        parcels: Vec::new(),
        records: Vec::new(),
        benefit: Benefit::default(),
        agreed_member_minor: i64::MAX,
        method: Method::Card,
        payment: None,
        reserved_until: Timestamp::from_micros(i64::MAX),
        reason: None,
        closing: false,
        revision: 0,
        created: Timestamp::from_micros(0),
        updated: Timestamp::from_micros(0),
    }
}

/// What the contract's picture of an order draws, and nothing else.
const DRAWN: [(OrderState, Event, OrderState); 29] = {
    use Event as E;
    use OrderState as S;
    [
        (S::Reserving, E::PaymentPending, S::AwaitingPayment),
        (S::AwaitingPayment, E::PaymentPending, S::AwaitingPayment),
        (S::Reserving, E::ReservedUnverified, S::AwaitingVerification),
        (S::AwaitingPayment, E::ReservedUnverified, S::AwaitingVerification),
        (S::Reserving, E::Reserved, S::Confirmed),
        (S::AwaitingPayment, E::Reserved, S::Confirmed),
        (S::AwaitingVerification, E::Verified, S::Confirmed),
        (S::Confirmed, E::Packed, S::Packing),
        (S::Packing, E::Packed, S::Packing),
        (S::Packing, E::Unpacked, S::Confirmed),
        (S::PartlyShipped, E::Packed, S::PartlyShipped),
        (S::PartlyShipped, E::Unpacked, S::PartlyShipped),
        (S::Packing, E::DispensedPart, S::PartlyShipped),
        (S::PartlyShipped, E::DispensedPart, S::PartlyShipped),
        (S::Packing, E::DispensedAll, S::Shipped),
        (S::PartlyShipped, E::DispensedAll, S::Shipped),
        (S::Shipped, E::DeliveredAll, S::Delivered),
        (S::Shipped, E::DeliveredNothing, S::DeliveryFailed),
        (S::Delivered, E::ReturnedAll, S::Returned),
        (S::Reserving, E::Cancel, S::Cancelled),
        (S::AwaitingPayment, E::Cancel, S::Cancelled),
        (S::AwaitingVerification, E::Cancel, S::Cancelled),
        (S::Confirmed, E::Cancel, S::Cancelled),
        (S::Packing, E::Cancel, S::Cancelled),
        (S::Reserving, E::Expire, S::Expired),
        (S::AwaitingPayment, E::Expire, S::Expired),
        (S::AwaitingVerification, E::Expire, S::Expired),
        (S::Confirmed, E::Expire, S::Expired),
        (S::Packing, E::Expire, S::Expired),
    ]
};

const EVENTS: [Event; 13] = [
    Event::PaymentPending,
    Event::ReservedUnverified,
    Event::Reserved,
    Event::Verified,
    Event::Packed,
    Event::Unpacked,
    Event::DispensedPart,
    Event::DispensedAll,
    Event::DeliveredAll,
    Event::DeliveredNothing,
    Event::ReturnedAll,
    Event::Cancel,
    Event::Expire,
];

#[test]
fn an_order_moves_as_drawn_and_every_other_transition_is_refused() {
    for state in OrderState::ALL {
        for event in EVENTS {
            let drawn =
                DRAWN.iter().find(|(from, by, _)| (*from, *by) == (state, event)).map(|(_, _, to)| *to);
            assert_eq!(state.after(event).ok(), drawn, "{state:?} {event:?}");
        }
    }
}

#[test]
fn a_parcel_moves_as_drawn_and_what_left_the_branch_never_comes_back() {
    use ParcelState as P;
    let drawn = [
        (P::Packed, P::Dispensing),
        (P::Packed, P::Unpacked),
        (P::Dispensing, P::Packed),
        (P::Dispensing, P::Shipped),
        (P::Dispensing, P::Delivered),
        (P::Shipped, P::Shipped),
        (P::Shipped, P::Delivered),
        (P::Shipped, P::NotDelivered),
    ];
    for from in P::ALL {
        for to in P::ALL {
            assert_eq!(from.to(to).is_ok(), drawn.contains(&(from, to)), "{from:?} {to:?}");
        }
    }
}

#[test]
fn an_order_in_two_parcels_is_delivered_with_the_second_and_returned_with_the_last_unit() {
    let (one, two) = (id(), id());
    let part = vec![ParcelLine { sequence: 1, quantity: 10 }];
    let now = Timestamp::from_micros(1);
    let order = order(&[30]).pack(one, part).unwrap();
    let order = order.begin_dispense(one, Handover::AtCounter, "p".to_owned()).unwrap();
    assert!(order.clone().pack(two, Vec::new()).is_err(), "one thing at a time");
    let order = order.finish_dispense(one, id(), None, now).unwrap();
    assert_eq!(order.state, OrderState::PartlyShipped);
    let order = order.pack(two, Vec::new()).unwrap();
    let order = order.begin_dispense(two, Handover::Courier, "p".to_owned()).unwrap();
    let order = order.finish_dispense(two, id(), None, now).unwrap();
    assert_eq!(order.state, OrderState::Shipped);
    let order = order.deliver(two, String::new()).unwrap();
    assert_eq!(order.state, OrderState::Delivered);
    let back = [ParcelLine { sequence: 1, quantity: 31 }];
    assert_eq!(order.clone().take_back(&back), Err(Refusal::Return));
    let order = order.take_back(&[ParcelLine { sequence: 1, quantity: 30 }]).unwrap();
    let order = order.repriced(&[], None, id(), now).unwrap();
    assert_eq!(
        (order.state, order.records.iter().all(|record| record.withdrawn)),
        (OrderState::Returned, true)
    );
}

#[test]
fn a_beginning_that_is_taken_back_leaves_nothing() {
    let parcel = id();
    let packed = order(&[7]).pack(parcel, Vec::new()).unwrap();
    let begun = packed.clone().begin_dispense(parcel, Handover::Courier, "p".to_owned()).unwrap();
    let mut undone = begun.undo_dispense(parcel).unwrap();
    assert_eq!(undone.parcels[0].tries, 1, "its postings will be others");
    undone.parcels[0].tries = 0;
    assert_eq!(undone, packed);
}

fn leg(line: u32, layer: &str, amount: i64) -> Leg {
    Leg { line, account: "a".to_owned(), layer: layer.to_owned(), counts: false, amount }
}

proptest! {
    /// INV-R5, over parts: list = plan + discount + member of each part, and parts sum to the whole.
    #[test]
    fn inv_r5_parts_of_a_line_sum_to_the_line_whatever_their_sizes(
        list in 0i64..10_000_000, plan_share in 0i64..=100, cuts in proptest::collection::vec(1i64..40, 1..8),
    ) {
        let quantity: i64 = cuts.iter().sum();
        let whole = Shares { list, plan: list * plan_share / 100, discount: 0 };
        let legs = [leg(1, "bonus", whole.plan / 3), leg(1, "base", whole.plan - whole.plan / 3)];
        let (mut before, mut sum, mut drawn) = (0, Shares::default(), 0);
        for cut in cuts {
            let part = whole.part(before, before + cut, quantity);
            prop_assert_eq!(part.list, part.plan + part.discount + part.member());
            let parts = [PartLine { sequence: 1, quantity, before, so_far: before + cut }];
            let part_of_legs: i64 = part_legs(&legs, &parts, before == 0).iter().map(|leg| leg.amount).sum();
            prop_assert_eq!(part_of_legs, part.plan, "the ledger takes what the part says");
            before += cut;
            sum = sum.plus(part);
            drawn += part_of_legs;
        }
        prop_assert_eq!(sum, whole);
        prop_assert_eq!(drawn, whole.plan);
    }

    #[test]
    fn one_fill_is_one_count_and_goes_with_the_first_part(first in 1i64..30) {
        let fill = Leg { counts: true, ..leg(1, "base", 1) };
        let part = |before, so_far| [PartLine { sequence: 1, quantity: 30, before, so_far }];
        prop_assert_eq!(part_legs(std::slice::from_ref(&fill), &part(0, first), true), vec![fill.clone()]);
        prop_assert!(part_legs(&[fill], &part(first, 30), false).is_empty());
    }

    #[test]
    fn every_entry_of_the_journal_sums_to_zero(list in 0i64..1_000_000, plan in 0i64..1_000_000, discount in 0i64..1_000) {
        let shares = Shares { list, plan, discount };
        prop_assert_eq!(Entry::sale(String::new(), shares).sum(), 0);
        prop_assert_eq!(Entry::paid(String::new(), list - plan).sum(), 0);
    }
}
