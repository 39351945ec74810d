//! What tests do with cover through the gateway: find the demo family, price, spend, read the ledger.
//! Must not know how the processes run.

use anyhow::{Context, Result};
use caremesh_kernel::{EventId, IdSource, SystemIds};
use caremesh_proto::policy::v1::benefit_service_client::BenefitServiceClient;
use caremesh_proto::policy::v1::policy_service_client::PolicyServiceClient;
use caremesh_proto::policy::v1::{
    EventKind, InsuredEvent, InsuredEventRef, LineKind, ListPoliciesRequest, ListPostingsRequest, Policy,
    PostRequest, PostingInstruction, PostingKind, PostingSource, Price, PriceLine, PriceRequest, Provider,
};
use caremesh_proto::r#type::v1::{Date, Money, PageRequest};
use tonic::transport::Channel;
use tonic::{Request, Status};

/// A benefit of the demo plans without a limit in times: a test can spend from it as often as it likes.
const BENEFIT: &str = "DIAGNOSTIC";

/// A family with a policy, and who may do what.
#[derive(Clone)]
pub struct Family {
    /// The gateway.
    pub gateway: Channel,
    /// Token of the policyholder.
    pub holder: String,
    /// Token of a claims officer.
    pub officer: String,
    /// Their policy.
    pub policy: Policy,
}

/// One posting that is on its way: the same again is the same posting.
#[derive(Clone)]
pub struct Spending {
    /// The whole request.
    pub request: PostRequest,
}

impl Family {
    /// The newest policy of the holder.
    ///
    /// # Errors
    /// When there is none.
    pub async fn find(gateway: Channel, holder: String, officer: String) -> Result<Self> {
        let request = signed(ListPoliciesRequest::default(), &holder)?;
        let listed = PolicyServiceClient::new(gateway.clone()).list_policies(request).await?;
        let policy = listed.into_inner().policies.into_iter().next().context("no policy")?;
        Ok(Self { gateway, holder, officer, policy })
    }

    /// The first day of the first term: today, when the demo was loaded today.
    ///
    /// # Errors
    /// When the policy has no term.
    pub fn first_day(&self) -> Result<Date> {
        let period = self.policy.terms.first().and_then(|term| term.period);
        period.and_then(|period| period.start).context("a policy without a term")
    }

    /// Prices a visit of the holder that costs `billed_minor`.
    ///
    /// # Errors
    /// With the refusal.
    pub async fn price(&self, event: &InsuredEvent, billed_minor: i64) -> Result<Price, Status> {
        let line = PriceLine {
            sequence: 1,
            benefit_code: BENEFIT.to_owned(),
            kind: LineKind::Diagnostic.into(),
            billed: Some(Money {
                currency_code: self.policy.currency_code.clone(),
                minor_units: billed_minor,
            }),
            count: Some(1),
            ..PriceLine::default()
        };
        let request =
            PriceRequest { event: Some(event.clone()), lines: vec![line], ..PriceRequest::default() };
        let mut service = BenefitServiceClient::new(self.gateway.clone());
        let answer = service.price(signed(request, &self.holder).map_err(internal)?).await?;
        answer.into_inner().price.ok_or_else(|| Status::internal("no price"))
    }

    /// A visit of the holder that happens on the first day of cover.
    ///
    /// # Errors
    /// When the policy has no member.
    pub fn visit(&self) -> Result<InsuredEvent> {
        let member = self.policy.members.first().context("a policy without members")?;
        Ok(InsuredEvent {
            event_id: EventId::from_uuid(SystemIds.uuid()).to_string(),
            kind: EventKind::Diagnostic.into(),
            member_id: member.member_id.clone(),
            event_date: Some(self.first_day()?),
            // An accident: the initial waiting period does not apply.
            accident: true,
            provider: Some(Provider { in_network: true, ..Provider::default() }),
            ..InsuredEvent::default()
        })
    }

    /// What captures a price.
    #[must_use]
    pub fn spending(event: &InsuredEvent, price: Price) -> Spending {
        let request = PostRequest {
            request_id: SystemIds.uuid().to_string(),
            source: Some(PostingSource {
                service: "svc-claims".to_owned(),
                resource_id: event.event_id.clone(),
                revision: 0,
            }),
            event: Some(InsuredEventRef {
                event_id: event.event_id.clone(),
                member_id: event.member_id.clone(),
                event_date: event.event_date,
                ..InsuredEventRef::default()
            }),
            instructions: vec![PostingInstruction {
                kind: PostingKind::Capture.into(),
                legs: price.legs,
                ..PostingInstruction::default()
            }],
            expected_versions: price.expected_versions,
        };
        Spending { request }
    }

    /// Posts; gives the posting's id once it is acknowledged.
    ///
    /// # Errors
    /// With the refusal, or because nobody answered.
    pub async fn post(&self, spending: &Spending) -> Result<String, Status> {
        let mut service = BenefitServiceClient::new(self.gateway.clone());
        let request = signed(spending.request.clone(), &self.officer).map_err(internal)?;
        let answer = service.post(request).await?.into_inner();
        answer.posting.map(|posting| posting.posting_id).ok_or_else(|| Status::internal("no posting"))
    }

    /// Every posting of the policy: its id and the resource it is for.
    ///
    /// # Errors
    /// With the refusal.
    pub async fn postings(&self) -> Result<Vec<(String, String)>> {
        let mut service = BenefitServiceClient::new(self.gateway.clone());
        let (mut all, mut page_token) = (Vec::new(), String::new());
        loop {
            let page = PageRequest { page_size: 200, page_token };
            let request = ListPostingsRequest {
                policy_id: self.policy.policy_id.clone(),
                page: Some(page),
                ..ListPostingsRequest::default()
            };
            let answer = service.list_postings(signed(request, &self.officer)?).await?.into_inner();
            all.extend(answer.postings.into_iter().map(|posting| {
                (posting.posting_id, posting.source.map(|source| source.resource_id).unwrap_or_default())
            }));
            page_token = answer.page.map(|page| page.next_page_token).unwrap_or_default();
            if page_token.is_empty() {
                return Ok(all);
            }
        }
    }
}

/// A request with a person's token.
///
/// # Errors
/// When the token is none.
pub fn signed<T>(message: T, token: &str) -> Result<Request<T>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    Ok(request)
}

fn internal(error: anyhow::Error) -> Status {
    Status::internal(error.to_string())
}
