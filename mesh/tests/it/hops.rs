//! Two servers, mutual TLS, the real client stack between them: what one hop leaves the next.

use caremesh_kernel::SystemClock;
use caremesh_mesh::ContractPolicy;
use caremesh_mesh::client::ChannelBuilder;
use caremesh_mesh::server::Transport;
use caremesh_mesh::tls::{LocalCa, WorkloadIdentity, install_provider};
use std::sync::Arc;

use super::probe::Probe;
use super::world::{CONTRACT, World};

/// An authority for two workloads, `svc-probe` and `svc-claims`.
fn identities() -> [WorkloadIdentity; 2] {
    install_provider();
    let folder = tempfile::tempdir().expect("a folder");
    let ca = LocalCa::open_or_create(folder.path(), "caremesh.local", &SystemClock).expect("an authority");
    ["svc-probe", "svc-claims"].map(|name| {
        let material = ca.issue(name, &SystemClock).expect("a certificate");
        WorkloadIdentity::new(material).expect("an identity")
    })
}

#[tokio::test]
async fn the_next_hop_gets_what_remains_and_less() {
    let [probe, claims] = identities();
    let far = World::of(Transport::MutualTls(probe), Probe::default(), |_| {}).await;
    let contract = Arc::new(ContractPolicy::from_descriptor_set(&CONTRACT).expect("whole"));
    let address = format!("https://localhost:{}", far.running.address.port());
    let channel = ChannelBuilder::new(claims, contract).build("svc-probe", &address).expect("a channel");
    let near = World::of(Transport::Plain, Probe { next: Some(channel), ..Probe::default() }, |_| {}).await;

    let said = near.client.ask("AskOpen", "forward:200", &[("grpc-timeout", "900m")]).await.expect("in time");
    let (near_ms, far_ms) = said.split_once(' ').expect("two numbers");
    let (near_ms, far_ms): (u64, u64) = (near_ms.parse().expect("ms"), far_ms.parse().expect("ms"));
    assert!(near_ms <= 700, "the first hop has spent 200 ms: {near_ms}");
    assert!(far_ms < near_ms, "the next hop must have less: {far_ms} of {near_ms}");
}
