//! Insured people, for tests and measurements alike: entered, offered a plan, bought, paid; and what happens to them. All
//! of it by calls of the contract, as clients make them. Must not know the service's own crate.

use anyhow::{Context as _, Result};
use caremesh_kernel::{Clock as _, Date, EventId, IdSource as _, SystemClock, SystemIds, Timestamp};
use caremesh_mesh::wire::ToWire as _;
use caremesh_proto::policy::v1::person_service_client::PersonServiceClient;
use caremesh_proto::policy::v1::plan_service_client::PlanServiceClient;
use caremesh_proto::policy::v1::policy_service_client::PolicyServiceClient;
use caremesh_proto::policy::v1::{
    AdministrativeGender, CreatePersonRequest, CreateQuoteRequest, EventKind, GetPolicyRequest, InsuredEvent,
    InsuredEventRef, LineKind, ListPlansRequest, PersonProfile, Policy, PriceLine, PriceRequest,
    ProposedMember, Provider, PurchasePolicyRequest, Quote, RecordPremiumPaymentRequest, Relation,
};
use caremesh_proto::r#type::v1 as types;

use crate::identity::TestPerson;
use crate::mesh::{CallerChannel, Server, TestMesh};

/// A fresh idempotency key.
#[must_use]
pub fn request_id() -> String {
    SystemIds.uuid().to_string()
}

/// A fresh id of an insured event.
#[must_use]
pub fn event_id() -> String {
    EventId::from_uuid(SystemIds.uuid()).to_string()
}

/// An amount in minor units.
#[must_use]
pub fn money(currency_code: &str, minor_units: i64) -> types::Money {
    types::Money { currency_code: currency_code.to_owned(), minor_units }
}

/// Year, month, day.
pub type Birth = (i32, i32, i32);

/// What a household buys.
#[derive(Debug, Clone)]
pub struct Wanted<'w> {
    /// Code of the plan; its current version is bought.
    pub plan: &'w str,
    /// One of the sums that the plan sells.
    pub sum_insured: types::Money,
    /// First day of cover.
    pub starts: Date,
    /// Day of birth of the holder, who is insured too.
    pub holder: Birth,
    /// The others.
    pub others: &'w [(Birth, Relation)],
}

/// A running svc-policy and the mesh around it, in which people are insured.
#[derive(Debug, Clone, Copy)]
pub struct Insurer<'m> {
    /// The mesh.
    pub mesh: &'m TestMesh,
    /// The service.
    pub server: &'m Server,
}

impl Insurer<'_> {
    fn person(&self, who: &TestPerson) -> Result<CallerChannel> {
        self.mesh.person(self.server, who)
    }

    /// Enters a person and gives the id: the caller's own record, or one that the caller manages.
    ///
    /// # Errors
    /// With the refusal.
    pub async fn enter(&self, who: &TestPerson, birth: Birth, managed: bool) -> Result<String> {
        let profile = Some(profile("Ada Obi", birth));
        let asked = CreatePersonRequest { request_id: request_id(), profile, managed };
        let entered = PersonServiceClient::new(self.person(who)?).create_person(asked).await?.into_inner();
        Ok(entered.person.context("a person")?.person_id)
    }

    /// Id of a plan's current version.
    ///
    /// # Errors
    /// When the plan is not on sale.
    pub async fn plan_version(&self, code: &str) -> Result<String> {
        let mut plans = PlanServiceClient::new(self.mesh.nobody(self.server)?);
        let listed = plans.list_plans(ListPlansRequest::default()).await?.into_inner().plans;
        let plan = listed.into_iter().find(|plan| plan.code == code).context("the plan")?;
        Ok(plan.current_version.context("a version")?.plan_version_id)
    }

    /// Enters the household and asks for nothing yet: the request for an offer.
    ///
    /// # Errors
    /// With the refusal.
    pub async fn offer_request(
        &self,
        holder: &TestPerson,
        wanted: &Wanted<'_>,
    ) -> Result<CreateQuoteRequest> {
        let own = self.enter(holder, wanted.holder, false).await?;
        let mut members = vec![proposed(own.clone(), Relation::Self_)];
        for (birth, relation) in wanted.others {
            members.push(proposed(self.enter(holder, *birth, true).await?, *relation));
        }
        Ok(CreateQuoteRequest {
            request_id: request_id(),
            plan_version_id: self.plan_version(wanted.plan).await?,
            sum_insured: Some(wanted.sum_insured.clone()),
            policyholder_person_id: own,
            members,
            start_date: Some(wanted.starts.to_wire()),
            ..CreateQuoteRequest::default()
        })
    }

    /// An offer to the household.
    ///
    /// # Errors
    /// With the refusal.
    pub async fn offer(&self, holder: &TestPerson, wanted: &Wanted<'_>) -> Result<Quote> {
        let asked = self.offer_request(holder, wanted).await?;
        let answer = PolicyServiceClient::new(self.person(holder)?).create_quote(asked).await?;
        answer.into_inner().quote.context("a quote")
    }

    /// A policy that is bought, paid and in force from its first day.
    ///
    /// # Errors
    /// With the refusal.
    pub async fn buy(&self, holder: &TestPerson, wanted: &Wanted<'_>) -> Result<Policy> {
        let quote = self.offer(holder, wanted).await?;
        let mut policies = PolicyServiceClient::new(self.person(holder)?);
        let asked = PurchasePolicyRequest { request_id: request_id(), quote_id: quote.quote_id.clone() };
        let bought = policies.purchase_policy(asked).await?.into_inner().policy.context("a policy")?;
        let finance = TestPerson::new(&format!("finance-{}", request_id()), &["finance_officer"]);
        let paid = payment(&quote, SystemClock.now())?;
        PolicyServiceClient::new(self.person(&finance)?).record_premium_payment(paid).await?;
        let asked = GetPolicyRequest { policy_id: bought.policy_id, as_of: None };
        policies.get_policy(asked).await?.into_inner().policy.context("the policy")
    }
}

fn proposed(person_id: String, relation: Relation) -> ProposedMember {
    ProposedMember { person_id, relation: relation.into(), declared_conditions: Vec::new() }
}

/// What a person tells of themselves.
#[must_use]
pub fn profile(name: &str, (year, month, day): Birth) -> PersonProfile {
    PersonProfile {
        full_name: name.to_owned(),
        birth_date: Some(types::Date { year, month, day }),
        gender: AdministrativeGender::Female.into(),
        contact_points: vec![types::ContactPoint {
            system: types::ContactPointSystem::Phone.into(),
            value: "+2348031234567".to_owned(),
        }],
        address: None,
        language_tag: "en-NG".to_owned(),
    }
}

/// The first instalment of an offer, received at an instant.
///
/// # Errors
/// When the offer has no premium.
pub fn payment(quote: &Quote, received: Timestamp) -> Result<RecordPremiumPaymentRequest> {
    let premium = quote.premium.as_ref().context("a premium")?;
    Ok(RecordPremiumPaymentRequest {
        request_id: request_id(),
        quote_id: quote.quote_id.clone(),
        payment_reference: format!("psp-{}", request_id()),
        amount: premium.instalments.first().context("an instalment")?.amount.clone(),
        receive_time: Some(received.to_wire()),
    })
}

/// What happened to a member and what one line of it costs.
#[derive(Debug, Clone)]
pub struct Happened<'h> {
    /// To whom.
    pub member: &'h str,
    /// On which day.
    pub day: Date,
    /// What.
    pub kind: EventKind,
    /// Benefit of the line.
    pub benefit: &'h str,
    /// Kind of the line.
    pub line: LineKind,
    /// What is billed.
    pub billed: types::Money,
}

/// Asks for the price of a new event: an accident within the network, so that nothing waits.
#[must_use]
pub fn price_request(happened: Happened<'_>) -> PriceRequest {
    let event = InsuredEvent {
        event_id: event_id(),
        kind: happened.kind.into(),
        member_id: happened.member.to_owned(),
        event_date: Some(happened.day.to_wire()),
        accident: true,
        provider: Some(Provider { in_network: true, ..Provider::default() }),
        ..InsuredEvent::default()
    };
    let line = PriceLine {
        sequence: 1,
        benefit_code: happened.benefit.to_owned(),
        kind: happened.line.into(),
        billed: Some(happened.billed),
        ..PriceLine::default()
    };
    PriceRequest { event: Some(event), lines: vec![line], ..PriceRequest::default() }
}

/// The part of an event that the ledger keeps.
#[must_use]
pub fn event_ref(event: InsuredEvent) -> InsuredEventRef {
    InsuredEventRef {
        event_id: event.event_id,
        member_id: event.member_id,
        event_date: event.event_date,
        cause_id: event.cause_id,
        episode_id: event.episode_id,
    }
}
