//! The components as separate processes, as a cluster runs them, on one machine: certificates and
//! settings come from files and the environment, tokens from an issuer that is not ours.
//! Must not know what any test proves.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use caremesh::demo::{DemoPerson, Loader, PersonIds, Signer, find};
use caremesh::{edge_client, ready};
use caremesh_kernel::SystemClock;
use caremesh_testkit::identity::{TRUST_DOMAIN, TestAuthority, TestIssuer, TestPerson};
use tempfile::TempDir;
use tokio::sync::SemaphorePermit;
use tonic::transport::Channel;

use crate::program::{self, Program, free_ports};

/// What svc-policy and the gateway say when they have opened their ports.
const LISTENS: &str = "listens.";

/// A running gateway and svc-policy.
pub struct Separate {
    /// svc-policy.
    pub policy: Program,
    /// The gateway.
    pub gateway: Program,
    /// Person ids of the demo people.
    pub ids: PersonIds,
    issuer: Tokens,
    authority: TestAuthority,
    gateway_port: u16,
    admin: [SocketAddr; 2],
    environment: Vec<(&'static str, String)>,
    folder: TempDir,
    _turn: SemaphorePermit<'static>,
}

/// An issuer that knows the demo people.
struct Tokens(TestIssuer);

impl Signer for Tokens {
    fn token(&self, person: &DemoPerson) -> Result<String> {
        let known = TestPerson {
            subject: person.subject.clone(),
            person_id: person.person_id.as_deref().map(str::parse).transpose()?,
            roles: person.roles.clone(),
            organisation: person.organisation.clone(),
        };
        Ok(self.0.token(&known))
    }

    fn issuer(&self) -> String {
        self.0.url().to_owned()
    }
}

impl Separate {
    /// Migrates the database, starts both, waits until both serve. `extra` adds settings.
    ///
    /// # Errors
    /// With what a process said when it did not start.
    pub async fn start(database_url: &str, extra: &[(&'static str, String)]) -> Result<Self> {
        let turn = program::turn().await?;
        let folder = tempfile::tempdir()?;
        let issuer = Tokens(TestIssuer::start().await?);
        let authority = TestAuthority::new()?;
        let ports = free_ports()?;
        let environment = environment(&folder, database_url, &issuer, &authority, ports, extra)?;
        let migrated = program::run(&["migrate"], &environment).await?;
        ensure!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        let [gateway_port, gateway_admin, _, policy_admin] = ports;
        let policy = launch("policy", &folder, &authority, &environment).await?;
        let gateway = launch("gateway", &folder, &authority, &environment).await?;
        let admin = [gateway_admin, policy_admin].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        ready::until_serving(admin[0], &[ready::POLICY]).await?;
        let ids = PersonIds::default();
        Ok(Self {
            policy,
            gateway,
            ids,
            issuer,
            authority,
            gateway_port,
            admin,
            environment,
            folder,
            _turn: turn,
        })
    }

    /// Enters the demo families and buys what they buy, through the gateway.
    ///
    /// # Errors
    /// With the first call that is refused.
    pub async fn load_demo(&mut self) -> Result<()> {
        let loader = Loader { gateway: self.channel()?, signer: &self.issuer, clock: &SystemClock };
        self.ids = loader.load(PersonIds::default()).await?;
        Ok(())
    }

    /// A channel to the gateway.
    ///
    /// # Errors
    /// When the authority's certificate cannot be read.
    pub fn channel(&self) -> Result<Channel> {
        edge_client::channel(self.gateway_port, &self.authority.certificate_path())
    }

    /// A token of a demo person.
    ///
    /// # Errors
    /// When there is no such person.
    pub fn token(&self, handle: &str) -> Result<String> {
        self.issuer.token(&find(handle, &self.ids)?)
    }

    /// Starts svc-policy again after it was killed, and waits until the gateway has found it.
    ///
    /// # Errors
    /// With what it said when it did not start.
    pub async fn restart_policy(&mut self) -> Result<()> {
        self.policy = launch("policy", &self.folder, &self.authority, &self.environment).await?;
        ready::until_serving(self.admin[0], &[ready::POLICY]).await
    }

    /// Runs another command with the same settings.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn run(&self, arguments: &[&str]) -> Result<std::process::Output> {
        program::run(arguments, &self.environment).await
    }

    /// Starts another command with the same settings, to be killed.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn begin(&self, arguments: &[&str]) -> Result<Program> {
        Program::start(arguments, &self.environment, &self.folder.path().join("command.words"))
    }

    /// Where what both processes wrote lies: log lines and whatever else they said.
    #[must_use]
    pub fn words(&self) -> [PathBuf; 2] {
        ["policy", "gateway"].map(|name| self.folder.path().join(format!("{name}.words")))
    }

    /// The admin ports, the gateway's first.
    #[must_use]
    pub fn admin(&self) -> [SocketAddr; 2] {
        self.admin
    }

    /// Where the processes may keep files, the SQLite database among them.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

fn environment(
    folder: &TempDir,
    database_url: &str,
    issuer: &Tokens,
    authority: &TestAuthority,
    [gateway, gateway_admin, policy, policy_admin]: [u16; 4],
    extra: &[(&'static str, String)],
) -> Result<Vec<(&'static str, String)>> {
    let at = |port: u16| format!("127.0.0.1:{port}");
    let believed = format!(
        "[{{issuer = \"{url}\", audiences = [\"caremesh\"], jwks_url = \"{url}/jwks.json\", algorithms = [\"ES256\"]}}]",
        url = issuer.0.url()
    );
    let keys = folder.path().join("keys.db");
    let at_folder = |name: &str| folder.path().join(name).display().to_string();
    let mut environment = vec![
        ("CAREMESH_GATEWAY__LISTEN", at(gateway)),
        ("CAREMESH_GATEWAY__ADMIN_LISTEN", at(gateway_admin)),
        ("CAREMESH_GATEWAY__UPSTREAMS", format!("{{svc-policy = \"https://localhost:{policy}\"}}")),
        ("CAREMESH_POLICY__LISTEN", at(policy)),
        ("CAREMESH_POLICY__ADMIN_LISTEN", at(policy_admin)),
        (
            "CAREMESH_POLICY__DATABASE_URL",
            database_url.replace("{folder}", &folder.path().display().to_string()),
        ),
        ("CAREMESH_POLICY__KEYS_URL", format!("sqlite://{}", keys.display())),
        ("CAREMESH_POLICY__KEY_FILE", at_folder("keys.json")),
        ("CAREMESH_POLICY__AUDIT_KEY_FILE", at_folder("audit.key")),
        ("CAREMESH_POLICY__AUDIT_CHECKPOINT_FILE", at_folder("checkpoints.jsonl")),
        ("CAREMESH_IDENTITY__ISSUERS", believed),
        ("CAREMESH_TLS__ROOTS", authority.certificate_path().display().to_string()),
        ("CAREMESH_TLS__TRUST_DOMAIN", TRUST_DOMAIN.to_owned()),
    ];
    environment.extend_from_slice(extra);
    Ok(environment)
}

/// Starts a component with a certificate of its own and waits until it listens.
async fn launch(
    component: &str,
    folder: &TempDir,
    authority: &TestAuthority,
    environment: &[(&'static str, String)],
) -> Result<Program> {
    let service = if component == "gateway" { "gateway".to_owned() } else { format!("svc-{component}") };
    let (certificate, key) = authority.ca().issue_files(&service, &SystemClock)?;
    let mut environment = environment.to_vec();
    environment.push(("CAREMESH_TLS__CERTIFICATE", certificate.display().to_string()));
    environment.push(("CAREMESH_TLS__KEY", key.display().to_string()));
    let words = folder.path().join(format!("{component}.words"));
    let before = std::fs::read_to_string(&words).unwrap_or_default().matches(LISTENS).count();
    let mut program = Program::start(&["serve", component], &environment, &words)?;
    program.until_it_says(LISTENS, before + 1).await.with_context(|| format!("serve {component}"))?;
    Ok(program)
}
