//! Orders of medicine on prescription: filled from a verified item of the same patient, or waiting for a paper, and never
//! beyond what the counter would hand out.

use std::time::Duration;

use caremesh_proto::pharmacy::v1::*;
use caremesh_testkit::for_each_database;

use crate::branches::{self, PLACES};
use crate::common::*;
use crate::insured::Family;
use crate::papers::PNG;
use crate::shop::*;
use crate::stock::TABLET;

const STRIP: i64 = 250_000;
const AGREED: i64 = STRIP * 10;

/// A family, a branch with plenty of a medicine on prescription, and a prescription for the policyholder.
struct Chemist {
    world: World,
    family: Family,
    counter: branches::Shop,
    shop: Shop,
    product: String,
}

impl World {
    async fn chemist(self) -> Chemist {
        let (family, counter) = (self.family().await, self.shop(PLACES[0]).await);
        let shop = Shop {
            branch: counter.id.clone(),
            pharmacist: counter.pharmacist.clone(),
            courier: staff("courier"),
        };
        let product = self.product(STRIP, "PRESCRIPTION_ONLY").await;
        self.receive(&shop, &product, 300).await;
        Chemist { world: self, family, counter, shop, product }
    }

    /// Changes what the catalogue says of a product.
    async fn catalogue_says(&self, product: &str, what: &str) {
        self.run(format!("UPDATE product SET {what} WHERE id = '{product}'")).await.expect("the change");
    }
}

impl Chemist {
    /// A verified item of thirty tablets, one a day.
    async fn script(&self, repeats: i32) -> String {
        self.prescribed(self.world.item("test", repeats, 365)).await
    }

    async fn prescribed(&self, item: PrescribedItem) -> String {
        self.world.issued(&self.family.holder, vec![item]).await.items[0].item_id.clone()
    }

    fn of_item(&self, item_id: &str, quantity: i64) -> PlaceOrderRequest {
        let line = OrderItem { prescription_item_id: item_id.to_owned(), ..item(&self.product, quantity) };
        place(&self.shop, self.family.person(0), vec![line], AGREED)
    }

    fn of_paper(&self, paper: &Prescription) -> PlaceOrderRequest {
        let line = OrderItem { prescription_id: paper.prescription_id.clone(), ..item(&self.product, 30) };
        place(&self.shop, self.family.person(0), vec![line], AGREED)
    }

    async fn refusal(&self, asked: PlaceOrderRequest) -> String {
        refused(self.world.orders(&self.family.holder).place_order(asked).await)
    }

    async fn until(&self, order: &Order, state: OrderState) -> Order {
        self.world.until_state(&self.family.holder, &order.order_id, state).await
    }

    /// An order, confirmed and packed whole.
    async fn packed(&self, asked: PlaceOrderRequest) -> Order {
        let order = self.world.placed(&self.family, asked).await;
        let order = self.until(&order, OrderState::Confirmed).await;
        self.world.pack(&self.shop, &order.order_id, &[]).await
    }

    async fn not_dispensed(&self, order: &Order) -> String {
        let asked = dispensing(order, Handover::AtCounter);
        refused(self.world.orders(&self.shop.pharmacist).dispense_parcel(asked).await)
    }

    async fn at_counter(&self, item_id: &str, quantity: i64) {
        let asked = DispenseItemRequest {
            request_id: request_id(),
            item_id: item_id.to_owned(),
            product_id: self.product.clone(),
            quantity,
            unit_code: TABLET.to_owned(),
            ..DispenseItemRequest::default()
        };
        self.world.rx(&self.shop.pharmacist).dispense_item(asked).await.expect("a fill");
    }

    async fn item_of(&self, order: &Order) -> PrescriptionItem {
        self.world.prescription(&order.lines[0].prescription_id).await.items[0].clone()
    }

    async fn hold(&self, item_id: &str) {
        let asked = HoldItemRequest { request_id: request_id(), item_id: item_id.to_owned() };
        self.world.consult().hold_item(asked).await.expect("held");
    }

    /// Nothing is reserved, held or set aside for an order any more.
    async fn all_given_back(&self, order: &Order) {
        let done = async || {
            let paid = self.world.bank.find(&order.order_id).is_none_or(|paid| paid.kept_minor() == 0);
            let order = self.world.order(&self.family.holder, &order.order_id).await;
            paid && !order.closing && self.world.balance(&self.family, "SUM_INSURED").await == (0, 0)
        };
        eventually(done).await;
        assert_eq!(self.world.shelf(&self.shop, &self.product).await, (300, 0));
        self.world.verify_ledger().await;
        self.world.stock_adds_up().await;
    }
}

for_each_database! { with world;
    async fn inv_r3_r5_r9_an_order_on_prescription_is_one_fill_in_two_parcels(world: World) {
        let chemist = world.chemist().await;
        let script = chemist.script(3).await;
        let asked = chemist.of_item(&script, 30);
        let order = chemist.world.placed(&chemist.family, asked.clone()).await;
        assert_eq!(order.lines[0].prescription_item_id, script);
        let order = chemist.until(&order, OrderState::Confirmed).await;
        let order = chemist.world.pack(&chemist.shop, &order.order_id, &[(1, 10)]).await;
        let order = chemist.world.dispense(&chemist.shop, &order, Handover::AtCounter).await;
        let item = chemist.item_of(&order).await;
        assert_eq!((item.fills_used, item.quantity_dispensed, item.owed), (1, 10, 20));
        let order = chemist.world.pack(&chemist.shop, &order.order_id, &[]).await;
        let order = chemist.world.dispense(&chemist.shop, &order, Handover::AtCounter).await;
        let item = chemist.item_of(&order).await;
        assert_eq!((item.fills_used, item.quantity_dispensed, item.owed), (1, 30, 0), "one fill, two parcels");
        let order = chemist.until(&order, OrderState::Delivered).await;
        let again = chemist.world.placed(&chemist.family, asked).await;
        assert_eq!(again.order_id, order.order_id, "a repetition is the same, though it would be too soon by now");
        assert_eq!(chemist.refusal(chemist.of_item(&script, 30)).await, "REFILL_TOO_SOON");
        // Somebody else of the family, with the same item; nobody's item; one item on two lines.
        let mut other = chemist.of_item(&script, 30);
        other.patient_person_id = chemist.family.person(1);
        assert_eq!(chemist.refusal(other).await, "RESOURCE_NOT_FOUND");
        assert_eq!(chemist.refusal(chemist.of_item(&fresh_id("rxi"), 30)).await, "RESOURCE_NOT_FOUND");
        let mut twice = chemist.of_item(&script, 15);
        twice.items.push(twice.items[0].clone());
        assert_eq!(chemist.refusal(twice).await, "FIELD_INVALID");
        assert!(chemist.world.settlement(&order).await.settled);
        chemist.world.verify_ledger().await;
        chemist.world.stock_adds_up().await;
    }

    async fn inv_r3_an_order_waits_for_its_paper_and_goes_on_once_it_is_verified(world: World) {
        let chemist = world.chemist().await;
        let (world, patient) = (&chemist.world, &chemist.family.holder);
        let items = vec![world.item("Glimepiride", 0, 30), world.item("test", 0, 30)];
        let paper = world.transcribed(&chemist.counter, patient, PNG, items).await;
        let order = world.placed(&chemist.family, chemist.of_paper(&paper)).await;
        let order = chemist.until(&order, OrderState::AwaitingVerification).await;
        assert_eq!(order.lines[0].prescription_item_id, "", "no item before somebody has looked");
        let early = PackParcelRequest { request_id: request_id(), order_id: order.order_id.clone(), lines: vec![] };
        assert_eq!(refused(world.orders(&chemist.shop.pharmacist).pack_parcel(early).await), "ORDER_STATE_FORBIDS");
        let asked = world.verification(&paper);
        world.rx(&chemist.shop.pharmacist).verify_prescription(asked).await.expect("verified");
        let order = chemist.until(&order, OrderState::Confirmed).await;
        let verified = world.prescription(&paper.prescription_id).await;
        assert_eq!(order.lines[0].prescription_item_id, verified.items[1].item_id, "the item of this medicine");
        let order = world.pack(&chemist.shop, &order.order_id, &[]).await;
        world.dispense(&chemist.shop, &order, Handover::AtCounter).await;
        assert_eq!(world.prescription(&paper.prescription_id).await.items[1].fills_used, 1);
        world.verify_ledger().await;
    }

    async fn a_refused_paper_gives_everything_back_once(world: World) {
        let chemist = world.chemist().await;
        let (world, patient) = (&chemist.world, &chemist.family.holder);
        let paper = world.transcribed(&chemist.counter, patient, PNG, vec![world.item("test", 0, 30)]).await;
        let order = world.placed(&chemist.family, chemist.of_paper(&paper)).await;
        let order = chemist.until(&order, OrderState::AwaitingVerification).await;
        assert_eq!(world.shelf(&chemist.shop, &chemist.product).await, (300, 30));
        let reject = RejectPrescriptionRequest {
            request_id: request_id(),
            prescription_id: paper.prescription_id.clone(),
            reason: RejectionReason::Unreadable.into(),
        };
        world.rx(&chemist.shop.pharmacist).reject_prescription(reject).await.expect("rejected");
        let order = chemist.until(&order, OrderState::Cancelled).await;
        chemist.all_given_back(&order).await;
        assert_eq!(chemist.refusal(chemist.of_paper(&paper)).await, "PRESCRIPTION_STATE_FORBIDS");
    }

    async fn a_paper_for_another_medicine_and_one_that_nobody_verifies_give_everything_back(world: World) {
        let chemist = world.chemist().await;
        let (world, patient) = (&chemist.world, &chemist.family.holder);
        let paper = world.transcribed(&chemist.counter, patient, PNG, vec![world.item("Glimepiride", 0, 30)]).await;
        let order = world.placed(&chemist.family, chemist.of_paper(&paper)).await;
        let order = chemist.until(&order, OrderState::AwaitingVerification).await;
        let asked = world.verification(&paper);
        world.rx(&chemist.shop.pharmacist).verify_prescription(asked).await.expect("verified");
        let order = chemist.until(&order, OrderState::Cancelled).await;
        chemist.all_given_back(&order).await;
        const OTHER: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x02IHDRabcrc!\0\0\0\0IEND\xaeB`\x82";
        let paper = world.sent(patient, "image/png", OTHER, OTHER).await.expect("a document");
        let order = world.placed(&chemist.family, chemist.of_paper(&paper)).await;
        let order = chemist.until(&order, OrderState::AwaitingVerification).await;
        world.clock.advance(Duration::from_secs(3 * 24 * 3_600));
        world.sweep().await;
        let ended = |order: &Order| matches!(order.state(), OrderState::Expired | OrderState::Cancelled);
        let order = world.until(&chemist.family.holder, &order.order_id, ended).await;
        chemist.all_given_back(&order).await;
    }

    async fn inv_r1_r4_r7_r8_what_the_counter_would_refuse_cannot_be_ordered(world: World) {
        let chemist = world.chemist().await;
        let world = &chemist.world;
        let script = chemist.script(0).await;
        assert_eq!(chemist.refusal(chemist.of_item(&script, 31)).await, "QUANTITY_EXCEEDED");
        let mut strips = chemist.of_item(&script, 3);
        strips.items[0].unit_code = "mL".to_owned();
        assert_eq!(chemist.refusal(strips).await, "UNIT_MISMATCH");
        chemist.at_counter(&script, 30).await;
        assert_eq!(chemist.refusal(chemist.of_item(&script, 30)).await, "FILLS_EXHAUSTED");
        let held = chemist.script(3).await;
        chemist.hold(&held).await;
        assert_eq!(chemist.refusal(chemist.of_item(&held, 30)).await, "PRESCRIPTION_STATE_FORBIDS");
        // Another strength is another medicine, whoever agrees.
        let weak = PrescribedItem { strength: "50 mg".to_owned(), ..world.item("test", 0, 30) };
        let weak = chemist.prescribed(weak).await;
        assert_eq!(chemist.refusal(chemist.of_item(&weak, 30)).await, "SUBSTITUTION_NOT_ALLOWED");
        // A narcotic is not sold online, over the counter or not.
        let codeine = world.product(STRIP, "OVER_THE_COUNTER").await;
        world.catalogue_says(&codeine, "generic = 'Codeine'").await;
        let asked = place(&chemist.shop, chemist.family.person(0), vec![item(&codeine, 10)], AGREED);
        assert_eq!(chemist.refusal(asked).await, "CONTROLLED_NOT_ALLOWED");
        // Warfarin with the aspirin of another pharmacy, which the patient declared.
        world.reference().await;
        world.declare(&chemist.family.holder, &[], &["Aspirin"], (1980, 1, 1)).await;
        let warfarin = world.product(STRIP, "OVER_THE_COUNTER").await;
        world.catalogue_says(&warfarin, "generic = 'Warfarin'").await;
        let asked = place(&chemist.shop, chemist.family.person(0), vec![item(&warfarin, 10)], AGREED);
        assert_eq!(chemist.refusal(asked).await, "SAFETY_BLOCKED");
    }

    async fn hard_case_4_what_costs_more_needs_consent_and_no_substitution_binds(world: World) {
        let chemist = world.chemist().await;
        let world = &chemist.world;
        let brand = world.product(STRIP / 2, "PRESCRIPTION_ONLY").await;
        world.receive(&chemist.shop, &brand, 60).await;
        let of_brand = PrescribedItem { product_id: brand.clone(), ..world.item("test", 3, 365) };
        let strict = PrescribedItem { substitution_allowed: false, ..of_brand.clone() };
        let (open, strict) = (chemist.prescribed(of_brand).await, chemist.prescribed(strict).await);
        let instead = |item: &str, consent_to_price| {
            let mut asked = chemist.of_item(item, 30);
            asked.items[0].substitution_reason = SubstitutionReason::PatientRequest.into();
            asked.items[0].consent_to_price = consent_to_price;
            asked
        };
        assert_eq!(chemist.refusal(instead(&open, false)).await, "SUBSTITUTION_CONSENT_MISSING");
        assert_eq!(chemist.refusal(instead(&strict, true)).await, "SUBSTITUTION_NOT_ALLOWED");
        world.placed(&chemist.family, instead(&open, true)).await;
        let mut branded = chemist.of_item(&strict, 30);
        branded.items[0].product_id = brand;
        branded.agreed_member_minor = 0;
        assert_eq!(chemist.refusal(branded.clone()).await, "PRICE_CHANGED", "the difference needs consent too");
        branded.agreed_member_minor = AGREED;
        world.placed(&chemist.family, branded).await;
    }

    async fn hard_case_3_a_fill_in_two_parcels_over_the_end_of_the_plan_year_is_one_of_the_year_it_was_ordered_in(world: World) {
        let (family, shop) = (world.family().await, world.order_shop().await);
        let product = world.product(STRIP, "PRESCRIPTION_ONLY").await;
        world.receive(&shop, &product, 300).await;
        let counter = branches::Shop {
            id: shop.branch.clone(),
            pharmacist: shop.pharmacist.clone(),
            pharmacist_id: String::new(),
        };
        let chemist = Chemist { world, family, counter, shop, product };
        let world = &chemist.world;
        world.clock.advance(364 * branches::DAY);
        let script = chemist.script(0).await;
        let order = world.placed(&chemist.family, chemist.of_item(&script, 30)).await;
        let order = chemist.until(&order, OrderState::Confirmed).await;
        let whole = order.total.expect("a total");
        assert!(whole.plan_minor > 0, "insured on the last day of the year");
        let order = world.pack(&chemist.shop, &order.order_id, &[(1, 10)]).await;
        let order = world.dispense(&chemist.shop, &order, Handover::AtCounter).await;
        world.clock.advance(branches::DAY);
        let order = world.pack(&chemist.shop, &order.order_id, &[]).await;
        let order = world.dispense(&chemist.shop, &order, Handover::AtCounter).await;
        let order = chemist.until(&order, OrderState::Delivered).await;
        let shares: Vec<Shares> = order.parcels.iter().filter_map(|parcel| parcel.shares).collect();
        assert_eq!(shares.iter().map(|one| one.member_minor).sum::<i64>(), whole.member_minor, "one own share");
        assert_eq!(shares.iter().map(|one| one.plan_minor).sum::<i64>(), whole.plan_minor);
        assert_eq!(world.balance(&chemist.family, "SUM_INSURED").await, (whole.plan_minor, 0));
        let item = chemist.item_of(&order).await;
        assert_eq!((item.fills_used, item.owed), (1, 0));
        world.verify_ledger().await;
    }

    async fn inv_r1_r4_r7_r8_a_parcel_is_judged_anew_before_it_goes(world: World) {
        let chemist = world.chemist().await;
        let world = &chemist.world;
        let script = chemist.script(3).await;
        let (one, two) = (chemist.packed(chemist.of_item(&script, 30)).await, chemist.packed(chemist.of_item(&script, 30)).await);
        world.dispense(&chemist.shop, &one, Handover::AtCounter).await;
        assert_eq!(chemist.not_dispensed(&two).await, "REFILL_TOO_SOON");
        let script = chemist.script(0).await;
        let order = chemist.packed(chemist.of_item(&script, 30)).await;
        chemist.at_counter(&script, 10).await;
        assert_eq!(chemist.not_dispensed(&order).await, "QUANTITY_EXCEEDED");
        chemist.at_counter(&script, 20).await;
        assert_eq!(chemist.not_dispensed(&order).await, "FILLS_EXHAUSTED");
        let script = chemist.script(3).await;
        let order = chemist.packed(chemist.of_item(&script, 30)).await;
        world.catalogue_says(&chemist.product, "strength = '50 mg'").await;
        assert_eq!(chemist.not_dispensed(&order).await, "SUBSTITUTION_NOT_ALLOWED");
        world.catalogue_says(&chemist.product, "strength = '500 mg', generic = 'Codeine'").await;
        assert_eq!(chemist.not_dispensed(&order).await, "CONTROLLED_NOT_ALLOWED");
        world.catalogue_says(&chemist.product, "generic = 'test'").await;
        chemist.hold(&script).await;
        assert_eq!(chemist.not_dispensed(&order).await, "PRESCRIPTION_STATE_FORBIDS");
        world.reference().await;
        let simple = world.product(STRIP, "OVER_THE_COUNTER").await;
        world.receive(&chemist.shop, &simple, 10).await;
        world.catalogue_says(&simple, "generic = 'Warfarin'").await;
        let asked = place(&chemist.shop, chemist.family.person(0), vec![item(&simple, 10)], AGREED);
        let order = chemist.packed(asked).await;
        world.declare(&chemist.family.holder, &[], &["Aspirin"], (1980, 1, 1)).await;
        assert_eq!(chemist.not_dispensed(&order).await, "SAFETY_BLOCKED", "begun at another pharmacy meanwhile");
        world.verify_ledger().await;
    }

    async fn inv_r1_the_last_fill_of_two_orders_at_once_goes_out_once(world: World) {
        let chemist = world.chemist().await;
        let world = &chemist.world;
        let script = chemist.script(0).await;
        let (one, two) = (chemist.packed(chemist.of_item(&script, 30)).await, chemist.packed(chemist.of_item(&script, 30)).await);
        let begin = async |order: &Order| {
            let asked = dispensing(order, Handover::AtCounter);
            world.orders(&chemist.shop.pharmacist).dispense_parcel(asked).await.is_ok()
        };
        tokio::join!(begin(&one), begin(&two));
        let mut delivered = 0;
        for order in [&one, &two] {
            let rests = |order: &Order| order.parcels[0].state() != ParcelState::Dispensing;
            let order = world.until(&chemist.family.holder, &order.order_id, rests).await;
            let went = order.parcels[0].state() == ParcelState::Delivered;
            delivered += i32::from(went);
            let kept = world.bank.find(&order.order_id).expect("a payment").kept_minor();
            assert_eq!(kept, if went { order.total.expect("a total").member_minor } else { 0 }, "{order:?}");
        }
        assert_eq!(delivered, 1);
        let item = chemist.item_of(&one).await;
        assert_eq!((item.fills_used, item.quantity_dispensed), (1, 30));
        world.verify_ledger().await;
        world.stock_adds_up().await;
    }
}
