//! One gateway in front of real upstreams over mutual TLS, with a certificate authority of its own.

use std::net::SocketAddr;
use std::sync::{Arc, Once};
use std::time::Duration;

use caremesh_gateway::{Error, Gateway, GatewayConfig, Parts, ReflectionAccess};
use caremesh_kernel::SystemClock;
use caremesh_mesh::policy::Role;
use caremesh_mesh::principal::{Authenticator, Person, Principal};
use caremesh_mesh::reason::CommonReason;
use caremesh_mesh::refusal::Refusal;
use caremesh_mesh::tls::{LocalCa, WorkloadIdentity, install_provider};
use futures::future::BoxFuture;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::probe::Upstream;

/// A local authority and what it signs.
pub(crate) struct Authority {
    ca: LocalCa,
    _folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(install_provider);
        let folder = TempDir::new().expect("folder");
        let ca = LocalCa::open_or_create(folder.path(), "caremesh.test", &SystemClock).expect("authority");
        Self { ca, _folder: folder }
    }

    pub(crate) fn identity(&self, service: &str) -> WorkloadIdentity {
        let material = self.ca.issue(service, &SystemClock).expect("signed");
        WorkloadIdentity::new(material).expect("fits")
    }

    /// What a browser trusts.
    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        let file = std::fs::read(self.ca.certificate_path()).expect("written");
        roots.add(CertificateDer::from_pem_slice(&file).expect("PEM")).expect("certificate");
        roots
    }
}

/// Knows `Bearer member-N` and `Bearer operator`, as the mesh's authenticator knows signed tokens.
struct Tokens;

impl Authenticator for Tokens {
    fn authenticate<'a>(
        &'a self,
        parts: &'a http::request::Parts,
    ) -> BoxFuture<'a, Result<Principal, Refusal>> {
        let token = parts.headers.get("authorization").and_then(|it| it.to_str().ok());
        let principal = match token.map(|it| it.trim_start_matches("Bearer ")) {
            None => Ok(Principal::anonymous()),
            Some(subject @ "operator") => Ok(person(subject, Role::Operator)),
            Some(subject) if subject.starts_with("member-") => Ok(person(subject, Role::Member)),
            Some(_) => Err(Refusal::new(CommonReason::CredentialsInvalid)),
        };
        Box::pin(std::future::ready(principal))
    }
}

fn person(subject: &str, role: Role) -> Principal {
    Principal::of_person(Person {
        subject: subject.to_owned(),
        person_id: None,
        roles: vec![role],
        organisation: None,
        token: None,
    })
}

/// A running gateway.
pub(crate) struct World {
    pub(crate) authority: Authority,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    running: JoinHandle<Result<(), Error>>,
}

impl World {
    /// A gateway in front of one probe upstream, which it has learned.
    pub(crate) async fn with_probe() -> (Self, Upstream) {
        Self::with_probe_and(|_| {}).await
    }

    /// As [`World::with_probe`], with a changed configuration.
    pub(crate) async fn with_probe_and(change: impl FnOnce(&mut GatewayConfig)) -> (Self, Upstream) {
        let authority = Authority::new();
        let upstream = Upstream::start(&authority.identity("svc-probe")).await;
        let url = upstream.url();
        let world = Self::start(authority, |config| {
            config.upstreams.insert("svc-probe".to_owned(), url);
            change(config);
        })
        .await;
        world.wait_for("upstream svc-probe serving").await;
        (world, upstream)
    }

    pub(crate) async fn start(authority: Authority, change: impl FnOnce(&mut GatewayConfig)) -> Self {
        let any = "127.0.0.1:0".parse().expect("address");
        let mut config = GatewayConfig {
            listen: any,
            admin_listen: any,
            reflection: ReflectionAccess::Anyone,
            allowed_origins: vec!["https://app.example.org".to_owned()],
            ..GatewayConfig::default()
        };
        change(&mut config);
        let parts = Parts {
            identity: authority.identity("gateway"),
            edge_tls: None,
            authenticator: Arc::new(Tokens),
            metrics: None,
        };
        let gateway = Gateway::bind(config, parts).await.expect("binds");
        let (address, admin) = (gateway.address().expect("bound"), gateway.admin_address().expect("bound"));
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(gateway.run(shutdown.clone()));
        Self { authority, address, admin, shutdown, running }
    }

    /// Waits until the admin port's readiness page has this line.
    pub(crate) async fn wait_for(&self, line: &str) {
        let seen = async {
            while !crate::web::get_plain(self.admin, "/readyz").await.1.contains(line) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), seen).await.expect("ready in time");
    }

    /// The gateway has ended by itself.
    pub(crate) async fn ended(self) {
        let end = tokio::time::timeout(Duration::from_secs(10), self.running).await;
        end.expect("ends in time").expect("no panic").expect("no error");
    }
}
