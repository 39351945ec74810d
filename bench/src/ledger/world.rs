//! svc-policy on a database, and families that spend: real calls over mutual TLS through the real stack.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use caremesh_kernel::{Clock, Date, SystemClock, SystemIds, Timestamp, Zone};
use caremesh_mesh::Lifecycle;
use caremesh_mesh::config::ServerConfig;
use caremesh_mesh::identity::Identity;
use caremesh_mesh::wire::ToWire;
use caremesh_proto::policy::v1 as api;
use caremesh_proto::policy::v1::benefit_service_client::BenefitServiceClient;
use caremesh_proto::policy::v1::eligibility_service_client::EligibilityServiceClient;
use caremesh_svc_policy::{Config, NAME, Parts, Service};
use caremesh_testkit::identity::TestPerson;
use caremesh_testkit::insured::{self, Happened, Insurer, Wanted, request_id};
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
    pub(crate) mesh: TestMesh,
    folder: tempfile::TempDir,
}

/// A service that runs until it is stopped.
pub(crate) struct World<'a> {
    around: &'a Surroundings,
    pub(crate) server: Server,
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
            server: server(clients),
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
        let service = caremesh_svc_policy::start(self.config(database_url, clients), parts, &life).await?;
        let server = Server { name: NAME.to_owned(), address: address(&service) };
        Ok(World { around: self, server, life, service })
    }
}

/// Every client has a connection of its own, so that all of them may be at work: what is measured is the ledger.
fn server(clients: u32) -> ServerConfig {
    let mut server = ServerConfig::default();
    server.admission.min_calls = usize::try_from(clients).unwrap_or(usize::MAX);
    server
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

    /// A connection of its own for one spending client.
    pub(crate) fn spender(&self) -> anyhow::Result<CallerChannel> {
        self.around.mesh.service(&self.server, SPENDER)
    }

    /// A person with a policy that is paid and in force; gives the member's id.
    pub(crate) async fn family(&self) -> anyhow::Result<String> {
        let (_, member) = self.insured().await?;
        Ok(member.member_id)
    }

    /// A person with a policy that is paid and in force, and that person as its member.
    pub(crate) async fn insured(&self) -> anyhow::Result<(TestPerson, api::Member)> {
        let holder = TestPerson::new(&request_id(), &["member"]);
        let insurer = Insurer { mesh: &self.around.mesh, server: &self.server };
        let wanted = Wanted {
            plan: "NG-FAMILY-FLOATER",
            sum_insured: insured::money("NGN", SUM_INSURED),
            starts: today()?,
            holder: (1990, 5, 17),
            others: &[],
        };
        let policy = insurer.buy(&holder, &wanted).await?;
        let member = policy.members.into_iter().next().context("a member")?;
        Ok((holder.with_record(member.person_id.parse()?), member))
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
        let asked = insured::price_request(Happened {
            member,
            day: today()?,
            kind: api::EventKind::Admission,
            benefit: "SURGERY",
            line: api::LineKind::Associated,
            billed: insured::money("NGN", SPENT),
        });
        let event = insured::event_ref(asked.event.clone().context("an event")?);
        let price = client.price(asked).await?.into_inner().price.context("a price")?;
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

fn today() -> anyhow::Result<Date> {
    Ok("Africa/Lagos".parse::<Zone>()?.day_of(SystemClock.now()))
}
