//! Loads the demo through the public RPCs, as the people themselves would do it. Every request id is
//! derived from what it is for, so that a load that broke off goes on where it was.
//! Must not know a service from inside.

use anyhow::{Context, Result};
use caremesh_kernel::{Clock, Timestamp, Zone};
use caremesh_proto::policy::v1::plan_service_client::PlanServiceClient;
use caremesh_proto::policy::v1::policy_service_client::PolicyServiceClient;
use caremesh_proto::policy::v1::{
    AdministrativeGender, CreatePersonRequest, CreateQuoteRequest, ListPlansRequest, PersonProfile,
    PlanVersion, ProposedMember, PurchasePolicyRequest, Quote, RecordPremiumPaymentRequest, Relation,
    person_service_client::PersonServiceClient,
};
use caremesh_proto::r#type::v1::{ContactPoint, ContactPointSystem, Date};
use tonic::transport::Channel;
use uuid::Uuid;

use super::pharmacy::day;
use super::{DemoPerson, PersonIds, Profile, Purchase, find, people, purchases};
use crate::terminal;

/// Signs tokens of demo people.
pub trait Signer: Send + Sync {
    /// An access token.
    ///
    /// # Errors
    /// When signing fails.
    fn token(&self, person: &DemoPerson) -> Result<String>;

    /// `iss` of those tokens.
    fn issuer(&self) -> String;
}

/// Who books the premiums.
const FINANCE: &str = "ifeoma";

/// A load under way.
pub struct Loader<'a> {
    /// A channel to the gateway.
    pub gateway: Channel,
    /// Signs in whoever acts.
    pub signer: &'a dyn Signer,
    /// The present time: cover starts today.
    pub clock: &'a dyn Clock,
}

impl Loader<'_> {
    /// Enters every family and buys what it buys. Gives the ids that the people got.
    ///
    /// # Errors
    /// With the first call that is refused.
    pub async fn load(&self, known: PersonIds) -> Result<PersonIds> {
        let everybody = people(&known)?;
        let purchases = purchases()?;
        let members = everybody.iter().filter(|person| person.profile.is_some()).count();
        let bar = terminal::progress((members + purchases.len()) as u64, "demo data");
        let mut ids = known;
        for purchase in &purchases {
            for person in everybody.iter().filter(|person| is_of(person, &purchase.family)) {
                let id = self.enter(person, &purchase.family, &ids).await?;
                ids.learn(&person.handle, id);
                bar.inc(1);
            }
            self.buy(purchase, &ids).await.with_context(|| format!("buying {}", purchase.plan))?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(ids)
    }

    /// The holder enters oneself; then, as manager, the others of the family.
    async fn enter(&self, person: &DemoPerson, family: &str, ids: &PersonIds) -> Result<String> {
        let profile = person.profile.as_ref().context("people without a profile are not entered")?;
        let managed = profile.relation != "SELF";
        let request = CreatePersonRequest {
            request_id: request_id(&["person", &person.handle]),
            profile: Some(wire_profile(person, profile)?),
            managed,
        };
        let actor = if managed { self.holder(family, ids)? } else { person.clone() };
        let mut service = PersonServiceClient::new(self.gateway.clone());
        let answer = service.create_person(self.signed(request, &actor)?).await;
        let answer = answer.with_context(|| format!("entering the demo person {}", person.handle))?;
        Ok(answer.into_inner().person.context("an answer without a person")?.person_id)
    }

    async fn buy(&self, purchase: &Purchase, ids: &PersonIds) -> Result<()> {
        let version = self.version_on_sale(purchase).await?;
        let today = today(&version, self.clock.now())?;
        let of_day = |step| request_id(&[step, &purchase.family, &format!("{today:?}")]);
        let holder = self.holder(&purchase.family, ids)?;
        let quote = self.quote(purchase, &version, today, ids, of_day("quote")).await?;
        let mut service = PolicyServiceClient::new(self.gateway.clone());
        let request =
            PurchasePolicyRequest { request_id: of_day("purchase"), quote_id: quote.quote_id.clone() };
        service.purchase_policy(self.signed(request, &holder)?).await?;
        let first = quote.premium.and_then(|premium| premium.instalments.into_iter().next());
        let payment = RecordPremiumPaymentRequest {
            request_id: of_day("payment"),
            quote_id: quote.quote_id,
            payment_reference: format!("DEMO-{}", of_day("payment")),
            amount: first.context("a premium without an instalment")?.amount,
            receive_time: quote.create_time,
        };
        service.record_premium_payment(self.signed(payment, &find(FINANCE, ids)?)?).await?;
        Ok(())
    }

    async fn version_on_sale(&self, purchase: &Purchase) -> Result<PlanVersion> {
        let request = ListPlansRequest { jurisdiction_code: purchase.jurisdiction.clone(), page: None };
        let listed = PlanServiceClient::new(self.gateway.clone()).list_plans(request).await?;
        let plan = listed.into_inner().plans.into_iter().find(|plan| plan.code == purchase.plan);
        plan.and_then(|plan| plan.current_version).context("the plan is not on sale")
    }

    async fn quote(
        &self,
        purchase: &Purchase,
        version: &PlanVersion,
        today: Date,
        ids: &PersonIds,
        request_id: String,
    ) -> Result<Quote> {
        let holder = self.holder(&purchase.family, ids)?;
        let family = people(ids)?;
        let members = family.iter().filter(|person| is_of(person, &purchase.family));
        let option = version.sum_insured_options.get(purchase.sum_insured);
        let request = CreateQuoteRequest {
            request_id,
            plan_version_id: version.plan_version_id.clone(),
            sum_insured: Some(option.context("the plan has no such sum insured")?.clone()),
            policyholder_person_id: holder.person_id.clone().unwrap_or_default(),
            members: members.map(proposed).collect::<Result<_>>()?,
            start_date: Some(today),
            instalment_count: 0,
            validate_only: false,
            prior_cover: None,
        };
        let mut service = PolicyServiceClient::new(self.gateway.clone());
        let answer = service.create_quote(self.signed(request, &holder)?).await?;
        answer.into_inner().quote.context("an answer without a quote")
    }

    fn holder(&self, family: &str, ids: &PersonIds) -> Result<DemoPerson> {
        let is_holder = |person: &DemoPerson| {
            person.profile.as_ref().is_some_and(|it| it.family == family && it.relation == "SELF")
        };
        people(ids)?.into_iter().find(is_holder).context("a family without a holder")
    }

    pub(super) fn signed<T>(&self, message: T, person: &DemoPerson) -> Result<tonic::Request<T>> {
        let mut request = tonic::Request::new(message);
        let bearer = format!("Bearer {}", self.signer.token(person)?);
        request.metadata_mut().insert("authorization", bearer.parse()?);
        Ok(request)
    }
}

fn is_of(person: &DemoPerson, family: &str) -> bool {
    person.profile.as_ref().is_some_and(|profile| profile.family == family)
}

/// The same for the same parts, in every start of every version.
pub(super) fn request_id(parts: &[&str]) -> String {
    let space = Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"demo.caremesh");
    Uuid::new_v5(&space, parts.join("/").as_bytes()).to_string()
}

fn wire_profile(person: &DemoPerson, profile: &Profile) -> Result<PersonProfile> {
    let born = day(&profile.born)?;
    let gender = AdministrativeGender::from_str_name(&format!("ADMINISTRATIVE_GENDER_{}", profile.gender));
    let phone = profile
        .phone
        .iter()
        .map(|number| ContactPoint { system: ContactPointSystem::Phone.into(), value: number.clone() });
    Ok(PersonProfile {
        full_name: person.name.clone(),
        birth_date: Some(born),
        gender: gender.context("an unknown gender")?.into(),
        contact_points: phone.collect(),
        ..PersonProfile::default()
    })
}

fn proposed(person: &DemoPerson) -> Result<ProposedMember> {
    let profile = person.profile.as_ref().context("a member without a profile")?;
    let relation = Relation::from_str_name(&format!("RELATION_{}", profile.relation));
    Ok(ProposedMember {
        person_id: person.person_id.clone().context("a member who was not entered")?,
        relation: relation.context("an unknown relation")?.into(),
        declared_conditions: Vec::new(),
    })
}

fn today(version: &PlanVersion, now: Timestamp) -> Result<Date> {
    let zone: Zone = version.time_zone.parse()?;
    let day = zone.day_of(now);
    Ok(Date { year: day.year(), month: day.month().try_into()?, day: day.day().try_into()? })
}
