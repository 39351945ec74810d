//! A running svc-policy with its stores, its mesh and the people of a test. What every test here begins with.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use caremesh_db::{Config as DbConfig, Db};
use caremesh_kernel::{Clock, Date, SystemClock, SystemIds, Timestamp, Uuid, Zone};
use caremesh_mesh::Lifecycle;
use caremesh_mesh::identity::Identity;
use caremesh_mesh::wire::ToWire as _;
use caremesh_proto::policy::v1::audit_service_client::AuditServiceClient;
use caremesh_proto::policy::v1::benefit_service_client::BenefitServiceClient;
use caremesh_proto::policy::v1::eligibility_service_client::EligibilityServiceClient;
use caremesh_proto::policy::v1::feed_service_client::FeedServiceClient;
use caremesh_proto::policy::v1::person_service_client::PersonServiceClient;
use caremesh_proto::policy::v1::plan_service_client::PlanServiceClient;
use caremesh_proto::policy::v1::policy_service_client::PolicyServiceClient;
use caremesh_proto::policy::v1::*;
use caremesh_proto::r#type::v1 as types;
use caremesh_svc_policy::migration::{KeyMigrator, Migrator};
use caremesh_svc_policy::{Config, NAME, Parts, Service};
use caremesh_testkit::database::{DatabaseKind, TestDatabase};
use caremesh_testkit::identity::TestPerson;
use caremesh_testkit::insured::{self, Happened, Insurer, Wanted};
use caremesh_testkit::mesh::{CallerChannel, Server, TestMesh};
use secrecy::SecretString;
use tonic::Status;
use tonic_types::StatusExt as _;

/// A clock that a test moves by hand; it starts at the machine's time, because tokens are checked against that.
#[derive(Debug)]
pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    pub(crate) fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).expect("a short time");
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(SystemClock.now().as_micros() + self.0.load(Ordering::SeqCst))
    }
}

/// A running service and everything around it.
pub(crate) struct World {
    pub(crate) mesh: TestMesh,
    pub(crate) server: Server,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) config: Config,
    life: Lifecycle,
    _service: Service,
    _database: TestDatabase,
    _keys: TestDatabase,
    _folder: tempfile::TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.life.end_hard();
    }
}

/// Prepares a world on a database; none when this machine has no PostgreSQL, which was said aloud.
pub(crate) async fn world(kind: DatabaseKind) -> Option<World> {
    let database = TestDatabase::migrated(kind, "svc_policy_it", async |url| {
        let db = Db::connect(DbConfig::new(url)).await?;
        db.migrate::<Migrator>().await?;
        db.drain(Duration::from_secs(5)).await;
        Ok(())
    })
    .await?;
    let keys = TestDatabase::migrated(kind, "svc_policy_keys_it", async |url| {
        let db = Db::connect(DbConfig::new(url)).await?;
        db.migrate::<KeyMigrator>().await?;
        db.drain(Duration::from_secs(5)).await;
        Ok(())
    })
    .await?;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = config(&database, &keys, folder.path());
    let mesh = TestMesh::start().await.expect("a mesh");
    let clock = Arc::new(HandClock(AtomicI64::new(0)));
    let life = Lifecycle::new();
    let service = start(&mesh, &config, &clock, &life).await;
    let server = Server { name: NAME.to_owned(), address: service.address() };
    Some(World {
        mesh,
        server,
        clock,
        config,
        life,
        _service: service,
        _database: database,
        _keys: keys,
        _folder: folder,
    })
}

fn config(database: &TestDatabase, keys: &TestDatabase, folder: &std::path::Path) -> Config {
    Config {
        database_url: SecretString::from(database.url()),
        keys_url: SecretString::from(keys.url()),
        key_file: folder.join("keys.json"),
        audit_key_file: folder.join("audit.key"),
        audit_checkpoint_file: folder.join("audit.log"),
        plans_folder: None,
        read_connections: 4,
        write_connections: 8,
        sweep_ms: 3_600_000,
        server: caremesh_mesh::config::ServerConfig::default(),
    }
}

async fn start(mesh: &TestMesh, config: &Config, clock: &Arc<HandClock>, life: &Lifecycle) -> Service {
    try_start(mesh, config, clock, life).await.expect("the service starts")
}

async fn try_start(
    mesh: &TestMesh,
    config: &Config,
    clock: &Arc<HandClock>,
    life: &Lifecycle,
) -> Result<Service, caremesh_svc_policy::Error> {
    let identity = Identity::new(&mesh.issuer.config(), Arc::new(SystemClock)).expect("an identity");
    let parts = Parts {
        workload: mesh.authority.workload(NAME).expect("a workload"),
        authenticator: Arc::new(identity),
        metrics: Arc::new(String::new),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        ids: Arc::new(SystemIds),
    };
    caremesh_svc_policy::start(config.clone(), parts, life).await
}

impl World {
    /// A second replica on the same stores.
    pub(crate) async fn replica(&self) -> Server {
        let service = start(&self.mesh, &self.config, &self.clock, &self.life).await;
        let address = service.address();
        drop(service);
        Server { name: NAME.to_owned(), address }
    }

    /// Starts the service once more on the same stores.
    pub(crate) async fn start_again(&self) -> Result<(), caremesh_svc_policy::Error> {
        try_start(&self.mesh, &self.config, &self.clock, &self.life).await.map(drop)
    }

    /// Starts a replica whose worker sweeps all the time, until the test ends.
    pub(crate) async fn start_sweeping(&self) {
        let config = Config { sweep_ms: 100, ..self.config.clone() };
        try_start(&self.mesh, &config, &self.clock, &self.life).await.map(drop).expect("a replica");
    }

    /// Changes the database behind the service's back.
    pub(crate) async fn execute(&self, sql: &'static str) {
        use sea_orm::ConnectionTrait as _;
        let db = Db::connect(self.config.stores().database).await.expect("the store");
        let context = caremesh_testkit::identity::context_of_service("svc-policy");
        let changed = db.write(&context, move |tx| {
            Box::pin(async move { Ok::<_, caremesh_db::Error>(tx.execute_unprepared(sql).await.map(drop)?) })
        });
        changed.await.expect("the change");
    }

    pub(crate) fn person(&self, person: &TestPerson) -> CallerChannel {
        self.mesh.person(&self.server, person).expect("a caller")
    }

    pub(crate) fn service(&self, name: &str) -> CallerChannel {
        self.mesh.service(&self.server, name).expect("a caller")
    }

    pub(crate) fn persons(&self, person: &TestPerson) -> PersonServiceClient<CallerChannel> {
        PersonServiceClient::new(self.person(person))
    }

    pub(crate) fn policies(&self, person: &TestPerson) -> PolicyServiceClient<CallerChannel> {
        PolicyServiceClient::new(self.person(person))
    }

    pub(crate) fn eligibility(&self, person: &TestPerson) -> EligibilityServiceClient<CallerChannel> {
        EligibilityServiceClient::new(self.person(person))
    }

    pub(crate) fn benefits(&self, person: &TestPerson) -> BenefitServiceClient<CallerChannel> {
        BenefitServiceClient::new(self.person(person))
    }

    pub(crate) fn claims(&self) -> BenefitServiceClient<CallerChannel> {
        BenefitServiceClient::new(self.service("svc-claims"))
    }

    pub(crate) fn plans(&self) -> PlanServiceClient<CallerChannel> {
        PlanServiceClient::new(self.mesh.nobody(&self.server).expect("a caller"))
    }

    pub(crate) fn feed(&self) -> FeedServiceClient<CallerChannel> {
        FeedServiceClient::new(self.service("svc-notify"))
    }

    pub(crate) fn audit(&self, person: &TestPerson) -> AuditServiceClient<CallerChannel> {
        AuditServiceClient::new(self.person(person))
    }

    /// Today where the plans of Nigeria count days.
    pub(crate) fn today(&self) -> Date {
        "Africa/Lagos".parse::<Zone>().expect("a zone").day_of(self.clock.now())
    }

    /// Every event of the feed so far, once the relay has placed them.
    pub(crate) async fn events(&self, at_least: usize) -> Vec<Event> {
        for _ in 0..200 {
            let asked = ListEventsRequest { limit: 1_000, ..ListEventsRequest::default() };
            let events = self.feed().list_events(asked).await.expect("the feed").into_inner().events;
            if events.len() >= at_least {
                return events;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the feed never had {at_least} events");
    }

    /// Replays the journal: nothing may differ.
    pub(crate) async fn verify(&self) {
        let report =
            caremesh_svc_policy::verify_ledger(&self.config, &|_, _| ()).await.expect("verification runs");
        assert!(report.is_clean(), "{report:?}");
    }
}

pub(crate) use caremesh_testkit::insured::{profile, request_id};

pub(crate) fn fresh_id(prefix: &str) -> String {
    use caremesh_kernel::IdSource as _;
    let id = caremesh_kernel::EventId::from_uuid(SystemIds.uuid()).to_string();
    id.replacen("evt", prefix, 1)
}

pub(crate) fn naira(minor: i64) -> Option<types::Money> {
    Some(insured::money("NGN", minor))
}

pub(crate) fn wire_date(date: Date) -> Option<types::Date> {
    Some(date.to_wire())
}

/// `ErrorInfo.reason` of a refusal.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// The reason of an answer that must be a refusal.
pub(crate) fn refused<T: std::fmt::Debug>(answer: Result<tonic::Response<T>, Status>) -> String {
    reason(&answer.expect_err("a refusal"))
}

/// Somebody who signs in and has no record yet.
pub(crate) fn somebody() -> TestPerson {
    TestPerson::new(&format!("sub-{}", request_id()), &["member"])
}

pub(crate) fn staff(role: &str) -> TestPerson {
    TestPerson::new(&format!("{role}-{}", request_id()), &[role])
}

impl World {
    pub(crate) fn insurer(&self) -> Insurer<'_> {
        Insurer { mesh: &self.mesh, server: &self.server }
    }

    /// Enters a person and answers the id.
    pub(crate) async fn enter(&self, who: &TestPerson, birth: (i32, i32, i32), managed: bool) -> String {
        self.insurer().enter(who, birth, managed).await.expect("a person")
    }

    pub(crate) async fn plan_version(&self, code: &str) -> String {
        self.insurer().plan_version(code).await.expect("the plan")
    }
}

/// A family whose policy is bought and paid, and in force from today.
#[derive(Clone, Debug)]
pub(crate) struct Family {
    pub(crate) holder: TestPerson,
    pub(crate) policy: Policy,
}

impl Family {
    pub(crate) fn member(&self, n: usize) -> String {
        self.policy.members[n].member_id.clone()
    }
}

/// The sum insured that these families buy, in kobo.
pub(crate) const SUM_INSURED: i64 = 300_000_000;

/// A spouse and three children.
const RELATIVES: [((i32, i32, i32), Relation); 4] = [
    ((1991, 2, 3), Relation::Spouse),
    ((2015, 6, 1), Relation::Child),
    ((2017, 6, 1), Relation::Child),
    ((2020, 6, 1), Relation::Child),
];

impl World {
    fn floater(&self) -> Wanted<'static> {
        Wanted {
            plan: "NG-FAMILY-FLOATER",
            sum_insured: insured::money("NGN", SUM_INSURED),
            starts: self.today(),
            holder: (1990, 5, 17),
            others: &RELATIVES,
        }
    }

    /// The request for an offer to a holder, a spouse and three children.
    pub(crate) async fn offer_request(&self, holder: &TestPerson) -> CreateQuoteRequest {
        self.insurer().offer_request(holder, &self.floater()).await.expect("a request")
    }

    pub(crate) async fn offer(&self, holder: &TestPerson) -> Quote {
        self.insurer().offer(holder, &self.floater()).await.expect("a quote")
    }

    pub(crate) fn payment(&self, quote: &Quote) -> RecordPremiumPaymentRequest {
        insured::payment(quote, self.clock.now()).expect("a premium")
    }

    pub(crate) async fn family(&self) -> Family {
        self.insured(&self.floater()).await
    }

    /// A household of another plan.
    pub(crate) async fn insured(&self, wanted: &Wanted<'_>) -> Family {
        let holder = somebody();
        let policy = self.insurer().buy(&holder, wanted).await.expect("a policy in force");
        Family { holder, policy }
    }
}

/// An event of a member and its price request: one line of an accident's admission, so that nothing waits.
pub(crate) fn admission(world: &World, member: &str, billed: i64) -> PriceRequest {
    event(world, member, EventKind::Admission, "SURGERY", LineKind::Associated, billed)
}

pub(crate) fn event(
    world: &World,
    member: &str,
    kind: EventKind,
    benefit: &str,
    line: LineKind,
    billed: i64,
) -> PriceRequest {
    let billed = insured::money("NGN", billed);
    insured::price_request(Happened { member, day: world.today(), kind, benefit, line, billed })
}

/// A posting of a price for a new source.
pub(crate) fn posting(request: &PriceRequest, price: &Price, kind: PostingKind) -> PostRequest {
    let event = request.event.clone().expect("an event");
    let instruction = PostingInstruction {
        kind: kind.into(),
        legs: price.legs.clone(),
        expire_time: None,
        ..PostingInstruction::default()
    };
    let mut instructions = vec![instruction];
    if !price.grants.is_empty() {
        let restore = PostingInstruction {
            kind: PostingKind::Restore.into(),
            grants: price.grants.clone(),
            ..PostingInstruction::default()
        };
        instructions.insert(0, restore);
    }
    PostRequest {
        request_id: request_id(),
        source: Some(PostingSource {
            service: "svc-claims".to_owned(),
            resource_id: fresh_id("clm"),
            revision: 0,
        }),
        event: Some(insured::event_ref(event)),
        instructions,
        expected_versions: price.expected_versions.clone(),
    }
}

/// The same as a hold that lasts so long.
pub(crate) fn hold(world: &World, request: &PriceRequest, price: &Price, lasts: Duration) -> PostRequest {
    let mut post = posting(request, price, PostingKind::Hold);
    let micros = i64::try_from(lasts.as_micros()).expect("a short time");
    let expires = Timestamp::from_micros(world.clock.now().as_micros() + micros);
    let last = post.instructions.last_mut().expect("a hold");
    last.expire_time = Some(expires.to_wire());
    post
}

impl World {
    pub(crate) async fn price(&self, request: &PriceRequest) -> Price {
        let answer = self.claims().price(request.clone()).await.expect("a price").into_inner();
        answer.price.expect("a price")
    }

    pub(crate) async fn post(&self, request: PostRequest) -> PostResponse {
        self.claims().post(request).await.expect("a posting").into_inner()
    }

    /// What is used and reserved of an account of a family.
    pub(crate) async fn balance(&self, family: &Family, code: &str) -> (i64, i64) {
        let asked = ListBalancesRequest {
            policy_id: family.policy.policy_id.clone(),
            ..ListBalancesRequest::default()
        };
        let balances = self.claims().list_balances(asked).await.expect("balances").into_inner().balances;
        let named = balances.iter().filter(|b| b.key.as_ref().is_some_and(|key| key.code == code));
        let layers: Vec<&LayerBalance> = named.flat_map(|balance| &balance.layers).collect();
        (layers.iter().map(|layer| layer.used).sum(), layers.iter().map(|layer| layer.reserved).sum())
    }
}

/// Keeps a nil id at hand for what nobody has.
pub(crate) fn nobody_id(prefix: &str) -> String {
    let id = caremesh_kernel::EventId::from_uuid(Uuid::from_u128(1)).to_string();
    id.replacen("evt", prefix, 1)
}
