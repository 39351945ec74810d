//! PrescriptionService.

use caremesh_mesh::wire::{self, ToWire as _};
use caremesh_mesh::{CallContext, accept};
use caremesh_proto::pharmacy::v1::prescription_service_server::PrescriptionService;
use caremesh_proto::pharmacy::v1::{
    AmendItemRequest, AmendItemResponse, CancelPrescriptionRequest, CancelPrescriptionResponse,
    ClaimVerificationRequest, ClaimVerificationResponse, CompleteUploadRequest, CompleteUploadResponse,
    CreateUploadRequest, CreateUploadResponse, DispenseItemRequest, DispenseItemResponse, GetDocumentRequest,
    GetDocumentResponse, GetPrescriptionRequest, GetPrescriptionResponse, HoldItemRequest, HoldItemResponse,
    IssuePrescriptionRequest, IssuePrescriptionResponse, ListPrescriptionsRequest, ListPrescriptionsResponse,
    RejectPrescriptionRequest, RejectPrescriptionResponse, ResumeItemRequest, ResumeItemResponse,
    StopItemRequest, StopItemResponse, TranscribePrescriptionRequest, TranscribePrescriptionResponse,
    VerifyPrescriptionRequest, VerifyPrescriptionResponse,
};
use prost::Message;
use tonic::{Request, Response, Status};

use super::convert::{prescription as convert, stock::version_of};
use super::{Door, error};
use crate::app::Once;
use crate::app::prescription::{self, Change, Shown};
use crate::domain::prescription::FillAsk;

impl Door {
    /// What a prescriber does with an item, whatever it is.
    async fn change<R: Message + 'static, T: Message + Default + 'static>(
        &self,
        context: &CallContext,
        item: &str,
        once: Once<R, Shown, T>,
        change: Change,
    ) -> Result<Response<T>, Status> {
        let id = wire::id("item_id", item).map_err(error::violation)?;
        let answer = prescription::change_item(&self.app, context, once, id, change).await;
        answer.map(Response::new).map_err(|error| error::status(context, error))
    }
}

#[tonic::async_trait]
impl PrescriptionService for Door {
    async fn issue_prescription(
        &self,
        request: Request<IssuePrescriptionRequest>,
    ) -> Result<Response<IssuePrescriptionResponse>, Status> {
        let (context, request) = accept(request)?;
        let (items, dose_units) = convert::items_of(request.items.clone()).map_err(error::violation)?;
        let input = prescription::Issue {
            source_id: request.source_id.clone(),
            patient: wire::id("patient_person_id", &request.patient_person_id).map_err(error::violation)?,
            jurisdiction: request.jurisdiction_code.clone(),
            registration: request.prescriber_registration.clone(),
            issued: wire::date("issue_date", request.issue_date).map_err(error::violation)?,
            encounter: convert::encounter_of(request.consultation_mode, request.follow_up)
                .map_err(error::violation)?,
            episode: wire::optional_id("episode_id", &request.episode_id).map_err(error::violation)?,
            items,
            dose_units,
        };
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |shown| IssuePrescriptionResponse { prescription: Some(convert::prescription(shown)) },
        };
        let answer = prescription::issue(&self.app, &context, once, input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn get_prescription(
        &self,
        request: Request<GetPrescriptionRequest>,
    ) -> Result<Response<GetPrescriptionResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("prescription_id", &request.prescription_id).map_err(error::violation)?;
        let shown = prescription::get(&self.app, &context, id).await;
        let shown = shown.map_err(|error| error::status(&context, error))?;
        Ok(Response::new(GetPrescriptionResponse { prescription: Some(convert::prescription(&shown)) }))
    }

    async fn get_document(
        &self,
        request: Request<GetDocumentRequest>,
    ) -> Result<Response<GetDocumentResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("prescription_id", &request.prescription_id).map_err(error::violation)?;
        let ticket = prescription::document(&self.app, &context, id).await;
        let ticket = ticket.map_err(|error| error::status(&context, error))?;
        Ok(Response::new(GetDocumentResponse { ticket: Some(convert::ticket(&ticket)) }))
    }

    async fn list_prescriptions(
        &self,
        request: Request<ListPrescriptionsRequest>,
    ) -> Result<Response<ListPrescriptionsResponse>, Status> {
        let (context, mut request) = accept(request)?;
        let asked = request.page.take();
        let (paging, page) = self.page(&context, &request, asked.as_ref())?;
        let patient = wire::id("patient_person_id", &request.patient_person_id).map_err(error::violation)?;
        let found = prescription::list(&self.app, &context, patient, &page).await;
        let (shown, next) = found.map_err(|error| error::status(&context, error))?;
        let without_check = |shown: &Shown| convert::prescription(&Shown { safety: None, ..shown.clone() });
        let prescriptions = shown.iter().map(without_check).collect();
        let page = Some(self.next(&paging, next.as_ref())?);
        Ok(Response::new(ListPrescriptionsResponse { prescriptions, page }))
    }

    async fn amend_item(
        &self,
        request: Request<AmendItemRequest>,
    ) -> Result<Response<AmendItemResponse>, Status> {
        let (context, request) = accept(request)?;
        let dose = wire::required("daily_dose", request.daily_dose.clone()).map_err(error::violation)?;
        let change = Change::Amend {
            dose: convert::dose_of("daily_dose", &dose).map_err(error::violation)?,
            unit: dose.unit_code,
            instruction: request.instruction.clone(),
        };
        let item = request.item_id.clone();
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |shown| AmendItemResponse { prescription: Some(convert::prescription(shown)) },
        };
        self.change(&context, &item, once, change).await
    }

    async fn hold_item(
        &self,
        request: Request<HoldItemRequest>,
    ) -> Result<Response<HoldItemResponse>, Status> {
        let (context, request) = accept(request)?;
        let item = request.item_id.clone();
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |shown| HoldItemResponse { prescription: Some(convert::prescription(shown)) },
        };
        self.change(&context, &item, once, Change::Hold).await
    }

    async fn resume_item(
        &self,
        request: Request<ResumeItemRequest>,
    ) -> Result<Response<ResumeItemResponse>, Status> {
        let (context, request) = accept(request)?;
        let item = request.item_id.clone();
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |shown| ResumeItemResponse { prescription: Some(convert::prescription(shown)) },
        };
        self.change(&context, &item, once, Change::Resume).await
    }

    async fn stop_item(
        &self,
        request: Request<StopItemRequest>,
    ) -> Result<Response<StopItemResponse>, Status> {
        let (context, request) = accept(request)?;
        let item = request.item_id.clone();
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |shown| StopItemResponse { prescription: Some(convert::prescription(shown)) },
        };
        self.change(&context, &item, once, Change::Stop).await
    }

    async fn cancel_prescription(
        &self,
        request: Request<CancelPrescriptionRequest>,
    ) -> Result<Response<CancelPrescriptionResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("prescription_id", &request.prescription_id).map_err(error::violation)?;
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |shown| CancelPrescriptionResponse { prescription: Some(convert::prescription(shown)) },
        };
        let answer = prescription::cancel(&self.app, &context, once, id).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn create_upload(
        &self,
        request: Request<CreateUploadRequest>,
    ) -> Result<Response<CreateUploadResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = prescription::Announce {
            patient: wire::id("patient_person_id", &request.patient_person_id).map_err(error::violation)?,
            jurisdiction: request.jurisdiction_code.clone(),
            kind: convert::kind_of(&request.mime_type).map_err(error::violation)?,
            size: request.size_bytes,
            sha256: request.sha256.clone(),
        };
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |announced: &prescription::Announced| CreateUploadResponse {
                prescription: Some(convert::prescription(&announced.shown)),
                ticket: Some(convert::ticket(&announced.ticket)),
            },
        };
        let answer = prescription::announce(&self.app, &context, once, input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn complete_upload(
        &self,
        request: Request<CompleteUploadRequest>,
    ) -> Result<Response<CompleteUploadResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("prescription_id", &request.prescription_id).map_err(error::violation)?;
        let receipt = request.receipt.clone();
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |shown| CompleteUploadResponse { prescription: Some(convert::prescription(shown)) },
        };
        let answer = prescription::complete(&self.app, &context, once, id, &receipt).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn claim_verification(
        &self,
        request: Request<ClaimVerificationRequest>,
    ) -> Result<Response<ClaimVerificationResponse>, Status> {
        let (context, request) = accept(request)?;
        let once = Once { request_id: request.request_id.clone(), request, render: claimed };
        let answer = prescription::claim(&self.app, &context, once).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn transcribe_prescription(
        &self,
        request: Request<TranscribePrescriptionRequest>,
    ) -> Result<Response<TranscribePrescriptionResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("prescription_id", &request.prescription_id).map_err(error::violation)?;
        let (items, dose_units) = convert::items_of(request.items.clone()).map_err(error::violation)?;
        let input = prescription::Transcribe {
            id,
            registration: request.prescriber_registration.clone(),
            issued: wire::date("issue_date", request.issue_date).map_err(error::violation)?,
            items,
            dose_units,
        };
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |shown| TranscribePrescriptionResponse {
                prescription: Some(convert::prescription(shown)),
            },
        };
        let answer = prescription::transcribe(&self.app, &context, once, input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn verify_prescription(
        &self,
        request: Request<VerifyPrescriptionRequest>,
    ) -> Result<Response<VerifyPrescriptionResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("prescription_id", &request.prescription_id).map_err(error::violation)?;
        let version = version_of(&request.etag);
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |shown| VerifyPrescriptionResponse { prescription: Some(convert::prescription(shown)) },
        };
        let answer = prescription::verify(&self.app, &context, once, id, version).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn reject_prescription(
        &self,
        request: Request<RejectPrescriptionRequest>,
    ) -> Result<Response<RejectPrescriptionResponse>, Status> {
        let (context, request) = accept(request)?;
        let id = wire::id("prescription_id", &request.prescription_id).map_err(error::violation)?;
        let reason = convert::rejection_of(request.reason).map_err(error::violation)?;
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |shown| RejectPrescriptionResponse { prescription: Some(convert::prescription(shown)) },
        };
        let answer = prescription::reject(&self.app, &context, once, id, reason).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn dispense_item(
        &self,
        request: Request<DispenseItemRequest>,
    ) -> Result<Response<DispenseItemResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = prescription::Dispense {
            item: wire::id("item_id", &request.item_id).map_err(error::violation)?,
            product: wire::id("product_id", &request.product_id).map_err(error::violation)?,
            ask: FillAsk {
                quantity: request.quantity,
                unit: request.unit_code.clone(),
                early: convert::early_of(request.interval_override).map_err(error::violation)?,
            },
            substitution: convert::substitution_of(request.substitution_reason).map_err(error::violation)?,
            consent: request.consent_to_price,
        };
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |done: &prescription::Dispensed| DispenseItemResponse {
                dispense: Some(convert::dispense(done)),
                prescription: Some(convert::prescription(&done.shown)),
            },
        };
        let answer = prescription::dispense(&self.app, &context, once, input).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }
}

fn claimed(claimed: &prescription::Claimed) -> ClaimVerificationResponse {
    let work = claimed.work.as_ref();
    ClaimVerificationResponse {
        prescription: work.map(|(shown, _)| convert::prescription(shown)),
        lease_expire_time: work.map(|(_, lease)| lease.until.to_wire()),
        waiting: i32::try_from(claimed.waiting).unwrap_or(i32::MAX),
        duplicate_of_prescription_id: claimed.duplicate_of.map(|id| id.to_string()).unwrap_or_default(),
    }
}
