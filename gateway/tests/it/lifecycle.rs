//! Upstreams that come and go, and a gateway that stops.

use std::time::Duration;

use caremesh_mesh::CommonReason;
use caremesh_mesh::status::Answer;
use futures::StreamExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::time::Instant;
use tonic::Code;

use crate::native::Connection;
use crate::probe::{Ask, Upstream, ask};
use crate::web::{ORIGIN, WebCall, get_plain, tls};
use crate::world::{Trust, World};

#[tokio::test]
async fn a_killed_upstream_is_unavailable_and_comes_back_by_itself() {
    let (world, probe) = World::with_probe().await;
    assert_eq!(WebCall::new("Echo", &ask("")).send(&world).await.code(), Code::Ok);

    let address = probe.kill();
    world.wait_for("upstream svc-probe not serving").await;
    let answer = WebCall::new("Echo", &ask("")).send(&world).await;
    assert_eq!((answer.code(), answer.reason().as_str()), (Code::Unavailable, "DEPENDENCY_DOWN"));
    assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);

    let _back = Upstream::start_as("svc-probe", &world.trust, address).await;
    world.wait_for("upstream svc-probe serving").await;
    assert_eq!(WebCall::new("Echo", &ask("")).send(&world).await.code(), Code::Ok);
}

#[tokio::test]
async fn an_upstream_that_dies_in_a_stream_ends_it_with_unavailable() {
    let (world, probe) = World::with_probe().await;
    let client = Connection::open(&world).await;
    let asked = client.signed(Ask { count: 100, delay_ms: 50, ..Ask::default() });
    let mut stream = client.stream("Count", asked).await.expect("begins");
    assert!(stream.next().await.expect("first").is_ok());
    probe.kill();
    let end = loop {
        match stream.next().await.expect("ends with a status") {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    assert_eq!(end.code(), Code::Unavailable, "{end:?}");
}

#[tokio::test]
async fn an_upstream_that_was_never_there_is_unavailable_not_unknown() {
    let trust = Trust::new().await;
    let world = World::start(trust, |config| {
        // Port 9 (discard) is not listened on.
        config.upstreams.insert("svc-probe".to_owned(), "https://127.0.0.1:9".to_owned());
    })
    .await;
    let answer = WebCall::new("Echo", &ask("")).send(&world).await;
    assert_eq!((answer.code(), answer.reason().as_str()), (Code::Unavailable, "DEPENDENCY_DOWN"));
}

#[tokio::test]
async fn a_stranger_in_place_of_the_upstream_is_not_called() {
    let trust = Trust::new().await;
    // A valid certificate of the same authority, but of another workload.
    let stranger = Upstream::start_as("svc-other", &trust, "127.0.0.1:0".parse().expect("address")).await;
    let url = stranger.url();
    let world = World::start(trust, |config| {
        config.upstreams.insert("svc-probe".to_owned(), url);
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let answer = WebCall::new("Echo", &ask("")).send(&world).await;
    assert_eq!(answer.code(), Code::Unavailable);
}

#[tokio::test]
async fn a_call_that_runs_is_finished_when_the_gateway_stops() {
    let (world, _probe) = World::with_probe().await;
    let client = Connection::open(&world).await;
    let slow = client.unary("Echo", Ask { text: "done".into(), delay_ms: 600, count: 0 });
    let stop = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.shutdown.cancel();
    };
    let (answer, ()) = tokio::join!(slow, stop);
    assert_eq!(answer.expect("finished").into_inner().text, "done");
    let address = world.address;
    world.ended().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "the port is closed");
}

#[tokio::test]
async fn a_call_that_outlasts_the_drain_limit_is_cut_off() {
    let (world, _probe) = World::with_probe_and(|config| config.drain.limit_ms = 300).await;
    let client = Connection::open(&world).await;
    let call =
        tokio::spawn(async move { client.unary("Echo", Ask { delay_ms: 4_500, ..Ask::default() }).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let begun = Instant::now();
    world.shutdown.cancel();
    world.ended().await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(call.await.expect("no panic").is_err());
}

#[tokio::test]
async fn a_stream_is_told_that_the_gateway_stops_and_the_drain_does_not_wait_for_its_end() {
    let (world, _probe) = World::with_probe_and(|config| config.drain.stream_grace_ms = 200).await;
    let client = Connection::open(&world).await;
    let asked = client.signed(Ask { count: 1_000, delay_ms: 400, ..Ask::default() });
    let mut stream = client.stream("Count", asked).await.expect("begins");
    assert!(stream.next().await.expect("first").is_ok());
    let begun = Instant::now();
    world.shutdown.cancel();
    let end = loop {
        match stream.next().await.expect("ends with a status") {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    assert_eq!(end.code(), Code::Unavailable, "{end:?}");
    assert!(Answer::of(&end).is(CommonReason::Draining), "{end:?}");
    world.ended().await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_gateway_that_drains_says_so_before_it_closes_the_door() {
    let (world, _probe) = World::with_probe_and(|config| config.drain.notice_ms = 800).await;
    assert_eq!(get_plain(world.admin, "/healthz").await.0, 200);
    assert_eq!(get_plain(world.admin, "/readyz").await.0, 200);
    world.shutdown.cancel();
    world.wait_for("gateway draining").await;
    assert_eq!(get_plain(world.admin, "/readyz").await.0, 503);
    assert_eq!(get_plain(world.admin, "/healthz").await.0, 200, "alive while it drains");
    assert_eq!(WebCall::new("Echo", &ask("")).send(&world).await.code(), Code::Ok);
    world.ended().await;
}

#[tokio::test]
async fn the_edge_shows_its_own_certificate_when_it_is_given_one() {
    let trust = Trust::new().await;
    let (chain, key) = trust.edge_files();
    let expected = CertificateDer::from_pem_file(&chain).expect("PEM");
    let world = World::start(trust, |config| {
        config.certificate = Some(caremesh_gateway::CertificateFiles { chain, key });
    })
    .await;
    let stream = tls(&world, b"h2").await;
    let shown = stream.get_ref().1.peer_certificates().expect("shown");
    assert_eq!(shown[0], expected);
}

#[tokio::test]
async fn the_admin_port_renders_the_metrics_of_the_process() {
    let (world, _probe) = World::with_probe().await;
    assert_eq!(get_plain(world.admin, "/metrics").await, (http::StatusCode::OK, "# metrics\n".to_owned()));
}
