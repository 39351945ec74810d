//! What operators see of calls: one trace over all hops, log lines with its ids, metrics by method and
//! code; and nothing of what was said in them.

use std::{
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use caremesh_mesh::{
    layer::{Request, Response},
    telemetry::{
        CallId, CallScope, MetricsLayer, Redactor, Telemetry, TelemetryConfig, TraceLayer, Work, carried,
        db_span, trace_parent,
    },
};
use caremesh_testkit::{
    logs::CapturedLogs,
    otlp::{OtlpReceiver, ReceivedSpan},
};
use futures::FutureExt;
use http::{HeaderMap, HeaderValue};
use prost::Message;
use serde_json::Value;
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service, service_fn};
use tracing::Instrument;

use crate::probe::{NEVER, Pair, Probe, SAFE, call, contract, ok, send};

const SERVER: i32 = 2;
const CLIENT: i32 = 3;

/// This process's telemetry: every trace is kept, spans go to a real receiver. On a thread of its own,
/// because each test has a runtime that ends with it.
struct Watching {
    otlp: OtlpReceiver,
    logs: CapturedLogs,
    telemetry: Telemetry,
}

static WATCHING: LazyLock<Watching> = LazyLock::new(|| {
    let started = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = Box::leak(Box::new(runtime.expect("a runtime")));
        let otlp = runtime.block_on(OtlpReceiver::start()).expect("a receiver");
        let config = TelemetryConfig {
            otlp_endpoint: Some(otlp.endpoint()),
            sample_per_million: 1_000_000,
            log: "warn,caremesh=info,calls=info".to_owned(),
            ..TelemetryConfig::default()
        };
        let (logs, telemetry) = CapturedLogs::start(&config, "svc-test").expect("telemetry");
        Watching { otlp, logs, telemetry }
    });
    started.join().expect("telemetry is running")
});

impl Watching {
    /// The spans of a trace, once there are `count`.
    async fn trace(&self, id: &str, count: usize) -> Vec<ReceivedSpan> {
        self.telemetry.flush().await;
        self.otlp.trace(id, count).await
    }

    fn lines_with(&self, message: &str) -> Vec<Value> {
        self.logs.lines().into_iter().filter(|line| line["message"] == message).collect()
    }
}

fn trace_id_of(trace_parent: &str) -> String {
    trace_parent.split('-').nth(1).expect("a traceparent").to_owned()
}

fn one<'a>(spans: &'a [ReceivedSpan], service: &str, kind: i32) -> &'a ReceivedSpan {
    let mut found = spans.iter().filter(|span| {
        span.kind == kind && span.attributes.get("caremesh.service").is_some_and(|s| s == service)
    });
    let only = found.next().unwrap_or_else(|| panic!("no span of {service}, kind {kind}, in {spans:#?}"));
    assert!(found.next().is_none(), "two spans of {service}, kind {kind}");
    only
}

#[tokio::test]
async fn one_trace_joins_two_hops_and_the_database() {
    let watching = &*WATCHING;
    let back = Arc::new(
        Pair::start(|_, _| {
            async {
                tracing::info!(rows = 3, "the second hop works");
                async { tokio::time::sleep(Duration::from_millis(2)).await }
                    .instrument(db_span("sqlite", "read plan"))
                    .await;
                ok()
            }
            .boxed()
        })
        .await,
    );
    let channel = back.channel();
    let seen = Arc::new(Mutex::new(None));
    let keep = seen.clone();
    let front = Pair::start(move |_, _| {
        let (channel, keep) = (channel.clone(), keep.clone());
        async move {
            *keep.lock().expect("a lock") = trace_parent();
            tokio::spawn(carried(async move { call(&channel, SAFE).await }))
                .await
                .expect("no panic")
                .expect("the second hop");
            ok()
        }
        .boxed()
    })
    .await;
    call(&front.channel(), NEVER).await.expect("the first hop");

    let parent = seen.lock().expect("a lock").clone().expect("a call has a trace");
    let spans = watching.trace(&trace_id_of(&parent), 5).await;
    assert_eq!(spans.len(), 5, "{spans:#?}");
    let outer = spans.iter().find(|span| span.parent_id.is_empty()).expect("a root");
    assert_eq!((outer.kind, outer.name.as_str()), (CLIENT, "probe.v1.ProbeService/Never"));
    let first =
        spans.iter().find(|s| s.kind == SERVER && s.parent_id == outer.span_id).expect("the first server");
    let between = spans.iter().find(|s| s.kind == CLIENT && s.parent_id == first.span_id).expect("its call");
    let second =
        spans.iter().find(|s| s.kind == SERVER && s.parent_id == between.span_id).expect("the second server");
    let database = spans.iter().find(|s| s.parent_id == second.span_id).expect("its statement");
    assert_eq!(database.name, "read plan");
    assert_eq!(database.attributes["db.system.name"], "sqlite");
    assert_eq!(second.attributes["rpc.method"], "Safe");
    assert_eq!(second.attributes["rpc.grpc.status_code"], "0");
    assert_eq!(second.resource["service.name"], "svc-test");

    let lines = watching.lines_with("the second hop works");
    let line =
        lines.iter().find(|line| line["trace_id"] == second.trace_id.as_str()).expect("a line of this trace");
    assert_eq!(line["span_id"], second.span_id.as_str());
    assert_eq!(line["call_id"], second.attributes["caremesh.call_id"].as_str());
    assert_eq!(line["caremesh.service"], "svc-probe");
    assert_eq!((&line["level"], &line["rows"]), (&Value::from("INFO"), &Value::from(3)));
}

#[tokio::test]
async fn caller_that_keeps_no_trace_is_followed_and_its_log_lines_have_the_ids_all_the_same() {
    let watching = &*WATCHING;
    let pair = Pair::start(|_, _| {
        async {
            tracing::info!("an unkept call works");
            assert!(db_span("sqlite", "read plan").is_disabled());
            ok()
        }
        .boxed()
    })
    .await;
    let unkept = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let mut request = tonic::Request::new(());
    request.metadata_mut().insert("traceparent", unkept.parse().expect("ascii"));
    request.metadata_mut().insert("x-caremesh-call-id", "call-unkept".parse().expect("ascii"));
    send(&pair.channel(), SAFE, request).await.expect("answered");
    assert!(
        db_span("sqlite", "read plan").is_disabled(),
        "outside any call nobody has decided to keep a trace"
    );
    let lines = watching.lines_with("an unkept call works");
    assert_eq!(lines[0]["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(lines[0]["call_id"], "call-unkept");
    watching.telemetry.flush().await;
    assert!(watching.otlp.spans().iter().all(|span| span.trace_id != "4bf92f3577b34da6a3ce929d0e0e4736"));
}

#[tokio::test]
async fn fault_is_marked_in_the_span_and_refusal_is_not() {
    let watching = &*WATCHING;
    for (code, status) in [(Code::Internal, 2), (Code::NotFound, 0)] {
        let seen = Arc::new(Mutex::new(None));
        let keep = seen.clone();
        let pair = Pair::start(move |_, _| {
            *keep.lock().expect("a lock") = trace_parent();
            async move { crate::probe::error(code) }.boxed()
        })
        .await;
        call(&pair.channel(), SAFE).await.expect_err("an error");
        let parent = seen.lock().expect("a lock").clone().expect("a trace");
        let spans = watching.trace(&trace_id_of(&parent), 2).await;
        let server = one(&spans, "svc-probe", SERVER);
        assert_eq!(
            (server.status, server.attributes["rpc.grpc.status_code"].as_str()),
            (status, i32::from(code).to_string().as_str())
        );
    }
}

#[tokio::test]
async fn calls_are_counted_by_method_and_code_on_both_sides() {
    let watching = &*WATCHING;
    let pair = Pair::start(|_, number| {
        async move { if number == 1 { ok() } else { crate::probe::error(Code::Aborted) } }.boxed()
    })
    .await;
    call(&pair.channel(), NEVER).await.expect("answered");
    call(&pair.channel(), NEVER).await.expect_err("refused");
    let text = watching.telemetry.metrics().render();
    for (side, service) in [("server", "svc-probe"), ("client", "svc-caller")] {
        for code in [0, 10] {
            let series = text.lines().find(|line| {
                line.starts_with(&format!("rpc_{side}_call_duration_seconds_count"))
                    && line.contains(&format!("caremesh_service=\"{service}\""))
                    && line.contains("rpc_method=\"Never\"")
                    && line.contains(&format!("rpc_grpc_status_code=\"{code}\""))
            });
            assert!(series.is_some(), "no {side} series for code {code} in\n{text}");
        }
    }
    assert!(text.contains("rpc_server_call_duration_seconds_bucket"), "fixed buckets, not quantiles");
}

#[tokio::test]
async fn what_was_said_in_a_call_is_nowhere_in_logs_spans_or_metrics() {
    const CANARIES: [&str; 4] =
        ["Adaeze-Canary-Okafor", "+2348099000111", "canary-diagnosis-E11.9", "canary.token.text"];
    let watching = &*WATCHING;
    let seen = Arc::new(Mutex::new(None));
    let keep = seen.clone();
    let pair = Pair::start(move |request, _| {
        *keep.lock().expect("a lock") = trace_parent();
        // Even a text that a careless handler puts into a status goes no further than to its caller.
        let text = format!("{} {}", CANARIES[0], request.headers()["authorization"].to_str().expect("text"));
        async move { Status::new(Code::Internal, text).into_http() }.boxed()
    })
    .await;
    let mut request = tonic::Request::new(());
    let metadata = request.metadata_mut();
    metadata.insert("authorization", format!("Bearer {}", CANARIES[3]).parse().expect("ascii"));
    metadata.insert("x-patient-phone", CANARIES[1].parse().expect("ascii"));
    metadata.insert("baggage", format!("diagnosis={}", CANARIES[2]).parse().expect("ascii"));
    metadata.insert("tracestate", format!("vendor={}", CANARIES[2]).parse().expect("ascii"));
    send(&pair.channel(), SAFE, request).await.expect_err("an error");
    strange_path(&pair, CANARIES[0]).await;

    let parent = seen.lock().expect("a lock").clone().expect("a trace");
    let spans = watching.trace(&trace_id_of(&parent), 2).await;
    assert!(spans.len() >= 2 && spans.iter().all(|span| span.events == 0));
    let all = format!(
        "{}\n{:?}\n{}",
        watching.logs.text(),
        watching.otlp.spans(),
        watching.telemetry.metrics().render()
    );
    let strange = |line: &str| line.contains("\"svc-strange\"") && line.contains("rpc_method=\"other\"");
    assert!(all.lines().any(strange), "a strange path is counted, under no name of its own");
    for canary in CANARIES {
        assert!(!all.contains(canary), "{canary} was seen");
    }
}

/// Calls a path that is no method and holds a name, straight through the server's trace layer.
async fn strange_path(pair: &Pair, name: &str) {
    let metrics = MetricsLayer::server("svc-strange", [SAFE]);
    let mut service =
        TraceLayer::server("svc-strange").layer(metrics.layer(service_fn(|_: Request| async {
            tracing::info!("a strange path was called");
            Ok::<Response, std::convert::Infallible>(Status::unimplemented("no").into_http())
        })));
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = format!("/caremesh/{name}/{}", pair.probe.address.port()).parse().expect("a path");
    drop(service.call(request).await);
}

#[tokio::test]
async fn edge_drops_baggage_and_gives_every_call_an_id_of_its_own() {
    let seen = Arc::new(Mutex::new((HeaderMap::new(), None)));
    let keep = seen.clone();
    let mut service = TraceLayer::edge("gateway").layer(service_fn(move |request: Request| {
        let id = request.extensions().get::<CallId>().cloned();
        *keep.lock().expect("a lock") = (request.headers().clone(), id);
        async { Ok::<Response, std::convert::Infallible>(ok()) }
    }));
    let mut request = Request::new(Body::empty());
    request.headers_mut().insert("baggage", HeaderValue::from_static("diagnosis=E11.9"));
    request.headers_mut().insert("x-caremesh-call-id", HeaderValue::from_static("theirs"));
    drop(service.call(request).await);
    let (headers, id) = seen.lock().expect("a lock").clone();
    let id = id.expect("an id");
    assert!(!headers.contains_key("baggage"));
    assert_ne!(id.as_str(), "theirs");
    assert_eq!(headers["x-caremesh-call-id"], id.as_str());
}

#[tokio::test]
async fn call_that_nobody_waits_for_any_more_is_counted_as_cancelled() {
    let watching = &*WATCHING;
    let authority = caremesh_testkit::identity::TestAuthority::new().expect("an authority");
    let identity = authority.workload("svc-slow").expect("an identity");
    let probe = Probe::start(&identity, |_, _| futures::future::pending().boxed()).await;
    let caller = authority.workload("svc-impatient").expect("an identity");
    let channel = caremesh_mesh::client::ChannelBuilder::new(caller, contract())
        .build("svc-slow", &probe.url())
        .expect("an address");
    let call = tokio::time::timeout(Duration::from_secs(1), call(&channel, SAFE)).await;
    assert!(call.is_err());
    let cancelled = |service: &str| {
        let text = watching.telemetry.metrics().render();
        text.lines()
            .any(|line| line.contains(&format!("\"{service}\"")) && line.contains("status_code=\"1\""))
    };
    for _ in 0..100 {
        if cancelled("svc-slow") && cancelled("svc-impatient") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("a lost caller was not counted");
}

#[tokio::test]
async fn later_step_continues_its_trace_for_a_day_and_links_back_after_that() {
    let watching = &*WATCHING;
    let stored = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let run = |age| {
        let work = Work::new("svc-claims", "settle claim").continuing(Some(stored), age);
        work.run(async { (trace_parent(), CallScope::current().map(|scope| scope.service().to_owned())) })
    };
    let (young, service) = run(Duration::from_secs(3_600)).await;
    assert_eq!(trace_id_of(&young.expect("a trace")), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(service.as_deref(), Some("svc-claims"));
    let (old, _) = run(Duration::from_secs(90_000)).await;
    let old = trace_id_of(&old.expect("a trace"));
    assert_ne!(old, "0af7651916cd43dd8448eb211c80319c");
    let spans = watching.trace(&old, 1).await;
    assert_eq!(spans[0].links, ["0af7651916cd43dd8448eb211c80319c"]);
    let child = watching.trace("0af7651916cd43dd8448eb211c80319c", 1).await;
    assert_eq!(child[0].parent_id, "b7ad6b7169203331");
}

#[test]
fn redacted_message_shows_only_what_the_contract_calls_harmless() {
    use caremesh_proto::policy::v1::{CreatePersonRequest, PersonProfile};
    let pool =
        prost_reflect::DescriptorPool::decode(caremesh_proto::FILE_DESCRIPTOR_SET).expect("the contract");
    let redactor = Redactor::new(pool);
    let request = CreatePersonRequest {
        request_id: "0199aa11-0000-7000-8000-000000000001".to_owned(),
        profile: Some(PersonProfile { full_name: "Adaeze Okafor".to_owned(), ..PersonProfile::default() }),
        ..CreatePersonRequest::default()
    };
    let shown = redactor.show("caremesh.policy.v1.CreatePersonRequest", &request.encode_to_vec());
    assert!(shown.contains("0199aa11-0000-7000-8000-000000000001"), "{shown}");
    assert!(!shown.contains("Adaeze") && shown.contains("[hidden]"), "{shown}");
    assert_eq!(redactor.show("caremesh.policy.v1.Unknown", b"Adaeze"), "[6 bytes]");
}

#[tokio::test]
async fn line_that_names_its_service_names_it_once() {
    let watching = &*WATCHING;
    tracing::info!(caremesh.service = "svc-part", "a part has ended");
    let text = watching.logs.text();
    let line = text.lines().find(|line| line.contains("a part has ended")).expect("a line");
    assert_eq!(line.matches("caremesh.service").count(), 1, "{line}");
    assert!(line.contains(r#""caremesh.service":"svc-part""#), "{line}");
}
