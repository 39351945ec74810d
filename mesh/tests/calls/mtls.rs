//! Who is spoken to, and who is let in, by certificate alone.

use std::{
    os::unix::fs::PermissionsExt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use caremesh_kernel::{Clock, SystemClock, Timestamp};
use caremesh_mesh::{
    client::{Channel, ChannelBuilder},
    tls::{CertificateFiles, LocalCa, Material, Peer, Renewing, WorkloadIdentity},
};
use caremesh_testkit::identity::{TRUST_DOMAIN, TestAuthority};
use futures::FutureExt;
use tonic::Code;

use crate::probe::{Pair, Probe, SAFE, call, contract, ok};

async fn vouched() -> Pair {
    Pair::start(|_, _| async { ok() }.boxed()).await
}

fn channel(identity: WorkloadIdentity, service: &str, probe: &Probe) -> Channel {
    ChannelBuilder::new(identity, contract()).build(service, &probe.url()).expect("an address")
}

async fn refused(channel: &Channel) -> bool {
    matches!(call(channel, SAFE).await, Err(status) if status.code() == Code::Unavailable)
}

#[tokio::test]
async fn server_learns_the_workload_of_its_caller_from_the_certificate() {
    let pair = Pair::start(|request, _| {
        let peer = request.extensions().get::<Peer>().and_then(Peer::workload).map(ToString::to_string);
        assert_eq!(peer.as_deref(), Some("spiffe://caremesh.test/svc/svc-caller"));
        async { ok() }.boxed()
    })
    .await;
    call(&pair.channel(), SAFE).await.expect("accepted");
    assert_eq!(pair.probe.calls(), 1);
}

#[tokio::test]
async fn those_who_connect_and_say_nothing_keep_nobody_out() {
    let pair = vouched().await;
    let address = pair.probe.url().replace("https://", "").replace("localhost", "127.0.0.1");
    let mut silent = Vec::new();
    for _ in 0..1_100 {
        silent.push(tokio::net::TcpStream::connect(&address).await.expect("connected"));
    }
    let answer = tokio::time::timeout(Duration::from_secs(2), call(&pair.channel(), SAFE)).await;
    answer.expect("long before the silent ones have run out of time").expect("answered");
}

#[tokio::test]
async fn caller_of_another_authority_is_not_let_in() {
    let pair = vouched().await;
    // The same trust domain by name: only the signature tells them apart.
    let stranger = TestAuthority::new().expect("an authority");
    let identity = stranger.workload("svc-caller").expect("an identity");
    assert!(refused(&channel(identity, "svc-probe", &pair.probe)).await);
    assert_eq!(pair.probe.calls(), 0);
}

#[tokio::test]
async fn server_of_another_authority_is_not_spoken_to() {
    let stranger = TestAuthority::new().expect("an authority");
    let probe =
        Probe::start(&stranger.workload("svc-probe").expect("an identity"), |_, _| async { ok() }.boxed())
            .await;
    let ours = TestAuthority::new().expect("an authority").workload("svc-caller").expect("an identity");
    assert!(refused(&channel(ours, "svc-probe", &probe)).await);
    assert_eq!(probe.calls(), 0);
}

#[tokio::test]
async fn server_that_is_another_service_is_not_spoken_to() {
    let pair = vouched().await;
    let identity = pair.authority.workload("svc-caller").expect("an identity");
    assert!(refused(&channel(identity.clone(), "svc-policy", &pair.probe)).await);
    assert_eq!(pair.probe.calls(), 0);
    call(&channel(identity, "svc-probe", &pair.probe), SAFE).await.expect("the right name");
}

#[tokio::test]
async fn caller_without_a_certificate_is_not_let_in() {
    let pair = vouched().await;
    let text = std::fs::read(pair.authority.certificate_path()).expect("the authority's certificate");
    let tls = rustls_client_without_certificate(&text);
    let tcp = tokio::net::TcpStream::connect(pair.probe.address).await.expect("connected");
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
    // TLS 1.3: the client may think it is through until it reads the alert.
    if let Ok(mut stream) = tokio_rustls::TlsConnector::from(tls).connect(name, tcp).await {
        let mut byte = [0];
        let read = tokio::io::AsyncReadExt::read(&mut stream, &mut byte).await;
        assert!(matches!(read, Err(_) | Ok(0)), "the server spoke to nobody");
    }
    assert_eq!(pair.probe.calls(), 0);
}

fn rustls_client_without_certificate(root: &[u8]) -> Arc<rustls::ClientConfig> {
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    let root = rustls::pki_types::CertificateDer::from_pem_slice(root).expect("a certificate");
    roots.add(root).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

#[tokio::test]
async fn workload_of_another_trust_domain_is_not_let_in_even_when_our_authority_signed() {
    // One authority, two domains: as when a key is used for a second environment.
    let folder = tempfile::tempdir().expect("a folder");
    let ours = LocalCa::open_or_create(folder.path(), TRUST_DOMAIN, &SystemClock).expect("an authority");
    let theirs =
        LocalCa::open_or_create(folder.path(), "caremesh.staging", &SystemClock).expect("the same one");
    let identity = |ca: &LocalCa, name| {
        WorkloadIdentity::new(ca.issue(name, &SystemClock).expect("issued")).expect("an identity")
    };
    let probe = Probe::start(&identity(&ours, "svc-probe"), |_, _| async { ok() }.boxed()).await;
    assert!(refused(&channel(identity(&theirs, "svc-caller"), "svc-probe", &probe)).await);
    call(&channel(identity(&ours, "svc-caller"), "svc-probe", &probe), SAFE).await.expect("ours");
}

#[tokio::test]
async fn replaced_trust_holds_for_the_next_connection_without_a_restart() {
    let pair = vouched().await;
    let other = TestAuthority::new().expect("another authority");
    let caller = pair.authority.workload("svc-caller").expect("an identity");
    call(&channel(caller.clone(), "svc-probe", &pair.probe), SAFE).await.expect("before");
    caller.replace(other.ca().issue("svc-caller", &SystemClock).expect("issued")).expect("replaced");
    assert!(refused(&channel(caller.clone(), "svc-probe", &pair.probe)).await);
    caller.replace(pair.authority.ca().issue("svc-caller", &SystemClock).expect("issued")).expect("replaced");
    call(&channel(caller, "svc-probe", &pair.probe), SAFE).await.expect("after");
}

#[test]
fn local_authority_is_made_once_and_its_keys_are_for_the_owner_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let path = folder.path().to_owned();
            std::thread::spawn(move || {
                let ca = LocalCa::open_or_create(&path, TRUST_DOMAIN, &SystemClock).expect("an authority");
                ca.issue("svc-policy", &SystemClock)
                    .map(WorkloadIdentity::new)
                    .expect("issued")
                    .expect("an identity")
            })
        })
        .collect();
    let started: Vec<_> = starts.into_iter().map(|start| start.join().expect("no panic")).collect();
    assert_eq!(started.len(), 8);
    let mode =
        |name: &str| std::fs::metadata(folder.path().join(name)).expect(name).permissions().mode() & 0o777;
    assert_eq!(mode("local-ca.key.pem"), 0o600);
    let ca = LocalCa::open_or_create(folder.path(), TRUST_DOMAIN, &SystemClock).expect("opened");
    let (certificate, key) = ca.issue_files("svc-policy", &SystemClock).expect("written");
    assert_eq!(mode("svc-policy.key.pem"), 0o600);
    let files = CertificateFiles {
        certificate,
        key,
        roots: ca.certificate_path(),
        trust_domain: TRUST_DOMAIN.to_owned(),
    };
    let loaded = WorkloadIdentity::new(Material::load(&files).expect("loaded")).expect("an identity");
    assert_eq!(loaded.id().to_string(), "spiffe://caremesh.test/svc/svc-policy");
    let other = CertificateFiles { trust_domain: "caremesh.other".to_owned(), ..files.clone() };
    assert!(Material::load(&other).expect_err("refused").to_string().contains("caremesh.other"));
    let missing = CertificateFiles { key: "/nowhere/key.pem".into(), ..files };
    assert!(Material::load(&missing).expect_err("refused").to_string().contains("/nowhere/key.pem"));
}

/// A clock that a test moves by hand.
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn certificate_is_renewed_before_it_expires_and_no_connection_is_dropped() {
    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(Hand(AtomicI64::new(SystemClock.now().as_micros())));
    let ca = LocalCa::open_or_create(folder.path(), TRUST_DOMAIN, &*clock).expect("an authority");
    let renewing = Renewing::new(Arc::new(ca), clock.clone()).looking_every(Duration::from_millis(5));
    let served = renewing.workload("svc-probe").expect("an identity");
    let probe = Probe::start(&served, |_, _| async { ok() }.boxed()).await;
    let open = channel(renewing.workload("svc-caller").expect("an identity"), "svc-probe", &probe);
    call(&open, SAFE).await.expect("before");
    let (_, first_end) = served.validity();
    assert!(first_end.micros_since(clock.now()) <= 30 * DAY_MS * 1_000, "a month at most");

    clock.0.fetch_add(15 * DAY_MS * 1_000, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(served.validity().1, first_end, "nothing is due half-way");
    clock.0.fetch_add(10 * DAY_MS * 1_000, Ordering::SeqCst);
    let renewed = async {
        while served.validity().1 == first_end {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), renewed).await.expect("renewed while it is still good");
    assert_eq!(served.id().service(), "svc-probe");
    call(&open, SAFE).await.expect("the open connection goes on");
}
