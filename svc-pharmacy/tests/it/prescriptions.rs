//! Prescriptions of consultations: issued once, changed by their prescriber, seen by whom they concern.

use caremesh_kernel::{DateRange, IdSource as _, PersonId, SystemIds};
use caremesh_mesh::wire::ToWire as _;
use caremesh_proto::pharmacy::v1::prescription_service_client::PrescriptionServiceClient;
use caremesh_proto::pharmacy::v1::*;
use caremesh_proto::r#type::v1 as types;
use caremesh_testkit::for_each_database;
use caremesh_testkit::identity::TestPerson;
use caremesh_testkit::mesh::CallerChannel;
use tonic_types::StatusExt as _;

use crate::branches::{DAY, PLACES, on};
use crate::common::*;
use crate::stock::TABLET;

/// Somebody who signs in and has a record.
pub(crate) fn patient() -> TestPerson {
    TestPerson::member(&format!("sub-{}", request_id()), PersonId::from_uuid(SystemIds.uuid()))
}

pub(crate) fn id_of(person: &TestPerson) -> String {
    person.person_id.expect("a record").to_string()
}

fn dose(value: i64) -> Option<types::Quantity> {
    Some(types::Quantity { value, decimal_places: 0, unit_code: TABLET.to_owned() })
}

impl World {
    pub(crate) fn rx(&self, person: &TestPerson) -> PrescriptionServiceClient<CallerChannel> {
        PrescriptionServiceClient::new(self.person(person))
    }

    pub(crate) fn consult(&self) -> PrescriptionServiceClient<CallerChannel> {
        PrescriptionServiceClient::new(self.service("svc-consult"))
    }

    /// Thirty tablets, one a day, with so many repeats, for so many days.
    pub(crate) fn item(&self, generic: &str, repeats: i32, days: i64) -> PrescribedItem {
        PrescribedItem {
            generic_name: generic.to_owned(),
            strength: "500 mg".to_owned(),
            form: "tablet".to_owned(),
            quantity: 30,
            unit_code: TABLET.to_owned(),
            daily_dose: dose(1),
            repeats,
            valid: Some(DateRange::of_days(self.today(), days).to_wire()),
            substitution_allowed: true,
            instruction: "one in the morning".to_owned(),
            ..PrescribedItem::default()
        }
    }

    pub(crate) fn signed(
        &self,
        patient: &TestPerson,
        items: Vec<PrescribedItem>,
    ) -> IssuePrescriptionRequest {
        IssuePrescriptionRequest {
            request_id: request_id(),
            source_id: fresh_id("crx"),
            patient_person_id: id_of(patient),
            jurisdiction_code: "NG".to_owned(),
            prescriber_registration: "MDCN-1".to_owned(),
            issue_date: on(self.today()),
            consultation_mode: ConsultationMode::Video.into(),
            follow_up: false,
            items,
            episode_id: String::new(),
        }
    }

    pub(crate) async fn issued(&self, patient: &TestPerson, items: Vec<PrescribedItem>) -> Prescription {
        let asked = self.signed(patient, items);
        let answer = self.consult().issue_prescription(asked).await.expect("a prescription");
        answer.into_inner().prescription.expect("a prescription")
    }

    pub(crate) async fn prescription(&self, id: &str) -> Prescription {
        let asked = GetPrescriptionRequest { prescription_id: id.to_owned() };
        let answer = self.consult().get_prescription(asked).await.expect("a prescription");
        answer.into_inner().prescription.expect("a prescription")
    }
}

/// The state that a refusal names.
fn state_of<T: std::fmt::Debug>(answer: Result<tonic::Response<T>, tonic::Status>) -> String {
    let status = answer.expect_err("a refusal");
    assert_eq!(reason(&status), "PRESCRIPTION_STATE_FORBIDS");
    status.get_details_precondition_failure().expect("a precondition").violations[0].subject.clone()
}

for_each_database! { with world;
    async fn a_prescription_of_a_consultation_is_issued_once(world: World) {
        let patient = patient();
        let asked = world.signed(&patient, vec![world.item("Metformin", 3, 365), world.item("Glimepiride", 0, 30)]);
        let mut consult = world.consult();
        let first = consult.issue_prescription(asked.clone()).await.expect("issued").into_inner();
        let rx = first.prescription.clone().expect("a prescription");
        assert_eq!((rx.state(), rx.items.len(), rx.items[0].fills_allowed), (PrescriptionState::Verified, 2, 4));
        assert_eq!(rx.items[0].state(), PrescriptionItemState::Active);
        assert_eq!(rx.items[0].prescribed.as_ref().expect("it").generic_name, "Metformin");
        assert_eq!(consult.issue_prescription(asked.clone()).await.expect("again").into_inner(), first);
        let other = IssuePrescriptionRequest { jurisdiction_code: "IN".to_owned(), ..asked.clone() };
        assert_eq!(refused(consult.issue_prescription(other).await), "REQUEST_ID_REUSED");
        let twice = IssuePrescriptionRequest { request_id: request_id(), ..asked };
        let refusal = consult.issue_prescription(twice).await.expect_err("issued before");
        let info = refusal.get_details_error_info().expect("a reason");
        assert_eq!(info.reason, "PRESCRIPTION_ALREADY_ISSUED");
        assert_eq!(info.metadata["prescription_id"], rx.prescription_id);
        assert!(world.events(1).await.iter().any(|event| event.r#type() == EventType::PrescriptionVerified));
    }

    async fn inv_r4_a_controlled_class_demands_its_way_of_consultation(world: World) {
        let patient = patient();
        let india = |generic: &str, mode: ConsultationMode, follow_up| IssuePrescriptionRequest {
            jurisdiction_code: "IN".to_owned(),
            consultation_mode: mode.into(),
            follow_up,
            ..world.signed(&patient, vec![world.item(generic, 0, 30)])
        };
        let mut consult = world.consult();
        let refusal = consult.issue_prescription(india("Methylphenidate", ConsultationMode::Video, true)).await;
        let refusal = refusal.expect_err("Schedule X");
        let failure = refusal.get_details_precondition_failure().expect("a precondition");
        assert_eq!(reason(&refusal), "CONTROLLED_NOT_ALLOWED");
        assert_eq!((failure.violations[0].subject.as_str(), failure.violations[0].r#type.as_str()), ("X", "control.never_at_a_distance"));
        let audio = india("Amlodipine", ConsultationMode::Audio, false);
        assert_eq!(refused(consult.issue_prescription(audio).await), "CONTROLLED_NOT_ALLOWED");
        let video = consult.issue_prescription(india("Amlodipine", ConsultationMode::Video, false)).await;
        assert_eq!(video.expect("list A").into_inner().prescription.expect("it").items[0].control_class, "A");
        let seen = consult.issue_prescription(india("Methylphenidate", ConsultationMode::InPerson, false)).await;
        assert_eq!(seen.expect("seen in person").into_inner().prescription.expect("it").items[0].control_class, "X");
    }

    async fn items_that_cannot_be_meant_are_refused_by_place_and_field(world: World) {
        let patient = patient();
        let mut strips = world.item("Metformin", 0, 30);
        strips.daily_dose.as_mut().expect("a dose").unit_code = "mL".to_owned();
        let asked = world.signed(&patient, vec![world.item("Glimepiride", 0, 30), strips]);
        let refusal = world.consult().issue_prescription(asked).await.expect_err("two units");
        let fields = refusal.get_details_bad_request().expect("fields").field_violations;
        assert_eq!((reason(&refusal).as_str(), fields[0].field.as_str()), ("ITEMS_INVALID", "items[1].daily_dose.unit_code"));
        let tomorrow = IssuePrescriptionRequest {
            issue_date: on(world.today().plus_days(2)),
            ..world.signed(&patient, vec![world.item("Metformin", 0, 30)])
        };
        assert_eq!(refused(world.consult().issue_prescription(tomorrow).await), "FIELD_INVALID");
        let nowhere = IssuePrescriptionRequest {
            jurisdiction_code: "FR".to_owned(),
            ..world.signed(&patient, vec![world.item("Metformin", 0, 30)])
        };
        assert_eq!(refused(world.consult().issue_prescription(nowhere).await), "FIELD_INVALID");
    }

    async fn only_the_prescriber_changes_an_item(world: World) {
        let (patient, doctor, colleague) = (patient(), staff("clinician"), staff("clinician"));
        let asked = world.signed(&patient, vec![world.item("Metformin", 3, 365)]);
        let rx = world.rx(&doctor).issue_prescription(asked).await.expect("issued").into_inner().prescription.expect("it");
        let item_id = rx.items[0].item_id.clone();
        let hold = || HoldItemRequest { request_id: request_id(), item_id: item_id.clone() };
        let resume = || ResumeItemRequest { request_id: request_id(), item_id: item_id.clone() };
        let stop = || StopItemRequest { request_id: request_id(), item_id: item_id.clone() };
        let amend = |value| AmendItemRequest {
            request_id: request_id(),
            item_id: item_id.clone(),
            daily_dose: dose(value),
            instruction: "two a day".to_owned(),
        };
        let absent = "RESOURCE_NOT_FOUND";
        assert_eq!(refused(world.rx(&colleague).hold_item(hold()).await), absent);
        assert_eq!(refused(world.rx(&colleague).resume_item(resume()).await), absent);
        assert_eq!(refused(world.rx(&colleague).stop_item(stop()).await), absent);
        assert_eq!(refused(world.rx(&colleague).amend_item(amend(2)).await), absent);
        let get = GetPrescriptionRequest { prescription_id: rx.prescription_id.clone() };
        assert_eq!(refused(world.rx(&colleague).get_prescription(get.clone()).await), absent);
        let mut client = world.rx(&doctor);
        client.get_prescription(get).await.expect("the own prescription");

        let request = hold();
        let held = client.hold_item(request.clone()).await.expect("held").into_inner();
        assert_eq!(held.prescription.clone().expect("it").items[0].state(), PrescriptionItemState::OnHold);
        assert_eq!(client.hold_item(request.clone()).await.expect("again").into_inner(), held);
        let other = HoldItemRequest { item_id: fresh_id("rxi"), ..request };
        assert_eq!(refused(client.hold_item(other).await), absent);
        assert_eq!(state_of(client.hold_item(hold()).await), "ON_HOLD");
        let request = resume();
        let back = client.resume_item(request.clone()).await.expect("resumed").into_inner();
        assert_eq!(client.resume_item(request).await.expect("again").into_inner(), back);
        assert_eq!(state_of(client.resume_item(resume()).await), "ACTIVE");
        let request = amend(2);
        let amended = client.amend_item(request.clone()).await.expect("amended").into_inner();
        assert_eq!(client.amend_item(request.clone()).await.expect("again").into_inner(), amended);
        let other = AmendItemRequest { daily_dose: dose(3), ..request };
        assert_eq!(refused(client.amend_item(other).await), "REQUEST_ID_REUSED");
        let prescribed = amended.prescription.expect("it").items[0].prescribed.clone().expect("it");
        assert_eq!((prescribed.daily_dose, prescribed.instruction.as_str()), (dose(2), "two a day"));
        let mut liquid = amend(2);
        liquid.daily_dose.as_mut().expect("a dose").unit_code = "mL".to_owned();
        assert_eq!(refused(client.amend_item(liquid).await), "ITEMS_INVALID");
        let request = stop();
        let stopped = client.stop_item(request.clone()).await.expect("stopped").into_inner();
        assert_eq!(client.stop_item(request).await.expect("again").into_inner(), stopped);
        assert_eq!(state_of(client.stop_item(stop()).await), "STOPPED");
        assert_eq!(state_of(client.amend_item(amend(1)).await), "STOPPED");
        assert!(world.events(5).await.iter().any(|event| event.r#type() == EventType::PrescriptionChanged));
    }

    async fn hard_case_5_each_item_expires_on_its_own_day(world: World) {
        let patient = patient();
        let rx = world.issued(&patient, vec![world.item("Amoxicillin", 0, 7), world.item("Metformin", 11, 365)]).await;
        world.clock.advance(7 * DAY);
        let later = world.prescription(&rx.prescription_id).await;
        assert_eq!(later.items[0].state(), PrescriptionItemState::Expired);
        assert_eq!(later.items[1].state(), PrescriptionItemState::Active);
    }

    async fn a_prescription_is_taken_back_by_its_prescriber_before_anything_is_handed_out(world: World) {
        let patient = patient();
        let rx = world.issued(&patient, vec![world.item("Metformin", 3, 365)]).await;
        let cancel = |id: &str| CancelPrescriptionRequest { request_id: request_id(), prescription_id: id.to_owned() };
        let absent = "RESOURCE_NOT_FOUND";
        assert_eq!(refused(world.rx(&patient).cancel_prescription(cancel(&rx.prescription_id)).await), absent, "not the patient's");
        let request = cancel(&rx.prescription_id);
        let cancelled = world.consult().cancel_prescription(request.clone()).await.expect("cancelled").into_inner();
        let after = cancelled.prescription.clone().expect("it");
        assert_eq!((after.state(), after.items[0].state()), (PrescriptionState::Cancelled, PrescriptionItemState::Cancelled));
        assert_eq!(world.consult().cancel_prescription(request.clone()).await.expect("again").into_inner(), cancelled);
        let other = CancelPrescriptionRequest { prescription_id: fresh_id("rx"), ..request };
        assert_eq!(refused(world.consult().cancel_prescription(other).await), absent);
        assert_eq!(state_of(world.consult().cancel_prescription(cancel(&rx.prescription_id)).await), "CANCELLED");
    }

    async fn the_patient_the_family_and_the_pharmacist_see_it_and_nobody_else(world: World) {
        let family = world.family().await;
        let child = TestPerson::member("child", family.person(2).parse().expect("an id"));
        let rx = world.issued(&child, vec![world.item("Metformin", 0, 30)]).await;
        let get = GetPrescriptionRequest { prescription_id: rx.prescription_id.clone() };
        let list = |page| ListPrescriptionsRequest { patient_person_id: family.person(2), page };
        let shop = world.shop(PLACES[0]).await;
        for allowed in [&family.holder, &child, &shop.pharmacist] {
            world.rx(allowed).get_prescription(get.clone()).await.expect("may see it");
            assert_eq!(world.rx(allowed).list_prescriptions(list(None)).await.expect("a list").into_inner().prescriptions.len(), 1);
        }
        let absent = "RESOURCE_NOT_FOUND";
        for stranger in [&patient(), &staff("pharmacist")] {
            assert_eq!(refused(world.rx(stranger).get_prescription(get.clone()).await), absent);
            assert_eq!(refused(world.rx(stranger).list_prescriptions(list(None)).await), absent);
        }
        let document = GetDocumentRequest { prescription_id: rx.prescription_id.clone() };
        assert_eq!(refused(world.rx(&child).get_document(document).await), absent, "a signed one has no document");
        world.issued(&child, vec![world.item("Glimepiride", 0, 30)]).await;
        let page = |token: &str| Some(types::PageRequest { page_size: 1, page_token: token.to_owned() });
        let first = world.rx(&child).list_prescriptions(list(page(""))).await.expect("a page").into_inner();
        assert_ne!(first.prescriptions[0].prescription_id, rx.prescription_id, "newest first");
        let token = first.page.expect("a page").next_page_token;
        let second = world.rx(&child).list_prescriptions(list(page(&token))).await.expect("a page").into_inner();
        assert_eq!(second.prescriptions[0].prescription_id, rx.prescription_id);
        assert_eq!(refused(world.rx(&family.holder).list_prescriptions(list(page(&token))).await), "PAGE_TOKEN_INVALID");
        let access = ListAccessRequest { person_id: family.person(2), page: None };
        let trail = world.audit(&child).list_access(access).await.expect("a trail").into_inner().accesses;
        assert!(trail.iter().filter(|access| access.resource_id == rx.prescription_id).count() >= 4, "{trail:?}");
    }

    async fn what_is_prescribed_is_nowhere_readable_in_the_database(world: World) {
        let patient = patient();
        world.issued(&patient, vec![world.item("Canarymycin", 0, 30)]).await;
        for column in ["prescription_item.content_sealed", "prescription.detail_sealed"] {
            let (table, column) = column.split_once('.').expect("a column");
            let found = world.bytes(&format!("SELECT {column} FROM {table}")).await;
            assert!(!found.is_empty());
            for bytes in found {
                assert!(!String::from_utf8_lossy(&bytes).contains("anary") && !String::from_utf8_lossy(&bytes).contains("MDCN"));
            }
        }
    }
}
