//! SafetyService.

use caremesh_mesh::{accept, wire};
use caremesh_proto::pharmacy::v1::safety_service_server::SafetyService;
use caremesh_proto::pharmacy::v1::{
    CheckSafetyRequest, CheckSafetyResponse, GetMedicationProfileRequest, GetMedicationProfileResponse,
    OverrideIssueRequest, OverrideIssueResponse, SetMedicationProfileRequest, SetMedicationProfileResponse,
};
use tonic::{Request, Response, Status};

use super::convert::{safety as convert, stock::version_of};
use super::{Door, error};
use crate::app::{Once, safety};
use crate::domain::safety::Profile;

#[tonic::async_trait]
impl SafetyService for Door {
    async fn check_safety(
        &self,
        request: Request<CheckSafetyRequest>,
    ) -> Result<Response<CheckSafetyResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = safety::Input {
            patient: wire::id("patient_person_id", &request.patient_person_id).map_err(error::violation)?,
            prescription: wire::optional_id("prescription_id", &request.prescription_id)
                .map_err(error::violation)?,
            medicines: convert::medicines_of(request.medicines),
        };
        let check = safety::check(&self.app, &context, input).await;
        let check = check.map_err(|error| error::status(&context, error))?;
        Ok(Response::new(CheckSafetyResponse { check: Some(convert::check(&check)) }))
    }

    async fn override_issue(
        &self,
        request: Request<OverrideIssueRequest>,
    ) -> Result<Response<OverrideIssueResponse>, Status> {
        let (context, request) = accept(request)?;
        let input = safety::Input {
            patient: wire::id("patient_person_id", &request.patient_person_id).map_err(error::violation)?,
            prescription: wire::optional_id("prescription_id", &request.prescription_id)
                .map_err(error::violation)?,
            medicines: convert::medicines_of(request.medicines.clone()),
        };
        let (issue, reason) = (request.issue_id.clone(), request.reason.clone());
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |check| OverrideIssueResponse { check: Some(convert::check(check)) },
        };
        let answer = safety::override_issue(&self.app, &context, once, input, issue, reason).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }

    async fn get_medication_profile(
        &self,
        request: Request<GetMedicationProfileRequest>,
    ) -> Result<Response<GetMedicationProfileResponse>, Status> {
        let (context, request) = accept(request)?;
        let patient = wire::id("patient_person_id", &request.patient_person_id).map_err(error::violation)?;
        let found = safety::get_profile(&self.app, &context, patient).await;
        let (profile, version) = found.map_err(|error| error::status(&context, error))?;
        let (profile, etag) = (Some(convert::profile(&profile)), version.to_string());
        Ok(Response::new(GetMedicationProfileResponse { profile, etag }))
    }

    async fn set_medication_profile(
        &self,
        request: Request<SetMedicationProfileRequest>,
    ) -> Result<Response<SetMedicationProfileResponse>, Status> {
        let (context, request) = accept(request)?;
        let patient = wire::id("patient_person_id", &request.patient_person_id).map_err(error::violation)?;
        let profile = convert::profile_of(request.profile.clone()).map_err(error::violation)?;
        let version = version_of(&request.etag);
        let once = Once {
            request_id: request.request_id.clone(),
            request,
            render: |(profile, version): &(Profile, i64)| SetMedicationProfileResponse {
                profile: Some(convert::profile(profile)),
                etag: version.to_string(),
            },
        };
        let answer = safety::set_profile(&self.app, &context, once, patient, profile, version).await;
        answer.map(Response::new).map_err(|error| error::status(&context, error))
    }
}
