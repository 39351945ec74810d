//! Safety checks through the contract: what blocks, who may let it pass, and what is said of what is not known.

use caremesh_proto::pharmacy::v1::safety_service_client::SafetyServiceClient;
use caremesh_proto::pharmacy::v1::*;
use caremesh_proto::r#type::v1 as types;
use caremesh_svc_pharmacy::ReferenceReport;
use caremesh_testkit::for_each_database;
use caremesh_testkit::identity::TestPerson;
use caremesh_testkit::mesh::CallerChannel;
use tonic_types::StatusExt as _;

use crate::branches::PLACES;
use crate::common::*;
use crate::papers::PNG;
use crate::prescriptions::{id_of, patient};

const FIXTURES: [&str; 5] = [
    include_str!("../fixtures/interactions.csv"),
    include_str!("../fixtures/classes.csv"),
    include_str!("../fixtures/names.csv"),
    include_str!("../fixtures/allergies.csv"),
    include_str!("../fixtures/ages.csv"),
];

impl World {
    pub(crate) fn safety(&self, person: &TestPerson) -> SafetyServiceClient<CallerChannel> {
        SafetyServiceClient::new(self.person(person))
    }

    pub(crate) async fn load(&self, text: &str) -> Result<ReferenceReport, caremesh_svc_pharmacy::Error> {
        caremesh_svc_pharmacy::import_reference(&self.config, text.as_bytes(), |_| {}).await
    }

    pub(crate) async fn reference(&self) {
        for text in FIXTURES {
            self.load(text).await.expect("a file of reference data");
        }
    }

    async fn check(&self, patient: &TestPerson, medicines: &[&str]) -> SafetyCheck {
        let asked = CheckSafetyRequest {
            patient_person_id: id_of(patient),
            prescription_id: String::new(),
            medicines: medicines.iter().map(|name| medicine(name)).collect(),
        };
        self.safety(patient).check_safety(asked).await.expect("a check").into_inner().check.expect("a check")
    }

    pub(crate) async fn declare(
        &self,
        patient: &TestPerson,
        allergens: &[&str],
        taken: &[&str],
        birth: (i32, i32, i32),
    ) {
        let asked = declaration(patient, allergens, taken, birth);
        self.safety(patient).set_medication_profile(asked).await.expect("declared");
    }
}

fn medicine(name: &str) -> CheckedMedicine {
    CheckedMedicine { generic_name: name.to_owned(), atc_code: String::new() }
}

fn declaration(
    patient: &TestPerson,
    allergens: &[&str],
    taken: &[&str],
    birth: (i32, i32, i32),
) -> SetMedicationProfileRequest {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    SetMedicationProfileRequest {
        request_id: request_id(),
        patient_person_id: id_of(patient),
        profile: Some(MedicationProfile {
            allergies_declared: true,
            allergens: list(allergens),
            other_medicines_declared: true,
            other_medicines: list(taken),
            birth_date: Some(types::Date { year: birth.0, month: birth.1, day: birth.2 }),
        }),
        etag: "0".to_owned(),
    }
}

const ADULT: (i32, i32, i32) = (1980, 1, 1);

for_each_database! { with world;
    async fn hard_case_8_what_is_bought_over_the_counter_meets_what_is_taken_elsewhere(world: World) {
        world.reference().await;
        let patient = patient();
        world.declare(&patient, &[], &["Coumadin"], ADULT).await;
        let check = world.check(&patient, &["Acetylsalicylic Acid 75mg"]).await;
        assert!(check.blocked && check.gaps.is_empty(), "{check:?}");
        let issue = &check.issues[0];
        assert_eq!((issue.kind(), issue.severity()), (IssueKind::Interaction, IssueSeverity::High));
        assert_eq!((issue.first_substance.as_str(), issue.second_substance.as_str()), ("aspirin", "warfarin"));
        assert_eq!(issue.management, "Choose another painkiller.");
        let moderate = world.check(&patient, &["Ibuprofen"]).await;
        assert!(!moderate.blocked && moderate.issues[0].severity() == IssueSeverity::Moderate, "classes act on each other");
        let on_prescription = crate::prescriptions::patient();
        world.declare(&on_prescription, &[], &[], ADULT).await;
        world.issued(&on_prescription, vec![world.item("Warfarin Sodium", 0, 30)]).await;
        assert!(world.check(&on_prescription, &["aspirin"]).await.blocked, "what is on prescription counts");
    }

    async fn inv_r8_no_data_is_said_and_never_taken_for_safe(world: World) {
        let patient = patient();
        let kinds = |check: &SafetyCheck| check.gaps.iter().map(|gap| (gap.kind(), gap.blocks)).collect::<Vec<_>>();
        let check = world.check(&patient, &["paracetamol"]).await;
        assert!(!check.blocked && check.issues.is_empty());
        let all = [GapKind::AllergiesUnknown, GapKind::OtherMedicinesUnknown, GapKind::AgeUnknown, GapKind::MedicineUnknown, GapKind::ReferenceMissing];
        assert_eq!(kinds(&check), all.map(|kind| (kind, false)));
        // The check is down for it: high risk is blocked.
        let check = world.check(&patient, &["Dabigatran"]).await;
        assert!(check.blocked && kinds(&check).contains(&(GapKind::MedicineUnknown, true)));
        world.reference().await;
        world.declare(&patient, &[], &[], ADULT).await;
        assert_eq!(kinds(&world.check(&patient, &["Zorbalin"]).await), [(GapKind::MedicineUnknown, false)]);
        assert!(world.check(&patient, &["Dabigatran"]).await.blocked, "nobody has data on it");
        assert!(!world.check(&patient, &["Warfarin"]).await.blocked, "somebody has, and there is nothing against it");
    }

    async fn hard_case_8_reference_data_that_cannot_be_read_blocks_high_risk_medicines(world: World) {
        world.reference().await;
        let patient = patient();
        world.declare(&patient, &[], &[], ADULT).await;
        world.execute("DROP TABLE reference_interaction").await;
        let check = world.check(&patient, &["Warfarin", "paracetamol"]).await;
        let gaps: Vec<_> = check.gaps.iter().map(|gap| (gap.kind(), gap.subject.as_str(), gap.blocks)).collect();
        assert_eq!(gaps, [(GapKind::CheckUnavailable, "warfarin", true), (GapKind::CheckUnavailable, "paracetamol", false)]);
        assert!(check.blocked);
    }

    async fn inv_r8_allergies_and_ages_block(world: World) {
        world.reference().await;
        let (allergic, child) = (patient(), patient());
        world.declare(&allergic, &["Penicillin"], &[], ADULT).await;
        let check = world.check(&allergic, &["Amoxicillin (500mg)"]).await;
        assert!(check.blocked && check.issues[0].kind() == IssueKind::Allergy);
        let born = world.today().plus_months(-12 * 7);
        let birth = (born.year(), i32::try_from(born.month()).expect("a month"), 1);
        world.declare(&child, &[], &[], birth).await;
        let check = world.check(&child, &["Doxycycline"]).await;
        assert!(check.blocked && check.issues[0].kind() == IssueKind::Age, "{check:?}");
        let twice = world.check(&child, &["Amoxicillin", "amoxicillin trihydrate"]).await;
        assert_eq!(twice.issues[0].kind(), IssueKind::DuplicateTherapy);
    }

    async fn inv_r8_a_severe_finding_blocks_verification_until_a_named_pharmacist_overrides_it(world: World) {
        world.reference().await;
        let (shop, patient) = (world.shop(PLACES[0]).await, patient());
        world.declare(&patient, &[], &["Warfarin"], ADULT).await;
        let draft = world.transcribed(&shop, &patient, PNG, vec![world.item("Aspirin", 0, 30)]).await;
        let mut rx = world.rx(&shop.pharmacist);
        let refusal = rx.verify_prescription(world.verification(&draft)).await.expect_err("severe");
        assert_eq!(reason(&refusal), "SAFETY_BLOCKED");
        let violations = refusal.get_details_precondition_failure().expect("findings").violations;
        let asked = OverrideIssueRequest {
            request_id: request_id(),
            patient_person_id: id_of(&patient),
            prescription_id: draft.prescription_id.clone(),
            medicines: vec![],
            issue_id: violations[0].subject.clone(),
            reason: "Cardiologist agreed, INR weekly.".to_owned(),
        };
        let stranger = staff("pharmacist");
        assert_eq!(refused(world.safety(&stranger).override_issue(asked.clone()).await), "PHARMACIST_NOT_REGISTERED");
        let mut client = world.safety(&shop.pharmacist);
        let unknown = OverrideIssueRequest { issue_id: "0".repeat(64), ..asked.clone() };
        assert_eq!(refused(client.override_issue(unknown).await), "RESOURCE_NOT_FOUND");
        let passed = client.override_issue(asked.clone()).await.expect("overridden").into_inner();
        let check = passed.check.clone().expect("a check");
        let by = check.issues[0].overridden_by.clone().expect("by whom");
        assert_eq!((check.blocked, by.pharmacist_id.as_str(), by.reason.as_str()), (false, shop.pharmacist_id.as_str(), asked.reason.as_str()));
        assert_eq!(client.override_issue(asked.clone()).await.expect("again").into_inner(), passed);
        let other = OverrideIssueRequest { reason: "Something else entirely.".to_owned(), ..asked };
        assert_eq!(refused(client.override_issue(other).await), "REQUEST_ID_REUSED");
        let verified = rx.verify_prescription(world.verification(&draft)).await.expect("verified").into_inner();
        let kept = verified.prescription.expect("it").safety_check.expect("a check");
        assert_eq!(kept.issues[0].overridden_by.as_ref().expect("by whom").pharmacist_id, shop.pharmacist_id);
        assert!(!world.bytes("SELECT reason_sealed FROM safety_override").await.iter().any(|bytes| String::from_utf8_lossy(bytes).contains("INR")));
        world.clock.advance(std::time::Duration::from_secs(366 * 24 * 3_600));
        assert!(world.check(&patient, &["Aspirin"]).await.blocked, "after a year somebody looks again");
    }

    async fn a_profile_is_the_patient_s_and_changes_against_its_etag(world: World) {
        let (patient, stranger) = (patient(), patient());
        let get = GetMedicationProfileRequest { patient_person_id: id_of(&patient) };
        let mut client = world.safety(&patient);
        let none = client.get_medication_profile(get.clone()).await.expect("nothing yet").into_inner();
        assert_eq!((none.etag.as_str(), none.profile.expect("it").allergies_declared), ("0", false));
        let asked = declaration(&patient, &["nickel"], &[], ADULT);
        let set = client.set_medication_profile(asked.clone()).await.expect("declared").into_inner();
        assert_eq!((set.etag.as_str(), set.profile == asked.profile), ("1", true));
        assert_eq!(client.set_medication_profile(asked.clone()).await.expect("again").into_inner(), set);
        let other = SetMedicationProfileRequest { etag: "1".to_owned(), ..asked.clone() };
        assert_eq!(refused(client.set_medication_profile(other).await), "REQUEST_ID_REUSED");
        let stale = SetMedicationProfileRequest { request_id: request_id(), ..asked.clone() };
        assert_eq!(refused(client.set_medication_profile(stale).await), "STALE_VERSION");
        let unborn = SetMedicationProfileRequest { request_id: request_id(), ..declaration(&patient, &[], &[], (2999, 1, 1)) };
        assert_eq!(refused(client.set_medication_profile(unborn).await), "FIELD_INVALID");
        let mut undeclared = SetMedicationProfileRequest { request_id: request_id(), etag: "1".to_owned(), ..asked.clone() };
        undeclared.profile.as_mut().expect("it").allergies_declared = false;
        assert_eq!(refused(client.set_medication_profile(undeclared).await), "FIELD_INVALID");
        let next = SetMedicationProfileRequest { request_id: request_id(), etag: "1".to_owned(), ..asked.clone() };
        assert_eq!(client.set_medication_profile(next).await.expect("changed").into_inner().etag, "2");
        let absent = "RESOURCE_NOT_FOUND";
        for stranger in [&stranger, &staff("pharmacist")] {
            let mut client = world.safety(stranger);
            assert_eq!(refused(client.get_medication_profile(get.clone()).await), absent);
            let theirs = SetMedicationProfileRequest { request_id: request_id(), ..asked.clone() };
            assert_eq!(refused(client.set_medication_profile(theirs).await), absent);
            let check = CheckSafetyRequest { patient_person_id: id_of(&patient), ..CheckSafetyRequest::default() };
            assert_eq!(refused(client.check_safety(check).await), absent);
        }
        let rx = world.issued(&stranger, vec![world.item("Metformin", 0, 30)]).await;
        let check = CheckSafetyRequest {
            patient_person_id: id_of(&patient),
            prescription_id: rx.prescription_id,
            medicines: vec![],
        };
        assert_eq!(refused(client.check_safety(check).await), absent, "another one's prescription");
    }

    async fn reference_data_is_loaded_again_and_what_cannot_be_meant_is_said(world: World) {
        let first = world.load(FIXTURES[0]).await.expect("a file");
        assert_eq!((first.rows, first.skipped), (6, 2));
        assert_eq!(first.reasons, [(6, "party.drug_or_class"), (7, "severity.known")]);
        let mut told = Vec::new();
        let again = caremesh_svc_pharmacy::import_reference(&world.config, FIXTURES[0].as_bytes(), |report| told.push(report.rows));
        assert_eq!(again.await.expect("again"), first);
        assert_eq!(told, [6]);
        assert!(world.load("a,b,c\n1,2,3\n").await.is_err(), "nobody knows this header");
        assert!(world.load("").await.is_err());
    }
}
