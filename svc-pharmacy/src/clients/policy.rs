//! svc-policy over gRPC. While a person waits the call carries that person's token; a step that runs later carries only this
//! service's certificate. Never called while a transaction is open.

use caremesh_kernel::PersonId;
use caremesh_mesh::CallContext;
use caremesh_mesh::client::{Channel, request};
use caremesh_mesh::status::Answer;
use caremesh_proto::policy::v1::benefit_service_client::BenefitServiceClient;
use caremesh_proto::policy::v1::person_service_client::PersonServiceClient;
use caremesh_proto::policy::v1::{GetPersonRequest, PostRequest, PostResponse, Price, PriceRequest};
use tonic::{Code, Status};

/// Why a call to another service gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It said no, with this reason.
    #[error("the other service refused: {}", .0.reason)]
    Refused(Box<Answer>),
    /// It could not be reached, was busy or too late: the same call may succeed later.
    #[error("the other service is not available")]
    Unavailable,
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Internal
            | Code::Cancelled
            | Code::Unknown => Self::Unavailable,
            _ => Self::Refused(Box::new(Answer::of(&status))),
        }
    }
}

/// The clients of svc-policy. A cheap clone; clones share the connection.
#[derive(Clone, Debug)]
pub struct PolicyClient {
    benefits: BenefitServiceClient<Channel>,
    persons: PersonServiceClient<Channel>,
}

impl PolicyClient {
    /// Clients over a channel to svc-policy.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        Self {
            benefits: BenefitServiceClient::new(channel.clone()),
            persons: PersonServiceClient::new(channel),
        }
    }

    /// Whether the caller may see the person: svc-policy knows families.
    ///
    /// # Errors
    /// [`CallError`] when svc-policy does not answer, or refuses for another reason than "not found".
    pub async fn person_is_visible(
        &self,
        context: &CallContext,
        person: PersonId,
    ) -> Result<bool, CallError> {
        let asked = GetPersonRequest { person_id: person.to_string() };
        match self.persons.clone().get_person(request(context, asked)).await {
            Ok(_) => Ok(true),
            Err(status) if status.code() == Code::NotFound => Ok(false),
            Err(status) => Err(status.into()),
        }
    }

    /// Prices lines of an insured event. No side effect.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn price(&self, context: &CallContext, asked: PriceRequest) -> Result<Price, CallError> {
        let answer = self.benefits.clone().price(request(context, asked)).await?;
        answer.into_inner().price.ok_or(CallError::Unavailable)
    }

    /// Posts on the ledger under the request's own id: the same id again gives the first answer.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn post(&self, context: &CallContext, asked: PostRequest) -> Result<PostResponse, CallError> {
        Ok(self.benefits.clone().post(request(context, asked)).await?.into_inner())
    }
}
