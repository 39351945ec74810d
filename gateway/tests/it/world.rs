//! One gateway in front of real upstreams over mutual TLS, with a certificate authority of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Once};
use std::time::Duration;

use caremesh_gateway::{Error, Gateway, GatewayConfig, Parts, ReflectionAccess};
use caremesh_kernel::SystemClock;
use caremesh_mesh::identity::Identity;
use caremesh_mesh::principal::Authenticator;
use caremesh_mesh::tls::{WorkloadIdentity, install_provider};
use caremesh_testkit::identity::{TestAuthority, TestIssuer, TestPerson};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::probe::Upstream;

/// Who vouches in a test: an authority for workloads, an issuer for people.
pub(crate) struct Trust {
    authority: TestAuthority,
    issuer: TestIssuer,
}

impl Trust {
    pub(crate) async fn new() -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(install_provider);
        let authority = TestAuthority::new().expect("authority");
        Self { authority, issuer: TestIssuer::start().await.expect("issuer") }
    }

    pub(crate) fn workload(&self, service: &str) -> WorkloadIdentity {
        self.authority.workload(service).expect("signed")
    }

    pub(crate) fn authenticator(&self) -> Arc<dyn Authenticator> {
        Arc::new(Identity::new(&self.issuer.config(), Arc::new(SystemClock)).expect("valid"))
    }

    /// A token of somebody whose name begins with a role (`member-2`, `operator`); `forged` is signed
    /// by nobody whom the gateway knows.
    pub(crate) fn token(&self, subject: &str) -> String {
        if subject == "forged" {
            let good = self.token("member-1");
            return format!("{}AAAA", &good[..good.len() - 4]);
        }
        let role = subject.split('-').next().unwrap_or_default();
        self.issuer.token(&TestPerson::new(subject, &[role]))
    }

    /// A certificate of the edge's own, in files.
    pub(crate) fn edge_files(&self) -> (PathBuf, PathBuf) {
        self.authority.ca().issue_files("edge", &SystemClock).expect("signed")
    }

    /// What a browser trusts.
    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        let file = std::fs::read(self.authority.certificate_path()).expect("written");
        roots.add(CertificateDer::from_pem_slice(&file).expect("PEM")).expect("certificate");
        roots
    }
}

/// A running gateway.
pub(crate) struct World {
    pub(crate) trust: Trust,
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
        let trust = Trust::new().await;
        let upstream = Upstream::start(&trust).await;
        let url = upstream.url();
        let world = Self::start(trust, |config| {
            config.upstreams.insert("svc-probe".to_owned(), url);
            change(config);
        })
        .await;
        world.wait_for("upstream svc-probe serving").await;
        (world, upstream)
    }

    pub(crate) async fn start(trust: Trust, change: impl FnOnce(&mut GatewayConfig)) -> Self {
        let authenticator = trust.authenticator();
        Self::start_with(trust, authenticator, change).await
    }

    /// As [`World::start`], with another authenticator.
    pub(crate) async fn start_with(
        trust: Trust,
        authenticator: Arc<dyn Authenticator>,
        change: impl FnOnce(&mut GatewayConfig),
    ) -> Self {
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
            identity: trust.workload("gateway"),
            edge_tls: None,
            authenticator,
            metrics: Arc::new(|| "# metrics\n".to_owned()),
        };
        let gateway = Gateway::bind(config, parts).await.expect("binds");
        let (address, admin) = (gateway.address().expect("bound"), gateway.admin_address().expect("bound"));
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(gateway.run(shutdown.clone()));
        Self { trust, address, admin, shutdown, running }
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
