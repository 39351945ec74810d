//! A running svc-pharmacy beside a running svc-policy, with their stores, one mesh and the people of a test. What every
//! test here begins with.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use caremesh_db::{Config as DbConfig, Db};
use caremesh_kernel::{Clock, Date, SystemClock, SystemIds, Timestamp, Zone};
use caremesh_mesh::Lifecycle;
use caremesh_mesh::client::ClientConfig;
use caremesh_mesh::config::ServerConfig;
use caremesh_mesh::identity::Identity;
use caremesh_mesh::port::payment::LocalPayments;
use caremesh_proto::pharmacy::v1::audit_service_client::AuditServiceClient;
use caremesh_proto::pharmacy::v1::feed_service_client::FeedServiceClient;
use caremesh_proto::pharmacy::v1::{Event, ListEventsRequest};
use caremesh_proto::r#type::v1 as types;
use caremesh_svc_pharmacy::migration::{KeyMigrator, Migrator};
use caremesh_svc_pharmacy::{Config, NAME, Parts, PaymentConfig, SearchConfig, Service};
use caremesh_svc_policy as policy;
use caremesh_testkit::database::{DatabaseKind, TestDatabase};
use caremesh_testkit::fault::FaultProxy;
use caremesh_testkit::identity::TestPerson;
use caremesh_testkit::mesh::{CallerChannel, Server, TestMesh};
use sea_orm_migration::MigratorTrait;
use secrecy::SecretString;
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::rehearsals::Stage;

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

/// Both services, running, and everything around them.
pub(crate) struct World {
    pub(crate) mesh: TestMesh,
    /// svc-pharmacy.
    pub(crate) server: Server,
    /// svc-policy.
    pub(crate) policy: Server,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) config: Config,
    pub(crate) policy_config: policy::Config,
    /// Between svc-pharmacy and svc-policy: it does what networks do, on demand.
    pub(crate) link: FaultProxy,
    /// Where members pay: it fails on demand.
    pub(crate) bank: LocalPayments,
    /// Lets steps of processes fail, on demand.
    pub(crate) stage: Stage,
    life: Lifecycle,
    _services: (Service, Service),
    _databases: [TestDatabase; 4],
    _folder: tempfile::TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.life.end_hard();
    }
}

/// Prepares a world on a database; none when this machine has no PostgreSQL, which was said aloud.
pub(crate) async fn world(kind: DatabaseKind) -> Option<World> {
    let databases = [
        migrated::<Migrator>(kind, "svc_pharmacy_it").await?,
        migrated::<KeyMigrator>(kind, "svc_pharmacy_keys_it").await?,
        migrated::<policy::migration::Migrator>(kind, "svc_pharmacy_policy_it").await?,
        migrated::<policy::migration::KeyMigrator>(kind, "svc_pharmacy_policy_keys_it").await?,
    ];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mesh = TestMesh::start().await.expect("a mesh");
    let clock = Arc::new(HandClock(AtomicI64::new(0)));
    let life = Lifecycle::new();

    let policy_config = policy_config(&databases[2], &databases[3], folder.path());
    let policy_parts = Parts {
        workload: mesh.authority.workload(policy::NAME).expect("a workload"),
        authenticator: Arc::new(
            Identity::new(&mesh.issuer.config(), Arc::new(SystemClock)).expect("identity"),
        ),
        metrics: Arc::new(String::new),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        ids: Arc::new(SystemIds),
    };
    let beside = policy::start(policy_config.clone(), policy_parts, &life).await.expect("svc-policy");
    let link = FaultProxy::before(beside.address()).await.expect("a link");
    let config = config(&databases[0], &databases[1], folder.path(), &link);
    let bank = LocalPayments::default();
    let stage = Stage::default();
    let service = start(&mesh, &config, &clock, (&bank, &stage), &life).await;
    Some(World {
        server: Server { name: NAME.to_owned(), address: service.address() },
        policy: Server { name: policy::NAME.to_owned(), address: beside.address() },
        mesh,
        clock,
        config,
        policy_config,
        link,
        bank,
        stage,
        life,
        _services: (service, beside),
        _databases: databases,
        _folder: folder,
    })
}

async fn migrated<M: MigratorTrait>(kind: DatabaseKind, name: &'static str) -> Option<TestDatabase> {
    TestDatabase::migrated(kind, name, async |url| {
        let db = Db::connect(DbConfig::new(url)).await?;
        db.migrate::<M>().await?;
        db.drain(Duration::from_secs(5)).await;
        Ok(())
    })
    .await
}

fn policy_config(database: &TestDatabase, keys: &TestDatabase, folder: &Path) -> policy::Config {
    policy::Config {
        database_url: SecretString::from(database.url()),
        keys_url: SecretString::from(keys.url()),
        key_file: folder.join("policy-keys.json"),
        audit_key_file: folder.join("policy-audit.key"),
        audit_checkpoint_file: folder.join("policy-audit.log"),
        plans_folder: None,
        read_connections: 4,
        write_connections: 8,
        sweep_ms: 3_600_000,
        server: ServerConfig::default(),
    }
}

fn config(database: &TestDatabase, keys: &TestDatabase, folder: &Path, link: &FaultProxy) -> Config {
    Config {
        database_url: SecretString::from(database.url()),
        keys_url: SecretString::from(keys.url()),
        key_file: folder.join("keys.json"),
        audit_key_file: folder.join("audit.key"),
        audit_checkpoint_file: folder.join("audit.log"),
        documents_folder: Some(folder.join("documents")),
        policy_address: format!("https://{}", link.address()),
        client: ClientConfig::default(),
        payments: PaymentConfig::default(),
        search: SearchConfig::Embedded { folder: folder.join("search") },
        read_connections: 4,
        write_connections: 8,
        sweep_ms: 3_600_000,
        server: ServerConfig::default(),
    }
}

async fn start(
    mesh: &TestMesh,
    config: &Config,
    clock: &Arc<HandClock>,
    (bank, stage): (&LocalPayments, &Stage),
    life: &Lifecycle,
) -> Service {
    let identity = Identity::new(&mesh.issuer.config(), Arc::new(SystemClock)).expect("an identity");
    let parts = Parts {
        workload: mesh.authority.workload(NAME).expect("a workload"),
        authenticator: Arc::new(identity),
        metrics: Arc::new(String::new),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        ids: Arc::new(SystemIds),
    };
    let (bank, wrap) = (Arc::new(bank.clone()), |flow| stage.wrap(flow));
    caremesh_svc_pharmacy::start_rehearsed(config.clone(), parts, bank, wrap, life)
        .await
        .expect("the service starts")
}

impl World {
    /// Changes the database behind the service's back; what the database refuses is the answer.
    pub(crate) async fn run(&self, sql: String) -> Result<(), caremesh_db::Error> {
        use sea_orm::ConnectionTrait as _;
        let db = Db::connect(self.config.stores().database).await.expect("the store");
        let context = caremesh_testkit::identity::context_of_service(NAME);
        let changed = db.write(&context, move |tx| {
            let sql = sql.clone();
            Box::pin(async move { Ok::<_, caremesh_db::Error>(tx.execute_unprepared(&sql).await.map(drop)?) })
        });
        changed.await
    }

    /// The bytes of a column as they are stored.
    pub(crate) async fn bytes(&self, sql: &str) -> Vec<Vec<u8>> {
        use sea_orm::{ConnectionTrait as _, Statement};
        let db = Db::connect(self.config.stores().database).await.expect("the store");
        let reader = db.read(&caremesh_testkit::identity::context_of_service(NAME));
        let statement = Statement::from_string(reader.get_database_backend(), sql);
        let rows = reader.query_all_raw(statement).await.expect("rows");
        rows.iter().map(|row| row.try_get_by_index(0).expect("bytes")).collect()
    }

    /// Lots, holds and the journal of stock agree.
    pub(crate) async fn stock_adds_up(&self) {
        let differences = caremesh_svc_pharmacy::verify_stock(&self.config).await.expect("verification runs");
        assert_eq!(differences, 0);
    }

    /// A second replica on the same stores that sweeps at once.
    pub(crate) async fn replica_that_sweeps(&self) {
        let config = Config { sweep_ms: 100, ..self.config.clone() };
        drop(start(&self.mesh, &config, &self.clock, (&self.bank, &self.stage), &self.life).await);
    }

    /// Changes the database behind the service's back.
    pub(crate) async fn execute(&self, sql: &'static str) {
        use sea_orm::ConnectionTrait as _;
        let db = Db::connect(self.config.stores().database).await.expect("the store");
        let context = caremesh_testkit::identity::context_of_service(NAME);
        let changed = db.write(&context, move |tx| {
            Box::pin(async move { Ok::<_, caremesh_db::Error>(tx.execute_unprepared(sql).await.map(drop)?) })
        });
        changed.await.expect("the change");
    }

    /// Another instance of the service on the same stores, with other settings; it lives as long as the world.
    pub(crate) async fn beside(&self, config: &Config) -> (Service, Server) {
        let service = start(&self.mesh, config, &self.clock, (&self.bank, &self.stage), &self.life).await;
        let server = Server { name: NAME.to_owned(), address: service.address() };
        (service, server)
    }

    pub(crate) fn person(&self, person: &TestPerson) -> CallerChannel {
        self.mesh.person(&self.server, person).expect("a caller")
    }

    pub(crate) fn service(&self, name: &str) -> CallerChannel {
        self.mesh.service(&self.server, name).expect("a caller")
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

    /// Replays svc-policy's journal: nothing may differ.
    pub(crate) async fn verify_ledger(&self) {
        let report = policy::verify_ledger(&self.policy_config, &|_, _| ()).await.expect("verification runs");
        assert!(report.is_clean(), "{report:?}");
    }
}

pub(crate) fn request_id() -> String {
    use caremesh_kernel::IdSource as _;
    SystemIds.uuid().to_string()
}

pub(crate) fn fresh_id(prefix: &str) -> String {
    use caremesh_kernel::IdSource as _;
    let id = caremesh_kernel::EventId::from_uuid(SystemIds.uuid()).to_string();
    id.replacen("evt", prefix, 1)
}

pub(crate) fn naira(minor: i64) -> Option<types::Money> {
    Some(types::Money { currency_code: "NGN".to_owned(), minor_units: minor })
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
