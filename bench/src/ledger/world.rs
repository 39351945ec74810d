//! svc-policy on a database, and families that spend: real calls over mutual TLS through the real stack.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use caremesh_kernel::{Clock, Date, EventId, IdSource, SystemClock, SystemIds, Timestamp, Zone};
use caremesh_mesh::Lifecycle;
use caremesh_mesh::identity::Identity;
use caremesh_mesh::wire::ToWire;
use caremesh_proto::policy::v1 as api;
use caremesh_proto::policy::v1::benefit_service_client::BenefitServiceClient;
use caremesh_proto::policy::v1::eligibility_service_client::EligibilityServiceClient;
use caremesh_proto::policy::v1::person_service_client::PersonServiceClient;
use caremesh_proto::policy::v1::plan_service_client::PlanServiceClient;
use caremesh_proto::policy::v1::policy_service_client::PolicyServiceClient;
use caremesh_proto::r#type::v1::Money;
use caremesh_svc_policy::{Config, NAME, Parts, Service};
use caremesh_testkit::identity::TestPerson;
use caremesh_testkit::mesh::{CallerChannel, Server, TestMesh};
use secrecy::SecretString;

/// The sum insured of each family, kobo.
const SUM_INSURED: i64 = 300_000_000;
/// What one cycle spends, kobo.
const SPENT: i64 = 1_000;
/// The service that spends.
const SPENDER: &str = "svc-claims";

/// Certificates, tokens and key files, the same for every start of the service.
pub(crate) struct Surroundings {
    mesh: TestMesh,
    folder: tempfile::TempDir,
}

/// A service that runs until it is stopped.
pub(crate) struct World<'a> {
    around: &'a Surroundings,
    server: Server,
    life: Lifecycle,
    service: Service,
}

impl Surroundings {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        Ok(Self { mesh: TestMesh::start().await?, folder: tempfile::tempdir()? })
    }

    /// Scripts and other files of a run go here.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn config(&self, database_url: &str, clients: u32) -> Config {
        let folder = self.folder.path();
        Config {
            database_url: SecretString::from(database_url),
            keys_url: SecretString::from(format!("sqlite://{}", folder.join("keys.db").display())),
            key_file: folder.join("keys.json"),
            audit_key_file: folder.join("audit.key"),
            audit_checkpoint_file: folder.join("audit.log"),
            plans_folder: None,
            read_connections: clients,
            write_connections: clients,
            sweep_ms: 3_600_000,
            server: caremesh_mesh::config::ServerConfig::default(),
        }
    }

    /// Brings the database's schema up.
    pub(crate) async fn migrate(&self, database_url: &str) -> anyhow::Result<()> {
        Ok(caremesh_svc_policy::migrate(&self.config(database_url, 2)).await?)
    }

    /// Starts the service on a database, with one write connection for each client.
    pub(crate) async fn serve(&self, database_url: &str, clients: u32) -> anyhow::Result<World<'_>> {
        let parts = Parts {
            workload: self.mesh.authority.workload(NAME)?,
            authenticator: Arc::new(Identity::new(&self.mesh.issuer.config(), Arc::new(SystemClock))?),
            metrics: Arc::new(String::new),
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
        };
        let life = Lifecycle::new();
        let service = Service::start(self.config(database_url, clients), parts, &life).await?;
        let server = Server { name: NAME.to_owned(), address: address(&service) };
        Ok(World { around: self, server, life, service })
    }
}

fn address(service: &Service) -> SocketAddr {
    service.address()
}

impl World<'_> {
    /// Ends the service and its connections.
    pub(crate) async fn stop(self) {
        self.life.end_softly();
        self.service.ended().await;
    }

    fn person(&self, who: &TestPerson) -> anyhow::Result<CallerChannel> {
        self.around.mesh.person(&self.server, who)
    }

    /// A connection of its own for one spending client.
    pub(crate) fn spender(&self) -> anyhow::Result<CallerChannel> {
        self.around.mesh.service(&self.server, SPENDER)
    }

    /// A person with a policy that is paid and in force; gives the member's id.
    pub(crate) async fn family(&self) -> anyhow::Result<String> {
        let holder = TestPerson::new(&request_id(), &["member"]);
        let person = self.enter(&holder).await?;
        let quote = self.offer(&holder, &person).await?;
        let mut policies = PolicyServiceClient::new(self.person(&holder)?);
        let asked = api::PurchasePolicyRequest { request_id: request_id(), quote_id: quote.quote_id.clone() };
        let policy = policies.purchase_policy(asked).await?.into_inner().policy.context("a policy")?;
        let finance = TestPerson::new(&request_id(), &["finance_officer"]);
        PolicyServiceClient::new(self.person(&finance)?).record_premium_payment(payment(&quote)?).await?;
        Ok(policy.members.first().context("a member")?.member_id.clone())
    }

    async fn enter(&self, holder: &TestPerson) -> anyhow::Result<String> {
        let profile = api::PersonProfile {
            full_name: "Ada Obi".to_owned(),
            birth_date: Some(date(1990, 5, 17)),
            gender: api::AdministrativeGender::Female.into(),
            ..api::PersonProfile::default()
        };
        let asked =
            api::CreatePersonRequest { request_id: request_id(), profile: Some(profile), managed: false };
        let entered = PersonServiceClient::new(self.person(holder)?).create_person(asked).await?.into_inner();
        Ok(entered.person.context("a person")?.person_id)
    }

    async fn offer(&self, holder: &TestPerson, person: &str) -> anyhow::Result<api::Quote> {
        let asked = api::ListPlansRequest::default();
        let nobody = self.around.mesh.nobody(&self.server)?;
        let plans = PlanServiceClient::new(nobody).list_plans(asked).await?.into_inner().plans;
        let plan =
            plans.into_iter().find(|plan| plan.code == "NG-FAMILY-FLOATER").context("the demo plan")?;
        let member = api::ProposedMember {
            person_id: person.to_owned(),
            relation: api::Relation::Self_.into(),
            declared_conditions: Vec::new(),
        };
        let asked = api::CreateQuoteRequest {
            request_id: request_id(),
            plan_version_id: plan.current_version.context("a version")?.plan_version_id,
            sum_insured: naira(SUM_INSURED),
            policyholder_person_id: person.to_owned(),
            members: vec![member],
            start_date: Some(today()?.to_wire()),
            ..api::CreateQuoteRequest::default()
        };
        let quoted = PolicyServiceClient::new(self.person(holder)?).create_quote(asked).await?.into_inner();
        quoted.quote.context("a quote")
    }
}

/// One client: the price it asked once, and the versions that its last posting left.
pub(crate) struct Spender {
    client: BenefitServiceClient<CallerChannel>,
    event: api::InsuredEventRef,
    legs: Vec<api::Leg>,
    versions: Vec<api::ExpectedVersion>,
}

impl Spender {
    /// Prices one line of an accident's treatment, so that nothing waits.
    pub(crate) async fn new(channel: CallerChannel, member: &str) -> anyhow::Result<Self> {
        let mut client = BenefitServiceClient::new(channel);
        let event = api::InsuredEvent {
            event_id: EventId::from_uuid(SystemIds.uuid()).to_string(),
            kind: api::EventKind::Admission.into(),
            member_id: member.to_owned(),
            event_date: Some(today()?.to_wire()),
            accident: true,
            provider: Some(api::Provider { in_network: true, ..api::Provider::default() }),
            ..api::InsuredEvent::default()
        };
        let line = api::PriceLine {
            sequence: 1,
            benefit_code: "SURGERY".to_owned(),
            kind: api::LineKind::Associated.into(),
            billed: naira(SPENT),
            ..api::PriceLine::default()
        };
        let asked = api::PriceRequest {
            event: Some(event.clone()),
            lines: vec![line],
            ..api::PriceRequest::default()
        };
        let price = client.price(asked).await?.into_inner().price.context("a price")?;
        let event = api::InsuredEventRef {
            event_id: event.event_id,
            member_id: event.member_id,
            event_date: event.event_date,
            ..api::InsuredEventRef::default()
        };
        Ok(Self { client, event, legs: price.legs, versions: price.expected_versions })
    }

    /// A hold, then its capture: two postings.
    pub(crate) async fn cycle(&mut self) -> anyhow::Result<()> {
        let source =
            api::PostingSource { service: SPENDER.to_owned(), resource_id: request_id(), revision: 0 };
        let in_an_hour = Timestamp::from_micros(SystemClock.now().as_micros()).plus_ms(3_600_000);
        let hold = api::PostingInstruction {
            kind: api::PostingKind::Hold.into(),
            legs: self.legs.clone(),
            expire_time: Some(in_an_hour.to_wire()),
            ..api::PostingInstruction::default()
        };
        let held = self.post(source.clone(), hold, self.versions.clone()).await?;
        let posting = held.posting.context("a posting")?;
        let capture = api::PostingInstruction {
            kind: api::PostingKind::Capture.into(),
            legs: self.legs.clone(),
            hold_id: posting.instructions.last().context("an instruction")?.hold_id.clone(),
            r#final: true,
            ..api::PostingInstruction::default()
        };
        self.post(source, capture, Vec::new()).await?;
        Ok(())
    }

    async fn post(
        &mut self,
        source: api::PostingSource,
        instruction: api::PostingInstruction,
        expected_versions: Vec<api::ExpectedVersion>,
    ) -> anyhow::Result<api::PostResponse> {
        let request = api::PostRequest {
            request_id: request_id(),
            source: Some(source),
            event: Some(self.event.clone()),
            instructions: vec![instruction],
            expected_versions,
        };
        let answer = self.client.post(request).await?.into_inner();
        for balance in &answer.balances {
            if let Some(known) = self.versions.iter_mut().find(|known| known.account_id == balance.account_id)
            {
                known.version = balance.version;
            }
        }
        Ok(answer)
    }
}

/// Asks whether a member is covered for a treatment.
pub(crate) async fn check_eligibility(channel: &CallerChannel, member: &str) -> anyhow::Result<()> {
    let asked = api::CheckEligibilityRequest {
        member_id: member.to_owned(),
        service_date: Some(today()?.to_wire()),
        benefit_codes: vec!["SURGERY".to_owned()],
        accident: true,
        ..api::CheckEligibilityRequest::default()
    };
    let answer = EligibilityServiceClient::new(channel.clone()).check_eligibility(asked).await?.into_inner();
    anyhow::ensure!(answer.eligibility.is_some_and(|found| found.eligible), "the member is not eligible");
    Ok(())
}

fn payment(quote: &api::Quote) -> anyhow::Result<api::RecordPremiumPaymentRequest> {
    let premium = quote.premium.as_ref().context("a premium")?;
    Ok(api::RecordPremiumPaymentRequest {
        request_id: request_id(),
        quote_id: quote.quote_id.clone(),
        payment_reference: request_id(),
        amount: premium.instalments.first().context("an instalment")?.amount.clone(),
        receive_time: Some(SystemClock.now().to_wire()),
    })
}

fn request_id() -> String {
    SystemIds.uuid().to_string()
}

fn naira(minor_units: i64) -> Option<Money> {
    Some(Money { currency_code: "NGN".to_owned(), minor_units })
}

fn date(year: i32, month: i32, day: i32) -> caremesh_proto::r#type::v1::Date {
    caremesh_proto::r#type::v1::Date { year, month, day }
}

fn today() -> anyhow::Result<Date> {
    Ok("Africa/Lagos".parse::<Zone>()?.day_of(SystemClock.now()))
}
