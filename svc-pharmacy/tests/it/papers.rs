//! Paper: a document announced, sent, looked at, transcribed, verified or refused; and the same paper a second time.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use caremesh_kernel::Clock;
use caremesh_mesh::ticket::{Document, Receipt, Tickets};
use caremesh_proto::pharmacy::v1::*;
use caremesh_testkit::for_each_database;
use caremesh_testkit::identity::TestPerson;
use std::sync::Arc;

use crate::branches::{DAY, PLACES, Shop, on};
use crate::common::*;
use crate::prescriptions::{id_of, patient};

pub(crate) const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x01IHDR\0crc!\0\0\0\0IEND\xaeB`\x82";
const JPEG: &[u8] = b"\xFF\xD8\xFF\xE0\0\x04ab\xFF\xDA\0\x02scan\xFF\xD9";
const PDF: &[u8] = b"%PDF-1.4\n1 0 obj\nendobj\nstartxref\n9\n%%EOF\n";
const HTML: &[u8] = b"<!DOCTYPE html><html><body>x</body></html>";

fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a gateway finds in the bytes.
fn found(bytes: &[u8]) -> &'static str {
    match bytes.first() {
        Some(0x89) => "image/png",
        Some(0xFF) => "image/jpeg",
        Some(b'%') => "application/pdf",
        Some(_) => "text/html",
        None => "",
    }
}

fn announce(patient: &TestPerson, kind: &str, bytes: &[u8]) -> CreateUploadRequest {
    CreateUploadRequest {
        request_id: request_id(),
        patient_person_id: id_of(patient),
        jurisdiction_code: "NG".to_owned(),
        mime_type: kind.to_owned(),
        size_bytes: i64::try_from(bytes.len().max(1)).expect("small"),
        sha256: sha256(bytes),
    }
}

impl World {
    /// What the gateway does when a ticket's bytes have come: it keeps them and signs a receipt.
    fn stored(&self, announced: &CreateUploadResponse, bytes: &[u8]) -> String {
        let path = &announced.ticket.as_ref().expect("a ticket").upload_path;
        let id = path.rsplit('/').next().expect("an id").parse().expect("an id");
        let folder = self.config.documents_folder.as_ref().expect("a folder").join("svc-pharmacy");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(format!("{id}")), bytes).expect("written");
        self.receipt("gateway", id, bytes)
    }

    fn receipt(&self, signer: &str, id: caremesh_kernel::Uuid, bytes: &[u8]) -> String {
        let workload = self.mesh.authority.workload(signer).expect("a workload");
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let receipt = Receipt {
            service: "svc-pharmacy".to_owned(),
            document: Document { id, purpose: "prescription".to_owned() },
            size_bytes: bytes.len() as u64,
            sha256: sha256(bytes),
            media_type: found(bytes).to_owned(),
            stored_at: self.clock.now(),
        };
        Tickets::new(workload, clock).receipt(&receipt).expect("signed")
    }

    async fn announced(&self, patient: &TestPerson, kind: &str, bytes: &[u8]) -> CreateUploadResponse {
        let asked = announce(patient, kind, bytes);
        self.rx(patient).create_upload(asked).await.expect("a ticket").into_inner()
    }

    pub(crate) async fn sent(
        &self,
        patient: &TestPerson,
        kind: &str,
        announced: &[u8],
        sent: &[u8],
    ) -> Result<Prescription, tonic::Status> {
        let ticket = self.announced(patient, kind, announced).await;
        let asked = CompleteUploadRequest {
            request_id: request_id(),
            prescription_id: ticket.prescription.as_ref().expect("it").prescription_id.clone(),
            receipt: self.stored(&ticket, sent),
        };
        let answer = self.rx(patient).complete_upload(asked).await?;
        Ok(answer.into_inner().prescription.expect("it"))
    }

    async fn claimed(&self, shop: &Shop) -> ClaimVerificationResponse {
        let asked = ClaimVerificationRequest { request_id: request_id() };
        self.rx(&shop.pharmacist).claim_verification(asked).await.expect("an answer").into_inner()
    }

    fn transcription(&self, id: &str, items: Vec<PrescribedItem>) -> TranscribePrescriptionRequest {
        TranscribePrescriptionRequest {
            request_id: request_id(),
            prescription_id: id.to_owned(),
            prescriber_registration: "MDCN-9".to_owned(),
            issue_date: on(self.today()),
            items,
        }
    }

    /// A paper, sent, claimed and transcribed; the etag to verify it at.
    pub(crate) async fn transcribed(
        &self,
        shop: &Shop,
        patient: &TestPerson,
        bytes: &[u8],
        items: Vec<PrescribedItem>,
    ) -> Prescription {
        let sent = self.sent(patient, "image/png", bytes, bytes).await.expect("a document");
        let work = self.claimed(shop).await.prescription.expect("work");
        assert_eq!(work.prescription_id, sent.prescription_id);
        let asked = self.transcription(&work.prescription_id, items);
        let answer = self.rx(&shop.pharmacist).transcribe_prescription(asked).await.expect("transcribed");
        answer.into_inner().prescription.expect("it")
    }

    pub(crate) fn verification(&self, rx: &Prescription) -> VerifyPrescriptionRequest {
        VerifyPrescriptionRequest {
            request_id: request_id(),
            prescription_id: rx.prescription_id.clone(),
            etag: rx.etag.clone(),
        }
    }
}

for_each_database! { with world;
    async fn a_document_is_announced_sent_and_waits_for_a_pharmacist(world: World) {
        let patient = patient();
        for (kind, bytes) in [("image/png", PNG), ("image/jpeg", JPEG), ("application/pdf", PDF)] {
            let asked = announce(&patient, kind, bytes);
            let mut client = world.rx(&patient);
            let ticket = client.create_upload(asked.clone()).await.expect("a ticket").into_inner();
            assert_eq!(client.create_upload(asked.clone()).await.expect("again").into_inner(), ticket);
            let other = CreateUploadRequest { size_bytes: 7, ..asked };
            assert_eq!(refused(client.create_upload(other).await), "REQUEST_ID_REUSED");
            let id = ticket.prescription.clone().expect("it").prescription_id;
            let document = GetDocumentRequest { prescription_id: id.clone() };
            assert_eq!(refused(client.get_document(document.clone()).await), "RESOURCE_NOT_FOUND", "not there yet");
            let receipt = world.stored(&ticket, bytes);
            let asked = CompleteUploadRequest { request_id: request_id(), prescription_id: id.clone(), receipt };
            let complete = client.complete_upload(asked.clone()).await.expect("complete").into_inner();
            assert_eq!(complete.prescription.clone().expect("it").state(), PrescriptionState::Uploaded);
            assert_eq!(client.complete_upload(asked.clone()).await.expect("again").into_inner(), complete);
            let other = CompleteUploadRequest { receipt: "other".to_owned(), ..asked };
            assert_eq!(refused(client.complete_upload(other).await), "REQUEST_ID_REUSED");
            assert_eq!(complete.prescription.expect("it").document_sha256, sha256(bytes));
            let look = client.get_document(document).await.expect("a ticket").into_inner().ticket.expect("a ticket");
            assert_eq!(look.upload_path, ticket.ticket.expect("a ticket").upload_path);
        }
    }

    async fn every_broken_document_gets_an_error_of_its_own(world: World) {
        let patient = patient();
        let refusal = async |kind: &str, announced: &[u8], sent: &[u8]| {
            reason(&world.sent(&patient, kind, announced, sent).await.expect_err("a broken document"))
        };
        assert_eq!(refusal("application/pdf", b"", b"").await, "DOCUMENT_EMPTY");
        assert_eq!(refusal("image/jpeg", HTML, HTML).await, "DOCUMENT_TYPE_UNSUPPORTED");
        assert_eq!(refusal("application/pdf", PNG, PNG).await, "DOCUMENT_TYPE_MISMATCH");
        let cut = &JPEG[..JPEG.len() - 4];
        assert_eq!(refusal("image/jpeg", cut, cut).await, "DOCUMENT_DAMAGED");
        assert_eq!(refusal("image/jpeg", JPEG, cut).await, "DOCUMENT_INCOMPLETE");
        let mut other = JPEG.to_vec();
        other[6] = b'z';
        assert_eq!(refusal("image/jpeg", JPEG, &other).await, "DOCUMENT_DIGEST_MISMATCH");
    }

    async fn a_receipt_of_anybody_but_the_gateway_for_anything_else_is_worth_nothing(world: World) {
        let patient = patient();
        let ticket = world.announced(&patient, "image/png", PNG).await;
        let id = ticket.prescription.clone().expect("it").prescription_id;
        world.stored(&ticket, PNG);
        let own = ticket.ticket.expect("a ticket").upload_path.rsplit('/').next().expect("an id").parse().expect("an id");
        let other = caremesh_kernel::Uuid::from_u128(7);
        for receipt in [world.receipt("svc-consult", own, PNG), world.receipt("gateway", other, PNG), "x".to_owned()] {
            let asked = CompleteUploadRequest { request_id: request_id(), prescription_id: id.clone(), receipt };
            assert_eq!(refused(world.rx(&patient).complete_upload(asked).await), "DOCUMENT_DIGEST_MISMATCH");
        }
    }

    async fn a_ticket_of_another_patient_is_not_found(world: World) {
        let (patient, stranger) = (patient(), patient());
        let asked = CreateUploadRequest { patient_person_id: id_of(&patient), ..announce(&stranger, "image/png", PNG) };
        assert_eq!(refused(world.rx(&stranger).create_upload(asked).await), "RESOURCE_NOT_FOUND");
        let ticket = world.announced(&patient, "image/png", PNG).await;
        let prescription_id = ticket.prescription.clone().expect("it").prescription_id;
        let receipt = world.stored(&ticket, PNG);
        let asked = CompleteUploadRequest { request_id: request_id(), prescription_id: prescription_id.clone(), receipt };
        assert_eq!(refused(world.rx(&stranger).complete_upload(asked).await), "RESOURCE_NOT_FOUND");
        let document = GetDocumentRequest { prescription_id: prescription_id.clone() };
        assert_eq!(refused(world.rx(&stranger).get_document(document).await), "RESOURCE_NOT_FOUND");
        let cancel = CancelPrescriptionRequest { request_id: request_id(), prescription_id: prescription_id.clone() };
        assert_eq!(refused(world.rx(&stranger).cancel_prescription(cancel.clone()).await), "RESOURCE_NOT_FOUND");
        let mut client = world.rx(&patient);
        assert_eq!(client.cancel_prescription(cancel).await.expect("the own paper").into_inner().prescription.expect("it").state(), PrescriptionState::Cancelled);
    }

    async fn an_upload_that_takes_too_long_has_expired_to_the_instant(world: World) {
        let patient = patient();
        let ticket = world.announced(&patient, "image/png", PNG).await;
        world.clock.advance(Duration::from_secs(2 * 3_600));
        let asked = CompleteUploadRequest {
            request_id: request_id(),
            prescription_id: ticket.prescription.clone().expect("it").prescription_id,
            receipt: world.stored(&ticket, PNG),
        };
        assert_eq!(refused(world.rx(&patient).complete_upload(asked).await), "UPLOAD_EXPIRED");
        world.sent(&patient, "image/png", PNG, PNG).await.expect("another one");
        world.clock.advance(7 * DAY);
        let shop = world.shop(PLACES[0]).await;
        assert!(world.claimed(&shop).await.prescription.is_none(), "nobody took it in time");
    }

    async fn work_is_one_pharmacist_s_for_twenty_minutes(world: World) {
        let (one, two) = (world.shop(PLACES[0]).await, world.shop(PLACES[1]).await);
        let patient = patient();
        let first = world.sent(&patient, "image/png", PNG, PNG).await.expect("a document");
        world.clock.advance(Duration::from_secs(1));
        let second = world.sent(&patient, "image/jpeg", JPEG, JPEG).await.expect("a document");
        let mut client = world.rx(&one.pharmacist);
        let asked = ClaimVerificationRequest { request_id: request_id() };
        let work = client.claim_verification(asked.clone()).await.expect("work").into_inner();
        assert_eq!((work.prescription.clone().expect("work").prescription_id, work.waiting), (first.prescription_id.clone(), 1));
        assert_eq!(client.claim_verification(asked).await.expect("again").into_inner(), work, "asking again takes no more");
        assert_eq!(world.claimed(&two).await.prescription.expect("work").prescription_id, second.prescription_id);
        assert!(world.claimed(&two).await.prescription.is_none());
        let theirs = world.transcription(&first.prescription_id, vec![world.item("Metformin", 0, 30)]);
        assert_eq!(refused(world.rx(&two.pharmacist).transcribe_prescription(theirs.clone()).await), "VERIFICATION_NOT_YOURS");
        world.clock.advance(Duration::from_secs(20 * 60));
        let late = TranscribePrescriptionRequest { request_id: request_id(), ..theirs };
        assert_eq!(refused(client.transcribe_prescription(late).await), "VERIFICATION_NOT_YOURS", "the lease is over");
        let reject = RejectPrescriptionRequest {
            request_id: request_id(),
            prescription_id: first.prescription_id.clone(),
            reason: RejectionReason::Unreadable.into(),
        };
        assert_eq!(refused(client.reject_prescription(reject.clone()).await), "VERIFICATION_NOT_YOURS");
        assert_eq!(world.claimed(&two).await.prescription.expect("taken over").prescription_id, first.prescription_id);
        let mut client = world.rx(&two.pharmacist);
        let rejected = client.reject_prescription(reject.clone()).await.expect("rejected").into_inner();
        let after = rejected.prescription.clone().expect("it");
        assert_eq!((after.state(), after.rejection_reason()), (PrescriptionState::Rejected, RejectionReason::Unreadable));
        assert_eq!(client.reject_prescription(reject.clone()).await.expect("again").into_inner(), rejected);
        let other = RejectPrescriptionRequest { reason: RejectionReason::Altered.into(), ..reject };
        assert_eq!(refused(client.reject_prescription(other).await), "REQUEST_ID_REUSED");
        assert!(world.events(1).await.iter().any(|event| event.r#type() == EventType::PrescriptionRejected));
    }

    async fn inv_r10_only_a_registered_pharmacist_works_the_queue(world: World) {
        let patient = patient();
        let sent = world.sent(&patient, "image/png", PNG, PNG).await.expect("a document");
        let mut client = world.rx(&staff("pharmacist"));
        let unregistered = "PHARMACIST_NOT_REGISTERED";
        let claim = ClaimVerificationRequest { request_id: request_id() };
        assert_eq!(refused(client.claim_verification(claim).await), unregistered);
        let transcription = world.transcription(&sent.prescription_id, vec![world.item("Metformin", 0, 30)]);
        assert_eq!(refused(client.transcribe_prescription(transcription).await), unregistered);
        assert_eq!(refused(client.verify_prescription(world.verification(&sent)).await), unregistered);
        let reject = RejectPrescriptionRequest {
            request_id: request_id(),
            prescription_id: sent.prescription_id.clone(),
            reason: RejectionReason::Unreadable.into(),
        };
        assert_eq!(refused(client.reject_prescription(reject).await), unregistered);
    }

    async fn a_paper_is_transcribed_and_verified_once(world: World) {
        let (shop, patient) = (world.shop(PLACES[0]).await, patient());
        let sent = world.sent(&patient, "image/png", PNG, PNG).await.expect("a document");
        let mut client = world.rx(&shop.pharmacist);
        assert_eq!(refused(client.verify_prescription(world.verification(&sent)).await), "VERIFICATION_NOT_YOURS");
        let work = world.claimed(&shop).await.prescription.expect("work");
        assert_eq!(refused(client.verify_prescription(world.verification(&work)).await), "PRESCRIPTION_STATE_FORBIDS", "nothing was transcribed");
        let asked = world.transcription(&work.prescription_id, vec![world.item("Metformin", 3, 365)]);
        let draft = client.transcribe_prescription(asked.clone()).await.expect("a draft").into_inner();
        assert_eq!(draft.prescription.clone().expect("it").items[0].state(), PrescriptionItemState::Draft);
        assert_eq!(client.transcribe_prescription(asked.clone()).await.expect("again").into_inner(), draft);
        let other = TranscribePrescriptionRequest { prescriber_registration: "X".to_owned(), ..asked };
        assert_eq!(refused(client.transcribe_prescription(other).await), "REQUEST_ID_REUSED");
        let twice = world.transcription(&work.prescription_id, vec![world.item("Metformin", 0, 30), world.item("Metformin", 0, 30)]);
        assert_eq!(refused(client.transcribe_prescription(twice).await), "ITEMS_INVALID");
        assert_eq!(refused(client.verify_prescription(world.verification(&work)).await), "STALE_VERSION");
        let better = world.transcription(&work.prescription_id, vec![world.item("Glimepiride", 1, 365)]);
        let draft = client.transcribe_prescription(better).await.expect("a better draft").into_inner().prescription.expect("it");
        let asked = world.verification(&draft);
        let verified = client.verify_prescription(asked.clone()).await.expect("verified").into_inner();
        let rx = verified.prescription.clone().expect("it");
        assert_eq!((rx.state(), rx.items.len(), rx.items[0].state()), (PrescriptionState::Verified, 1, PrescriptionItemState::Active));
        assert_eq!(rx.verified_by_pharmacist_id, shop.pharmacist_id);
        assert!(!rx.safety_check.expect("a check").gaps.is_empty(), "what is not known is said");
        assert_eq!(client.verify_prescription(asked.clone()).await.expect("again").into_inner(), verified);
        let other = VerifyPrescriptionRequest { etag: "99".to_owned(), ..asked };
        assert_eq!(refused(client.verify_prescription(other).await), "REQUEST_ID_REUSED");
    }

    async fn hard_case_5_the_same_paper_is_used_once_whole_or_cropped(world: World) {
        let (one, two, patient) = (world.shop(PLACES[0]).await, world.shop(PLACES[1]).await, patient());
        let items = || vec![world.item("Metformin", 3, 365), world.item("Glimepiride", 0, 30)];
        let draft = world.transcribed(&one, &patient, PNG, items()).await;
        world.rx(&one.pharmacist).verify_prescription(world.verification(&draft)).await.expect("verified");
        // The same file again, at another pharmacy, and transcribed as something else.
        let sent = world.sent(&patient, "image/png", PNG, PNG).await.expect("a document");
        assert_eq!(sent.document_sha256, draft.document_sha256, "the same file has the same digest");
        let work = world.claimed(&two).await;
        assert_eq!(work.duplicate_of_prescription_id, draft.prescription_id);
        let id = work.prescription.expect("work").prescription_id;
        let mut client = world.rx(&two.pharmacist);
        let again = client.transcribe_prescription(world.transcription(&id, vec![world.item("Lisinopril", 0, 30)])).await;
        let again = again.expect("a draft").into_inner().prescription.expect("it");
        assert_eq!(refused(client.verify_prescription(world.verification(&again)).await), "PAPER_ALREADY_USED");
        // Cropped: another file, one of the items.
        let mut cropped = PNG.to_vec();
        cropped.extend_from_slice(b"x");
        let draft = world.transcribed(&two, &patient, &cropped, vec![world.item("GLIMEPIRIDE", 0, 30)]).await;
        assert_eq!(refused(client.verify_prescription(world.verification(&draft)).await), "PAPER_ALREADY_USED");
        // Another paper of the same day with another medicine is another paper.
        cropped.extend_from_slice(b"y");
        let draft = world.transcribed(&two, &patient, &cropped, vec![world.item("Lisinopril", 0, 30)]).await;
        client.verify_prescription(world.verification(&draft)).await.expect("another paper");
    }
}
