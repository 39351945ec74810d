//! svc-policy over gRPC. While a person waits the call carries that person's token; a step that runs later carries only this
//! service's certificate. Never called while a transaction is open.

use caremesh_kernel::PersonId;
use caremesh_mesh::CallContext;
use caremesh_mesh::client::{Channel, request};
use caremesh_mesh::policy::Purpose;
use caremesh_mesh::status::Answer;
use caremesh_proto::policy::v1::benefit_service_client::BenefitServiceClient;
use caremesh_proto::policy::v1::person_service_client::PersonServiceClient;
use caremesh_proto::policy::v1::policy_service_client::PolicyServiceClient;
use caremesh_proto::policy::v1::{
    GetPersonRequest, ListPoliciesRequest, Policy, PostRequest, PostResponse, Price, PriceRequest,
};
use tonic::Code;

/// Why a call to another service gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It said no, with this reason.
    #[error("the other service refused: {}", .0.reason)]
    Refused(Box<Answer>),
    /// What was kept of an earlier answer cannot be read: the call was not made.
    #[error("what was kept of an earlier answer cannot be read")]
    Unreadable,
    /// It could not be reached, was busy or too late: the same call may succeed later.
    #[error("the other service is not available")]
    Unavailable,
}

impl From<Answer> for CallError {
    fn from(answer: Answer) -> Self {
        match answer.code {
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Internal
            | Code::Cancelled
            | Code::Unknown => Self::Unavailable,
            _ => Self::Refused(Box::new(answer)),
        }
    }
}

/// The clients of svc-policy. A cheap clone; clones share the connection.
#[derive(Clone, Debug)]
pub struct PolicyClient {
    pub(super) benefits: BenefitServiceClient<Channel>,
    persons: PersonServiceClient<Channel>,
    policies: PolicyServiceClient<Channel>,
}

impl PolicyClient {
    /// Clients over a channel to svc-policy.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        Self {
            benefits: BenefitServiceClient::new(channel.clone()),
            persons: PersonServiceClient::new(channel.clone()),
            policies: PolicyServiceClient::new(channel),
        }
    }

    /// The policies of a person that the caller may see: asked with the caller's own token, and by a method that svc-policy
    /// opens to persons only.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn policies_of(
        &self,
        context: &CallContext,
        person: PersonId,
    ) -> Result<Vec<Policy>, CallError> {
        let context = context.asking_for(Purpose::Payment);
        let asked = ListPoliciesRequest { person_id: person.to_string(), page: None };
        Ok(self
            .policies
            .clone()
            .list_policies(request(&context, asked))
            .await
            .map_err(|status| Answer::of(&status))?
            .into_inner()
            .policies)
    }

    /// Who manages a person's profile: a parent of a child. None: the person alone. Asked as the person who waits, for the
    /// purpose for which persons may ask: one whom they may not know is refused like one who is not there.
    ///
    /// # Errors
    /// [`CallError`]; refused as RESOURCE_NOT_FOUND for nobody's id.
    pub async fn manager_of(
        &self,
        context: &CallContext,
        person: PersonId,
    ) -> Result<Option<PersonId>, CallError> {
        let context = context.asking_for(Purpose::Payment);
        let asked = GetPersonRequest { person_id: person.to_string() };
        let answer = self
            .persons
            .clone()
            .get_person(request(&context, asked))
            .await
            .map_err(|status| Answer::of(&status))?
            .into_inner();
        Ok(answer.person.and_then(|person| person.managed_by_person_id.parse().ok()))
    }

    /// Prices lines of an insured event. No side effect.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn price(&self, context: &CallContext, asked: PriceRequest) -> Result<Price, CallError> {
        let answer = self
            .benefits
            .clone()
            .price(request(context, asked))
            .await
            .map_err(|status| Answer::of(&status))?;
        answer.into_inner().price.ok_or(CallError::Unavailable)
    }

    /// Posts on the ledger under the request's own id: the same id again gives the first answer.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn post(&self, context: &CallContext, asked: PostRequest) -> Result<PostResponse, CallError> {
        Ok(self
            .benefits
            .clone()
            .post(request(context, asked))
            .await
            .map_err(|status| Answer::of(&status))?
            .into_inner())
    }
}
