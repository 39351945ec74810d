//! How much one caller gets.

use std::num::NonZeroU32;
use std::time::Duration;

use caremesh_gateway::Rate;
use tonic::Code;
use tonic_types::StatusExt;

use crate::native::{Connection, with_token};
use crate::probe::ask;
use crate::web::{ORIGIN, WebCall, tls};
use crate::world::World;

fn rate(per_second: u32, burst: u32) -> Rate {
    let number = |n| NonZeroU32::new(n).expect("not zero");
    Rate { per_second: number(per_second), burst: number(burst) }
}

#[tokio::test]
async fn one_caller_is_limited_and_told_when_to_come_back_and_others_are_not() {
    let (world, _probe) = World::with_probe_and(|config| config.limits.principal_rate = rate(1, 3)).await;
    let call = |token: &'static str| WebCall::new("Echo", &ask("")).token(Some(token)).send(&world);
    for _ in 0..3 {
        assert_eq!(call("member-1").await.code(), Code::Ok);
    }
    let answer = call("member-1").await;
    assert_eq!((answer.code(), answer.reason().as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
    let wait = answer.status.get_details_retry_info().and_then(|it| it.retry_delay).expect("RetryInfo");
    assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
    assert_eq!(call("member-2").await.code(), Code::Ok);
}

#[tokio::test]
async fn one_address_is_limited_before_its_tokens_are_looked_at() {
    let (world, _probe) = World::with_probe_and(|config| config.limits.address_rate = rate(1, 5)).await;
    let client = Connection::open(&world).await;
    let mut codes = Vec::new();
    for nth in 0..8 {
        let request = with_token(ask(""), &format!("guess-{nth}"));
        codes.push(client.unary_request("Echo", request).await.expect_err("wrong token").code());
    }
    assert_eq!(codes[..5], [Code::Unauthenticated; 5]);
    assert_eq!(codes[5..], [Code::ResourceExhausted; 3]);
}

#[tokio::test]
async fn one_address_has_so_many_connections() {
    let (world, _probe) = World::with_probe_and(|config| config.limits.max_connections_per_address = 2).await;
    let first = Connection::open(&world).await;
    let second = Connection::open(&world).await;
    assert!(first.unary("Echo", ask("")).await.is_ok());
    let third = async {
        use tokio::io::AsyncReadExt;
        let mut stream = tls(&world, b"h2").await;
        let mut byte = [0];
        // Closed by the gateway without a word: reset or end, never data.
        stream.read(&mut byte).await.unwrap_or(0)
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(5), third).await.expect("closed"), 0);
    assert!(second.unary("Echo", ask("")).await.is_ok());
    drop(first);
    let again = async {
        loop {
            let next = Connection::open(&world).await;
            if next.unary("Echo", ask("")).await.is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), again).await.expect("a place is free again");
}

#[tokio::test]
async fn many_refused_calls_on_one_connection_do_not_close_it() {
    // Refused before the body is read: HTTP/2 would reset each stream and close after 1,024 of them.
    let (world, _probe) = World::with_probe_and(|config| {
        config.limits.address_rate = rate(100_000, 100_000);
        config.limits.principal_rate = rate(100_000, 100_000);
    })
    .await;
    let client = Connection::open(&world).await;
    let text = "x".repeat(20_000);
    for _ in 0..1_200 {
        let status = client.unary("Nothing", ask(&text)).await.expect_err("unknown");
        assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
    }
    assert!(!client.is_closed());
    assert!(client.unary("Echo", ask("")).await.is_ok());
}
