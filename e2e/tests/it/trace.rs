//! One action of a person is one trace, from the gateway through svc-policy into its database, as a
//! real OTLP receiver sees it.

use anyhow::{Context, Result};
use caremesh_e2e::separate::Separate;
use caremesh_e2e::story::Family;
use caremesh_testkit::otlp::{OtlpReceiver, ReceivedSpan};

const POST: &str = "caremesh.policy.v1.BenefitService/Post";

fn service(span: &ReceivedSpan) -> &str {
    span.resource.get("service.name").map_or("", String::as_str)
}

fn parent<'a>(spans: &'a [ReceivedSpan], span: &ReceivedSpan) -> Option<&'a ReceivedSpan> {
    spans.iter().find(|other| other.span_id == span.parent_id)
}

/// The services that a span's ancestors belong to, itself first.
fn line_of_services<'a>(spans: &'a [ReceivedSpan], span: &'a ReceivedSpan) -> Vec<&'a str> {
    let mut line = vec![service(span)];
    let mut present = span;
    while let Some(next) = parent(spans, present) {
        line.push(service(next));
        present = next;
    }
    line.dedup();
    line
}

#[tokio::test(flavor = "multi_thread")]
async fn a_posting_is_one_trace_from_the_gateway_to_the_database() -> Result<()> {
    let receiver = OtlpReceiver::start().await?;
    let mut mesh = Separate::start(
        "sqlite://{folder}/policy.db",
        &[
            ("CAREMESH_TELEMETRY__OTLP_ENDPOINT", receiver.endpoint()),
            ("CAREMESH_TELEMETRY__SAMPLE_PER_MILLION", "1000000".to_owned()),
        ],
    )
    .await?;
    mesh.load_demo().await?;
    let family = Family::find(mesh.channel()?, mesh.token("ngozi")?, mesh.token("tunde")?).await?;
    let event = family.visit()?;
    let price = family.price(&event, 1_000_000).await?;
    family.post(&Family::spending(&event, price)).await?;
    // A clean stop flushes: nothing that was traced is lost.
    mesh.gateway.stop().await?;
    mesh.policy.stop().await?;

    let spans = receiver.spans();
    let root = spans
        .iter()
        .find(|span| span.parent_id.is_empty() && service(span) == "gateway" && span.name.ends_with(POST));
    let root = root.context("no trace of the posting begins at the gateway")?;
    let trace: Vec<ReceivedSpan> =
        spans.iter().filter(|span| span.trace_id == root.trace_id).cloned().collect();
    let database: Vec<&ReceivedSpan> =
        trace.iter().filter(|span| span.attributes.contains_key("db.system.name")).collect();
    assert!(!database.is_empty(), "no database span in {trace:#?}");
    for span in database {
        assert_eq!(line_of_services(&trace, span), ["svc-policy", "gateway"], "{span:?}");
    }
    for span in trace.iter().filter(|span| !span.parent_id.is_empty()) {
        assert!(parent(&trace, span).is_some(), "{span:?} hangs in the air");
    }
    Ok(())
}
