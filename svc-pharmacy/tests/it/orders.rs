//! Orders from the quote to the last refund, at a real svc-policy and a payment provider that fails on demand.

use std::time::Duration;

use caremesh_mesh::port::payment::Fault;
use caremesh_proto::pharmacy::v1::*;
use caremesh_testkit::for_each_database;

use crate::common::*;
use crate::shop::*;

const STRIP: i64 = 250_000;

fn quoting(shop: &Shop, patient: String, items: Vec<OrderItem>) -> QuoteOrderRequest {
    QuoteOrderRequest { patient_person_id: patient, branch_id: shop.branch.clone(), items }
}

/// INV-R5 of whatever is shown.
fn balanced(shares: &Shares) {
    assert_eq!(
        shares.list_minor,
        shares.plan_minor + shares.discount_minor + shares.member_minor,
        "{shares:?}"
    );
    assert!([shares.plan_minor, shares.discount_minor, shares.member_minor].iter().all(|share| *share >= 0));
}

for_each_database! { with world;
    async fn inv_r5_a_quote_says_who_bears_what_and_why_and_changes_nothing(world: World) {
        let (family, shop) = (world.family().await, world.order_shop().await);
        let product = world.product(STRIP, "OVER_THE_COUNTER").await;
        let asked = quoting(&shop, family.person(1), vec![item(&product, 10), item(&product, 15)]);
        let quote = world.orders(&family.holder).quote_order(asked).await.expect("a quote").into_inner().quote;
        let quote = quote.expect("a quote");
        assert!(quote.insured);
        let total = quote.total.expect("a total");
        assert_eq!(total.list_minor, STRIP + STRIP * 3 / 2);
        assert!(total.plan_minor > 0 && total.member_minor > 0, "{total:?}");
        balanced(&total);
        for line in &quote.lines {
            balanced(line.shares.as_ref().expect("shares"));
            assert!(!line.reasons.is_empty(), "the member is told why");
        }
        assert_eq!(world.balance(&family, "PHARMACY_MONTH").await.1, 0, "nothing is held");
    }

    async fn who_has_no_cover_pays_the_list_price_and_is_told_so(world: World) {
        let (person, shop) = (world.uninsured().await, world.order_shop().await);
        let product = world.product(STRIP, "OVER_THE_COUNTER").await;
        let own = person.person_id.expect("a record").to_string();
        let asked = quoting(&shop, own, vec![item(&product, 10)]);
        let quote = world.orders(&person).quote_order(asked).await.expect("a quote").into_inner().quote.expect("a quote");
        assert!(!quote.insured);
        assert_eq!(quote.total.expect("a total").member_minor, STRIP);
        assert_eq!(quote.lines[0].reasons[0].reason, "NO_COVER");
    }

    async fn inv_r3_what_cannot_be_sold_here_is_refused_by_name(world: World) {
        let (family, shop) = (world.family().await, world.order_shop().await);
        let stranger = world.uninsured().await;
        let product = world.product(STRIP, "OVER_THE_COUNTER").await;
        let mut holder = world.orders(&family.holder);
        let unknown = quoting(&shop, family.person(0), vec![item(&fresh_id("prd"), 1)]);
        assert_eq!(refused(holder.quote_order(unknown).await), "PRODUCT_NOT_SOLD");
        let mut millilitres = item(&product, 10);
        millilitres.unit_code = "mL".to_owned();
        let other_unit = quoting(&shop, family.person(0), vec![millilitres]);
        assert_eq!(refused(holder.quote_order(other_unit).await), "UNIT_MISMATCH");
        let foreign = quoting(&shop, family.person(0), vec![item(&product, 10)]);
        assert_eq!(refused(world.orders(&stranger).quote_order(foreign).await), "RESOURCE_NOT_FOUND");

        let strict = world.product(STRIP, "PRESCRIPTION_ONLY").await;
        world.receive(&shop, &strict, 10).await;
        let asked = place(&shop, family.person(0), vec![item(&strict, 10)], STRIP);
        assert_eq!(refused(holder.place_order(asked).await), "PRESCRIPTION_MISSING");
        world.receive(&shop, &product, 10).await;
        let cheap = place(&shop, family.person(0), vec![item(&product, 10)], 0);
        assert_eq!(refused(holder.place_order(cheap).await), "PRICE_CHANGED");
        let gone = place(&shop, family.person(0), vec![item(&fresh_id("prd"), 1)], STRIP);
        assert_eq!(refused(holder.place_order(gone).await), "PRODUCT_NOT_SOLD");
        let mut other = item(&product, 10);
        other.unit_code = "mL".to_owned();
        let other = place(&shop, family.person(0), vec![other], STRIP);
        assert_eq!(refused(holder.place_order(other).await), "UNIT_MISMATCH");
        let elsewhere = place(&world.unlicensed().await, family.person(0), vec![item(&product, 1)], STRIP);
        assert_eq!(refused(holder.place_order(elsewhere).await), "BRANCH_NOT_LICENSED");
        assert_eq!(world.shelf(&shop, &product).await, (10, 0));
    }

    async fn an_order_is_held_paid_dispensed_in_parts_delivered_and_settled(world: World) {
        let (family, shop) = (world.family().await, world.order_shop().await);
        let product = world.product(STRIP, "OVER_THE_COUNTER").await;
        world.receive(&shop, &product, 40).await;
        let asked = place(&shop, family.person(1), vec![item(&product, 30)], STRIP * 3);
        let order = world.placed(&family, asked.clone()).await;
        assert_eq!(order.state(), OrderState::Reserving);
        assert_eq!(world.placed(&family, asked).await.order_id, order.order_id, "a repeated placing is the same");
        let order = world.until_state(&family.holder, &order.order_id, OrderState::Confirmed).await;
        let total = order.total.expect("a total");
        assert_eq!(world.shelf(&shop, &product).await, (40, 30));
        assert_eq!(world.balance(&family, "SUM_INSURED").await.1, total.plan_minor);
        assert_eq!(world.bank.find(&order.order_id).expect("a payment").authorised.minor, total.member_minor);

        let order = world.pack(&shop, &order.order_id, &[(1, 7)]).await;
        let order = world.dispense(&shop, &order, Handover::AtCounter).await;
        assert_eq!(order.state(), OrderState::PartlyShipped);
        let order = world.pack(&shop, &order.order_id, &[]).await;
        let order = world.dispense(&shop, &order, Handover::Courier).await;
        assert_eq!(order.state(), OrderState::Shipped);
        let order = world.deliver(&shop, &order).await;
        assert_eq!(order.state(), OrderState::Delivered);
        assert_eq!(order.parcels[1].proof, "Ada Obi, code 4711");

        let again = dispensing(&order, Handover::Courier);
        assert_eq!(refused(world.orders(&shop.pharmacist).dispense_parcel(again).await), "ORDER_STATE_FORBIDS");

        // INV-R5 over parts: their shares sum to the whole, and the ledger used exactly the plan share.
        let parts = order.parcels.iter().map(|parcel| parcel.shares.expect("shares"));
        parts.clone().for_each(|shares| balanced(&shares));
        assert_eq!(parts.clone().map(|shares| shares.plan_minor).sum::<i64>(), total.plan_minor);
        assert_eq!(order.captured_minor, total.member_minor);
        assert_eq!(world.bank.find(&order.order_id).expect("a payment").captured.minor, total.member_minor);
        let sum = world.balance(&family, "SUM_INSURED").await;
        assert_eq!((sum.0, sum.1), (total.plan_minor, 0));
        assert_eq!(world.shelf(&shop, &product).await, (10, 0));
        assert_eq!(order.dispenses.len(), 2);
        assert!(order.dispenses.iter().all(|record| !record.posting_id.is_empty()), "claim-ready");
        let settled = world.settlement(&order).await;
        assert!(settled.settled, "{settled:?}");
        assert_eq!(open(&settled, Party::Carrier), total.plan_minor);
        assert_eq!(open(&settled, Party::Branch), -total.list_minor);
        world.verify_ledger().await;
    }

    async fn a_return_reverses_and_prices_anew_what_is_kept(world: World) {
        let (family, shop) = (world.family().await, world.order_shop().await);
        let product = world.product(STRIP, "OVER_THE_COUNTER").await;
        world.receive(&shop, &product, 30).await;
        let order = world.placed(&family, place(&shop, family.person(1), vec![item(&product, 30)], STRIP * 3)).await;
        let order = world.until_state(&family.holder, &order.order_id, OrderState::Confirmed).await;
        let order = world.pack(&shop, &order.order_id, &[]).await;
        let order = world.dispense(&shop, &order, Handover::AtCounter).await;
        assert_eq!(order.state(), OrderState::Delivered);
        let quoted = quoting(&shop, family.person(1), vec![item(&product, 20)]);
        let back = |quantity| ReturnGoodsRequest {
            request_id: request_id(),
            order_id: order.order_id.clone(),
            lines: vec![ParcelLine { sequence: 1, quantity }],
        };
        let mut pharmacist = world.orders(&shop.pharmacist);
        assert_eq!(refused(pharmacist.return_goods(back(31)).await), "RETURN_EXCEEDS_DELIVERY");
        pharmacist.return_goods(back(10)).await.expect("taken back");
        let order = world.until(&family.holder, &order.order_id, |order| !order.closing).await;
        let kept = order.total.expect("a total");
        assert_eq!((order.state(), kept.list_minor), (OrderState::Delivered, STRIP * 2));
        balanced(&kept);
        let sum = world.balance(&family, "SUM_INSURED").await;
        assert_eq!((sum.0, sum.1), (kept.plan_minor, 0));
        assert_eq!(order.captured_minor - order.refunded_minor, kept.member_minor);
        assert_eq!(world.bank.find(&order.order_id).expect("a payment").kept_minor(), kept.member_minor);
        let records = &order.dispenses;
        assert_eq!(records[0].state(), DispenseRecordState::Withdrawn);
        assert_eq!((records[1].state(), records[1].revision), (DispenseRecordState::Recorded, 1));
        assert!(world.settlement(&order).await.settled);
        assert_eq!(world.shelf(&shop, &product).await, (0, 0), "returned medicine is never sold again");

        pharmacist.return_goods(back(20)).await.expect("taken back");
        let order = world.until_state(&family.holder, &order.order_id, OrderState::Returned).await;
        let sum = world.balance(&family, "SUM_INSURED").await;
        assert_eq!((sum.0, order.captured_minor - order.refunded_minor), (0, 0));
        assert!(order.dispenses.iter().all(|record| record.state() == DispenseRecordState::Withdrawn));
        let settled = world.settlement(&order).await;
        assert!(settled.settled && settled.balances.iter().all(|balance| balance.amount_minor == 0), "{settled:?}");
        world.orders(&family.holder).quote_order(quoted).await.expect("a quote");
        world.verify_ledger().await;
    }

    async fn inv_r6_a_cancelled_order_gives_everything_back_exactly_once(world: World) {
        let (family, shop) = (world.family().await, world.order_shop().await);
        let product = world.product(STRIP, "OVER_THE_COUNTER").await;
        world.receive(&shop, &product, 30).await;
        let order = world.placed(&family, place(&shop, family.person(1), vec![item(&product, 30)], STRIP * 3)).await;
        world.until_state(&family.holder, &order.order_id, OrderState::Confirmed).await;
        let asked = CancelOrderRequest { request_id: request_id(), order_id: order.order_id.clone() };
        let mut holder = world.orders(&family.holder);
        for _ in 0..2 {
            holder.cancel_order(asked.clone()).await.expect("cancelled");
        }
        let again = CancelOrderRequest { request_id: request_id(), ..asked };
        assert_eq!(refused(holder.cancel_order(again).await), "ORDER_STATE_FORBIDS");
        let over = |order: &Order| order.payment_state() == MemberPaymentState::Failed;
        let order = world.until(&family.holder, &order.order_id, over).await;
        assert_eq!((order.state(), order.reason.as_str()), (OrderState::Cancelled, "CANCELLED"));
        assert_eq!(world.shelf(&shop, &product).await, (30, 0));
        assert_eq!(world.balance(&family, "SUM_INSURED").await.1, 0);
        assert_eq!(world.bank.find(&order.order_id).expect("a payment").captured.minor, 0);
        assert!(world.settlement(&order).await.settled);
        world.verify_ledger().await;
    }

    async fn a_rest_that_is_cancelled_prices_what_was_handed_over(world: World) {
        let (family, shop) = (world.family().await, world.order_shop().await);
        let product = world.product(STRIP, "OVER_THE_COUNTER").await;
        world.receive(&shop, &product, 30).await;
        let order = world.placed(&family, place(&shop, family.person(1), vec![item(&product, 30)], STRIP * 3)).await;
        world.until_state(&family.holder, &order.order_id, OrderState::Confirmed).await;
        let order = world.pack(&shop, &order.order_id, &[(1, 10)]).await;
        let order = world.dispense(&shop, &order, Handover::AtCounter).await;
        let asked = CancelOrderRequest { request_id: request_id(), order_id: order.order_id.clone() };
        world.orders(&family.holder).cancel_order(asked).await.expect("cancelled");
        let order = world.until_state(&family.holder, &order.order_id, OrderState::Delivered).await;
        let kept = order.total.expect("a total");
        assert_eq!(kept.list_minor, STRIP);
        let sum = world.balance(&family, "SUM_INSURED").await;
        assert_eq!((sum.0, sum.1), (kept.plan_minor, 0));
        assert_eq!(world.bank.find(&order.order_id).expect("a payment").kept_minor(), kept.member_minor);
        assert_eq!(world.shelf(&shop, &product).await, (20, 0));
        assert!(world.settlement(&order).await.settled);
        world.verify_ledger().await;
    }

    async fn inv_r6_an_order_whose_time_is_over_is_closed_and_nothing_of_it_stays(world: World) {
        let (family, shop) = (world.family().await, world.order_shop().await);
        let product = world.product(STRIP, "OVER_THE_COUNTER").await;
        world.receive(&shop, &product, 10).await;
        let order = world.placed(&family, place(&shop, family.person(1), vec![item(&product, 10)], STRIP)).await;
        world.until_state(&family.holder, &order.order_id, OrderState::Confirmed).await;
        world.clock.advance(Duration::from_secs(2 * 24 * 3_600));
        let asked = PackParcelRequest { request_id: request_id(), order_id: order.order_id.clone(), lines: vec![] };
        assert_eq!(refused(world.orders(&shop.pharmacist).pack_parcel(asked).await), "ORDER_STATE_FORBIDS");
        // The shelf needs no sweeper: the next one gets the pack.
        let next = world.placed(&family, place(&shop, family.person(0), vec![item(&product, 10)], STRIP)).await;
        world.until_state(&family.holder, &next.order_id, OrderState::Confirmed).await;
        world.sweep().await;
        let order = world.until_state(&family.holder, &order.order_id, OrderState::Expired).await;
        world.until(&family.holder, &order.order_id, |order| order.payment_state() == MemberPaymentState::Failed).await;
        let next = world.order(&family.holder, &next.order_id).await;
        let held = world.balance(&family, "SUM_INSURED").await.1;
        assert_eq!(held, next.total.expect("a total").plan_minor, "only the second is held");
        assert_eq!(world.shelf(&shop, &product).await, (10, 10));
        world.verify_ledger().await;
    }

    async fn hard_case_9_cash_on_delivery_refused_at_the_door_leaves_nothing_owed_and_nothing_restocked(world: World) {
        let (family, shop) = (world.family().await, world.order_shop().await);
        let product = world.product(STRIP, "OVER_THE_COUNTER").await;
        world.receive(&shop, &product, 10).await;
        let mut asked = place(&shop, family.person(1), vec![item(&product, 10)], STRIP);
        asked.payment_method = PaymentMethod::CashOnDelivery.into();
        let order = world.placed(&family, asked).await;
        world.until_state(&family.holder, &order.order_id, OrderState::Confirmed).await;
        let order = world.pack(&shop, &order.order_id, &[]).await;
        let order = world.dispense(&shop, &order, Handover::Courier).await;
        assert_eq!(order.captured_minor, 0, "nothing is paid before the door");
        let fail = |is_final| FailDeliveryRequest {
            request_id: request_id(),
            order_id: order.order_id.clone(),
            parcel_id: order.parcels[0].parcel_id.clone(),
            r#final: is_final,
        };
        let mut courier = world.orders(&shop.courier);
        courier.fail_delivery(fail(false)).await.expect("tried again");
        courier.fail_delivery(fail(true)).await.expect("given up");
        let order = world.until_state(&family.holder, &order.order_id, OrderState::DeliveryFailed).await;
        assert_eq!(order.parcels[0].state(), ParcelState::NotDelivered);
        assert_eq!(order.dispenses[0].state(), DispenseRecordState::Withdrawn);
        let sum = world.balance(&family, "SUM_INSURED").await;
        assert_eq!([sum.0, sum.1], [0; 2]);
        assert_eq!(world.shelf(&shop, &product).await, (0, 0), "it left the branch: it is never sold again");
        let settled = world.settlement(&order).await;
        assert!(settled.settled && settled.balances.iter().all(|balance| balance.amount_minor == 0), "{settled:?}");
        assert_eq!(refused(courier.fail_delivery(fail(true)).await), "ORDER_STATE_FORBIDS");
        world.verify_ledger().await;
    }

    async fn cash_is_taken_at_the_door_and_given_back_with_the_goods(world: World) {
        let (person, shop) = (world.uninsured().await, world.order_shop().await);
        let product = world.product(STRIP, "OVER_THE_COUNTER").await;
        world.receive(&shop, &product, 10).await;
        let own = person.person_id.expect("a record").to_string();
        let mut asked = place(&shop, own, vec![item(&product, 10)], STRIP);
        asked.payment_method = PaymentMethod::CashOnDelivery.into();
        let order = order_of(world.orders(&person).place_order(asked).await, |answer| answer.order);
        world.until_state(&person, &order.order_id, OrderState::Confirmed).await;
        let order = world.pack(&shop, &order.order_id, &[]).await;
        let order = world.dispense(&shop, &order, Handover::Courier).await;
        assert!(!world.settlement(&order).await.settled);
        let order = world.deliver(&shop, &order).await;
        assert_eq!((order.captured_minor, order.payment_state()), (STRIP, MemberPaymentState::Captured));
        assert!(world.settlement(&order).await.settled);
        let back = ReturnGoodsRequest {
            request_id: request_id(),
            order_id: order.order_id.clone(),
            lines: vec![ParcelLine { sequence: 1, quantity: 10 }],
        };
        world.orders(&shop.pharmacist).return_goods(back).await.expect("taken back");
        let order = world.until_state(&person, &order.order_id, OrderState::Returned).await;
        assert_eq!(order.payment_state(), MemberPaymentState::Refunded);
        assert!(world.settlement(&order).await.settled);
    }

    async fn hard_case_7_a_lot_recalled_after_packing_stays_in_the_branch_and_nobody_pays_for_it(world: World) {
        let (family, shop) = (world.family().await, world.order_shop().await);
        let product = world.product(STRIP, "OVER_THE_COUNTER").await;
        world.receive(&shop, &product, 10).await;
        let order = world.placed(&family, place(&shop, family.person(1), vec![item(&product, 10)], STRIP)).await;
        world.until_state(&family.holder, &order.order_id, OrderState::Confirmed).await;
        let order = world.pack(&shop, &order.order_id, &[]).await;
        world.recall(&product).await;
        world.orders(&shop.pharmacist).dispense_parcel(dispensing(&order, Handover::Courier)).await.expect("it begins");
        let back = |order: &Order| order.parcels[0].state() == ParcelState::Packed && order.lines[0].dispensed == 0;
        world.until(&family.holder, &order.order_id, back).await;
        let payment = world.bank.find(&order.order_id).expect("a payment");
        assert_eq!(payment.kept_minor(), 0);
        let asked = CancelOrderRequest { request_id: request_id(), order_id: order.order_id.clone() };
        world.orders(&family.holder).cancel_order(asked).await.expect("cancelled");
        let none = async || {
            let sum = world.balance(&family, "SUM_INSURED").await;
            [sum.0, sum.1] == [0; 2]
        };
        eventually(none).await;
        assert!(world.settlement(&order).await.lines.is_empty());
        world.verify_ledger().await;
    }

    async fn a_provider_that_is_late_double_and_failing_is_asked_again_and_takes_once(world: World) {
        let (person, shop) = (world.uninsured().await, world.order_shop().await);
        let product = world.product(STRIP, "OVER_THE_COUNTER").await;
        world.receive(&shop, &product, 20).await;
        let own = person.person_id.expect("a record").to_string();
        world.bank.will([Fault::Late, Fault::Double]);
        let asked = place(&shop, own.clone(), vec![item(&product, 10)], STRIP);
        let order = order_of(world.orders(&person).place_order(asked).await, |answer| answer.order);
        world.until_state(&person, &order.order_id, OrderState::AwaitingPayment).await;
        let order = world.until_state(&person, &order.order_id, OrderState::Confirmed).await;
        let order = world.pack(&shop, &order.order_id, &[]).await;
        world.bank.will([Fault::Failing, Fault::Double]);
        let order = world.dispense(&shop, &order, Handover::AtCounter).await;
        assert_eq!(world.bank.find(&order.order_id).expect("a payment").captured.minor, STRIP);

        world.bank.will([Fault::Declined]);
        let asked = place(&shop, own, vec![item(&product, 10)], STRIP);
        let order = order_of(world.orders(&person).place_order(asked).await, |answer| answer.order);
        world.until_state(&person, &order.order_id, OrderState::Cancelled).await;
        assert_eq!(world.shelf(&shop, &product).await, (10, 0));
    }

    async fn the_last_pack_goes_to_one_and_the_others_learn_where_else(world: World) {
        let (shop, other) = (world.order_shop().await, world.order_shop().await);
        let product = world.product(STRIP, "OVER_THE_COUNTER").await;
        world.receive(&shop, &product, 10).await;
        world.receive(&other, &product, 100).await;
        let mut people = Vec::new();
        for _ in 0..12 {
            people.push(world.uninsured().await);
        }
        let tries = people.iter().map(|person| {
            let own = person.person_id.expect("a record").to_string();
            let asked = place(&shop, own, vec![item(&product, 10)], STRIP);
            let mut orders = world.orders(person);
            async move { orders.place_order(asked).await }
        });
        let answers = futures::future::join_all(tries).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        for answer in answers.into_iter().filter_map(Result::err) {
            use tonic_types::StatusExt as _;
            let info = answer.get_details_error_info().expect("a reason");
            assert_eq!(info.reason, "STOCK_INSUFFICIENT");
            assert_eq!(info.metadata.get("next_branch_id"), Some(&other.branch));
        }
        assert_eq!(world.shelf(&shop, &product).await, (10, 10));
    }

    async fn inv_r10_only_a_registered_pharmacist_of_the_licensed_branch_dispenses(world: World) {
        let (person, shop) = (world.uninsured().await, world.order_shop().await);
        let product = world.product(STRIP, "OVER_THE_COUNTER").await;
        world.receive(&shop, &product, 10).await;
        let own = person.person_id.expect("a record").to_string();
        let asked = place(&shop, own, vec![item(&product, 10)], STRIP);
        let order = order_of(world.orders(&person).place_order(asked).await, |answer| answer.order);
        world.until_state(&person, &order.order_id, OrderState::Confirmed).await;
        let order = world.pack(&shop, &order.order_id, &[]).await;
        let again = PackParcelRequest { request_id: request_id(), order_id: order.order_id.clone(), lines: vec![] };
        assert_eq!(refused(world.orders(&shop.pharmacist).pack_parcel(again).await), "PARCEL_EXCEEDS_ORDER");
        let unregistered = staff("pharmacist");
        let asked = dispensing(&order, Handover::AtCounter);
        assert_eq!(refused(world.orders(&unregistered).dispense_parcel(asked.clone()).await), "PHARMACIST_NOT_REGISTERED");
        let elsewhere = world.order_shop().await.pharmacist;
        assert_eq!(refused(world.orders(&elsewhere).dispense_parcel(asked.clone()).await), "RESOURCE_NOT_FOUND");
        world.licence_ends(&shop).await;
        assert_eq!(refused(world.orders(&shop.pharmacist).dispense_parcel(asked).await), "BRANCH_NOT_LICENSED");
        let deliver = DeliverParcelRequest {
            request_id: request_id(),
            order_id: order.order_id.clone(),
            parcel_id: order.parcels[0].parcel_id.clone(),
            proof: "nobody".to_owned(),
        };
        assert_eq!(refused(world.orders(&shop.courier).deliver_parcel(deliver).await), "ORDER_STATE_FORBIDS");
        let back = ReturnGoodsRequest {
            request_id: request_id(),
            order_id: order.order_id.clone(),
            lines: vec![ParcelLine { sequence: 1, quantity: 1 }],
        };
        assert_eq!(refused(world.orders(&shop.pharmacist).return_goods(back).await), "ORDER_STATE_FORBIDS");
    }

    async fn an_order_is_seen_by_patient_payer_branch_and_nobody_else(world: World) {
        let (family, shop) = (world.family().await, world.order_shop().await);
        let (stranger, elsewhere) = (world.uninsured().await, world.order_shop().await);
        let product = world.product(STRIP, "OVER_THE_COUNTER").await;
        world.receive(&shop, &product, 10).await;
        let order = world.placed(&family, place(&shop, family.person(1), vec![item(&product, 10)], STRIP)).await;
        let get = || GetOrderRequest { order_id: order.order_id.clone() };
        world.order(&family.holder, &order.order_id).await;
        world.order(&shop.pharmacist, &order.order_id).await;
        for other in [&stranger, &elsewhere.pharmacist] {
            assert_eq!(refused(world.orders(other).get_order(get()).await), "RESOURCE_NOT_FOUND");
            let cancel = CancelOrderRequest { request_id: request_id(), order_id: order.order_id.clone() };
            assert_eq!(refused(world.orders(other).cancel_order(cancel).await), "RESOURCE_NOT_FOUND");
        }
        let own = ListOrdersRequest::default();
        let listed = world.orders(&family.holder).list_orders(own.clone()).await.expect("a list").into_inner().orders;
        assert_eq!(listed.len(), 1);
        let listed = world.orders(&stranger).list_orders(own).await.expect("a list").into_inner().orders;
        assert!(listed.is_empty());
        let branch = ListOrdersRequest { branch_id: shop.branch.clone(), ..ListOrdersRequest::default() };
        let listed = world.orders(&shop.pharmacist).list_orders(branch.clone()).await.expect("a list").into_inner().orders;
        assert_eq!(listed.len(), 1);
        assert_eq!(refused(world.orders(&elsewhere.pharmacist).list_orders(branch).await), "RESOURCE_NOT_FOUND");
    }

    async fn a_watcher_sees_each_state_and_the_end(world: World) {
        let (person, shop) = (world.uninsured().await, world.order_shop().await);
        let product = world.product(STRIP, "OVER_THE_COUNTER").await;
        world.receive(&shop, &product, 10).await;
        let own = person.person_id.expect("a record").to_string();
        let asked = place(&shop, own, vec![item(&product, 10)], STRIP);
        let order = order_of(world.orders(&person).place_order(asked).await, |answer| answer.order);
        let watch = WatchOrderRequest { order_id: order.order_id.clone(), known_etag: String::new() };
        let mut seen = world.orders(&person).watch_order(watch).await.expect("a stream").into_inner();
        world.until_state(&person, &order.order_id, OrderState::Confirmed).await;
        let asked = CancelOrderRequest { request_id: request_id(), order_id: order.order_id.clone() };
        world.orders(&person).cancel_order(asked).await.expect("cancelled");
        let mut last = OrderState::Unspecified;
        while let Some(change) = seen.message().await.expect("a change") {
            last = change.order.map_or(last, |order| order.state());
        }
        assert_eq!(last, OrderState::Cancelled);
    }
}
