//! Fills at the counter: how much, when, of what, by whom, and from which lot.

use std::time::Duration;

use caremesh_proto::pharmacy::v1::*;
use caremesh_testkit::for_each_database;
use caremesh_testkit::identity::TestPerson;
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::branches::{DAY, PLACES, Shop};
use crate::common::*;
use crate::papers::PNG;
use crate::prescriptions::patient;
use crate::stock::TABLET;

/// A licensed branch with plenty of a product on its shelf, and a patient with a prescription for it.
struct Counter {
    world: World,
    shop: Shop,
    patient: TestPerson,
    product: String,
    rx: Prescription,
}

impl World {
    /// A product of the catalogue.
    async fn prescribable(&self, generic: &str, strength: &str, price: i64) -> String {
        let id = fresh_id("prd");
        let sql = format!(
            "INSERT INTO product (id, code, country, name, sort_name, generic, strength, form, route, pack, manufacturer, atc, \
             dispensing_class, schedule, price, currency, registration, discontinued, digest, batch_id, version, created_at, \
             updated_at) VALUES ('{id}', '{id}', 'NG', 'Brand', 'brand', '{generic}', '{strength}', 'Tablet', 'Oral', \
             'pack', 'Maker', '', 'PRESCRIPTION_ONLY', '', {price}, 'NGN', '', 0, 'd', 'b', 1, 0, 0)"
        );
        self.run(sql).await.expect("a product");
        id
    }

    async fn counter(self, repeats: i32) -> Counter {
        let (shop, patient) = (self.shop(PLACES[0]).await, patient());
        let product = self.prescribable("Metformin Hydrochloride", "500mg", 100).await;
        self.stocked(&shop, &product, "L1", 400, 1_000).await;
        let rx = self.issued(&patient, vec![self.item("Metformin", repeats, 365)]).await;
        Counter { world: self, shop, patient, product, rx }
    }
}

impl Counter {
    fn ask(&self, quantity: i64) -> DispenseItemRequest {
        DispenseItemRequest {
            request_id: request_id(),
            item_id: self.rx.items[0].item_id.clone(),
            product_id: self.product.clone(),
            quantity,
            unit_code: TABLET.to_owned(),
            ..DispenseItemRequest::default()
        }
    }

    async fn dispense(&self, asked: DispenseItemRequest) -> Result<DispenseItemResponse, Status> {
        let answer = self.world.rx(&self.shop.pharmacist).dispense_item(asked).await?;
        Ok(answer.into_inner())
    }

    async fn given(&self, quantity: i64) -> PrescriptionItem {
        let done = self.dispense(self.ask(quantity)).await.expect("a fill");
        done.prescription.expect("it").items[0].clone()
    }

    async fn refusal(&self, asked: DispenseItemRequest) -> String {
        reason(&self.dispense(asked).await.expect_err("a refusal"))
    }
}

for_each_database! { with world;
    async fn inv_r1_and_r9_four_fills_over_two_branches_each_in_its_time(world: World) {
        let counter = world.counter(3).await;
        let asked = counter.ask(30);
        let done = counter.dispense(asked.clone()).await.expect("a fill");
        let (dispense, item) = (done.dispense.clone().expect("it"), done.prescription.clone().expect("it").items[0].clone());
        assert_eq!((dispense.quantity, dispense.lots[0].quantity, dispense.pharmacist_id == counter.shop.pharmacist_id), (30, 30, true));
        assert_eq!((item.fills_used, item.fills_allowed, item.quantity_dispensed), (1, 4, 30));
        assert_eq!(counter.dispense(asked.clone()).await.expect("again"), done, "a repetition hands out nothing");
        let other = DispenseItemRequest { quantity: 29, ..asked };
        assert_eq!(counter.refusal(other).await, "REQUEST_ID_REUSED");
        let early = counter.dispense(counter.ask(30)).await.expect_err("too soon");
        let info = early.get_details_error_info().expect("a reason");
        let next = counter.world.today().plus_days(23).to_string();
        assert_eq!((info.reason.as_str(), info.metadata["next_fill_date"].as_str()), ("REFILL_TOO_SOON", next.as_str()));
        let travel = DispenseItemRequest { interval_override: IntervalOverride::Travel.into(), ..counter.ask(30) };
        counter.dispense(travel).await.expect("a coded override");
        // The third fill at another branch: the count goes with the item.
        let elsewhere = counter.world.shop(PLACES[1]).await;
        counter.world.stocked(&elsewhere, &counter.product, "L2", 400, 100).await;
        counter.world.clock.advance(53 * DAY);
        let third = counter.world.rx(&elsewhere.pharmacist).dispense_item(counter.ask(30)).await.expect("a fill").into_inner();
        assert_eq!(third.prescription.expect("it").items[0].fills_used, 3);
        counter.world.clock.advance(60 * DAY);
        assert_eq!(counter.given(30).await.state(), PrescriptionItemState::Completed);
        assert_eq!(counter.refusal(counter.ask(1)).await, "FILLS_EXHAUSTED");
        counter.world.stock_adds_up().await;
        assert_eq!(counter.world.lots(&counter.shop, &counter.product).await[0].on_hand, 910);
    }

    async fn a_partial_fill_owes_the_rest(world: World) {
        let counter = world.counter(1).await;
        assert_eq!(counter.given(10).await.owed, 20);
        let refusal = counter.dispense(counter.ask(21)).await.expect_err("more than is owed");
        let info = refusal.get_details_error_info().expect("a reason");
        assert_eq!((info.reason.as_str(), info.metadata["owed"].as_str()), ("QUANTITY_EXCEEDED", "20"));
        let item = counter.given(20).await;
        assert_eq!((item.owed, item.fills_used), (0, 1));
    }

    async fn inv_r1_nothing_is_handed_out_after_expiry_or_stop_or_in_another_unit(world: World) {
        let counter = world.counter(3).await;
        let strips = DispenseItemRequest { unit_code: "{strip}".to_owned(), ..counter.ask(3) };
        assert_eq!(counter.refusal(strips).await, "UNIT_MISMATCH");
        let hold = HoldItemRequest { request_id: request_id(), item_id: counter.rx.items[0].item_id.clone() };
        counter.world.consult().hold_item(hold).await.expect("held");
        assert_eq!(counter.refusal(counter.ask(30)).await, "PRESCRIPTION_STATE_FORBIDS");
        let resume = ResumeItemRequest { request_id: request_id(), item_id: counter.rx.items[0].item_id.clone() };
        counter.world.consult().resume_item(resume).await.expect("resumed");
        counter.given(30).await;
        let cancel = CancelPrescriptionRequest { request_id: request_id(), prescription_id: counter.rx.prescription_id.clone() };
        let refusal = counter.world.consult().cancel_prescription(cancel).await;
        assert_eq!(refused(refusal), "PRESCRIPTION_STATE_FORBIDS", "a part was handed out");
        counter.world.license(&counter.shop.id, LicenceKind::Premises, 900).await;
        counter.world.clock.advance(364 * DAY);
        counter.world.license(&counter.shop.id, LicenceKind::Premises, 900).await;
        counter.world.license(&counter.shop.id, LicenceKind::Superintendent, 900).await;
        let again = counter.world.registration(&counter.shop.id, &counter.shop.pharmacist, 900);
        counter.world.branches(&staff("operator")).register_pharmacist(again).await.expect("registered anew");
        counter.world.clock.advance(DAY);
        assert_eq!(counter.refusal(counter.ask(30)).await, "PRESCRIPTION_STATE_FORBIDS", "its days are over");
    }

    async fn hard_case_6_a_doubled_dose_makes_the_next_fill_due_sooner(world: World) {
        let counter = world.counter(3).await;
        counter.given(30).await;
        counter.world.clock.advance(10 * DAY);
        assert_eq!(counter.refusal(counter.ask(30)).await, "REFILL_TOO_SOON");
        let amend = AmendItemRequest {
            request_id: request_id(),
            item_id: counter.rx.items[0].item_id.clone(),
            daily_dose: Some(caremesh_proto::r#type::v1::Quantity { value: 2, decimal_places: 0, unit_code: TABLET.to_owned() }),
            instruction: "two a day".to_owned(),
        };
        counter.world.consult().amend_item(amend).await.expect("amended");
        counter.world.clock.advance(6 * DAY);
        assert_eq!(counter.refusal(counter.ask(30)).await, "REFILL_TOO_SOON");
        counter.world.clock.advance(DAY);
        assert_eq!(counter.given(30).await.fills_used, 2);
    }

    async fn inv_r7_a_substitute_needs_leave_reason_and_consent(world: World) {
        let counter = world.counter(3).await;
        let world = &counter.world;
        let brand = counter.product.clone();
        let cheap = world.prescribable("Metformin", "500 mg", 90).await;
        let dear = world.prescribable("Metformin", "500 mg", 110).await;
        let weak = world.prescribable("Metformin", "50 mg", 10).await;
        for product in [&cheap, &dear, &weak] {
            world.stocked(&counter.shop, product, "L", 400, 100).await;
        }
        let of_brand = PrescribedItem { product_id: brand, ..world.item("Metformin", 3, 365) };
        let strict = PrescribedItem { substitution_allowed: false, generic_name: "Metformin".to_owned(), form: "Tablets".to_owned(), ..of_brand.clone() };
        let open = world.issued(&counter.patient, vec![of_brand]).await.items[0].item_id.clone();
        let strict = world.issued(&counter.patient, vec![strict]).await.items[0].item_id.clone();
        let ask = |item: &str, product: &str, reason: SubstitutionReason, consent_to_price| DispenseItemRequest {
            item_id: item.to_owned(),
            product_id: product.to_owned(),
            substitution_reason: reason.into(),
            consent_to_price,
            ..counter.ask(30)
        };
        use SubstitutionReason::{OutOfStock, Unspecified};
        assert_eq!(counter.refusal(ask(&open, &weak, OutOfStock, true)).await, "SUBSTITUTION_NOT_ALLOWED", "digits are exact");
        assert_eq!(counter.refusal(ask(&open, &cheap, Unspecified, true)).await, "SUBSTITUTION_NOT_ALLOWED", "no reason");
        assert_eq!(counter.refusal(ask(&strict, &cheap, OutOfStock, true)).await, "SUBSTITUTION_NOT_ALLOWED", "the prescriber forbids it");
        assert_eq!(counter.refusal(ask(&open, &dear, OutOfStock, false)).await, "SUBSTITUTION_CONSENT_MISSING");
        let done = counter.dispense(ask(&open, &cheap, OutOfStock, false)).await.expect("cheaper");
        assert!(done.dispense.expect("it").substituted);
        let unknown = ask(&open, &fresh_id("prd"), OutOfStock, true);
        assert_eq!(counter.refusal(unknown).await, "RESOURCE_NOT_FOUND");
    }

    async fn inv_r8_a_severe_finding_that_came_later_blocks_the_fill(world: World) {
        world.reference().await;
        let counter = world.counter(3).await;
        let warfarin = counter.world.issued(&counter.patient, vec![counter.world.item("Warfarin", 0, 30)]).await;
        let product = counter.world.prescribable("Warfarin", "500 mg", 1).await;
        counter.world.stocked(&counter.shop, &product, "L", 400, 100).await;
        counter.world.declare(&counter.patient, &[], &["Aspirin"], (1980, 1, 1)).await;
        let asked = DispenseItemRequest { item_id: warfarin.items[0].item_id.clone(), product_id: product, ..counter.ask(30) };
        assert_eq!(counter.refusal(asked).await, "SAFETY_BLOCKED");
    }

    async fn inv_r10_only_a_registered_pharmacist_of_a_licensed_branch_hands_out(world: World) {
        let counter = world.counter(3).await;
        let stranger = staff("pharmacist");
        let refusal = counter.world.rx(&stranger).dispense_item(counter.ask(30)).await;
        assert_eq!(refused(refusal), "PHARMACIST_NOT_REGISTERED");
        let unknown = DispenseItemRequest { item_id: fresh_id("rxi"), ..counter.ask(30) };
        assert_eq!(counter.refusal(unknown).await, "RESOURCE_NOT_FOUND");
        counter.world.license(&counter.shop.id, LicenceKind::Superintendent, 1).await;
        counter.given(30).await;
        counter.world.clock.advance(DAY);
        assert_eq!(counter.refusal(counter.ask(30)).await, "BRANCH_NOT_LICENSED");
    }

    async fn inv_r3_an_item_of_paper_that_nobody_verified_is_not_handed_out(world: World) {
        let counter = world.counter(3).await;
        let draft = counter.world.transcribed(&counter.shop, &counter.patient, PNG, vec![counter.world.item("Metformin", 0, 30)]).await;
        let asked = |item: &PrescriptionItem| DispenseItemRequest { item_id: item.item_id.clone(), ..counter.ask(30) };
        assert_eq!(counter.refusal(asked(&draft.items[0])).await, "PRESCRIPTION_STATE_FORBIDS");
        let verified = counter.world.rx(&counter.shop.pharmacist).verify_prescription(counter.world.verification(&draft)).await;
        let verified = verified.expect("verified").into_inner().prescription.expect("it");
        let done = counter.dispense(asked(&verified.items[0])).await.expect("a fill");
        assert_eq!(done.prescription.expect("it").patient_person_id, crate::prescriptions::id_of(&counter.patient));
    }

    async fn what_the_branch_does_not_have_is_refused_with_the_next_one(world: World) {
        let counter = world.counter(3).await;
        let elsewhere = counter.world.shop(PLACES[1]).await;
        let rare = counter.world.prescribable("Metformin", "500 mg", 100).await;
        counter.world.stocked(&elsewhere, &rare, "L", 400, 30).await;
        let asked = DispenseItemRequest { product_id: rare, ..counter.ask(30) };
        let refusal = counter.dispense(asked).await.expect_err("not here");
        let info = refusal.get_details_error_info().expect("a reason");
        assert_eq!((info.reason.as_str(), info.metadata["next_branch_id"].as_str()), ("STOCK_INSUFFICIENT", elsewhere.id.as_str()));
        let item = counter.world.prescription(&counter.rx.prescription_id).await.items[0].clone();
        assert_eq!(item.fills_used, 0, "a refusal counts nothing");
    }

    async fn inv_r1_the_last_fill_raced_at_two_branches_is_handed_out_once(world: World) {
        let counter = world.counter(0).await;
        let elsewhere = counter.world.shop(PLACES[1]).await;
        counter.world.stocked(&elsewhere, &counter.product, "L", 400, 1_000).await;
        let mut clients = tokio::task::JoinSet::new();
        for n in 0..40 {
            let pharmacist = if n % 2 == 0 { &counter.shop.pharmacist } else { &elsewhere.pharmacist };
            let (mut client, asked) = (counter.world.rx(pharmacist), counter.ask(30));
            clients.spawn(async move {
                loop {
                    match client.dispense_item(asked.clone()).await {
                        Ok(_) => return "won".to_owned(),
                        Err(status) if status.code() == tonic::Code::FailedPrecondition => return reason(&status),
                        Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                    }
                }
            });
        }
        let ended = clients.join_all().await;
        assert_eq!(ended.iter().filter(|end| *end == "won").count(), 1);
        assert_eq!(ended.iter().filter(|end| *end == "FILLS_EXHAUSTED").count(), 39, "{ended:?}");
        let (here, there) = (counter.world.lots(&counter.shop, &counter.product).await, counter.world.lots(&elsewhere, &counter.product).await);
        assert_eq!(here[0].on_hand + there[0].on_hand, 1_970);
        counter.world.stock_adds_up().await;
    }
}
