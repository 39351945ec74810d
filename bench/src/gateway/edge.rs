//! The measured process: the real gateway, with its policy or without. Must not know the load.

use std::path::Path;
use std::sync::Arc;

use caremesh_gateway::{CertificateFiles, Gateway, GatewayConfig, Parts};
use caremesh_kernel::SystemClock;
use caremesh_mesh::identity::Identity;
use caremesh_mesh::telemetry::{TelemetryConfig, init_to};
use caremesh_mesh::tls::LocalCa;
use caremesh_testkit::identity::TRUST_DOMAIN;
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// What the process is told of its surroundings.
pub(crate) struct Surroundings<'a> {
    /// The local authority's folder, which also takes the log.
    pub(crate) authority: &'a Path,
    /// The issuer whose tokens are believed.
    pub(crate) issuer: &'a str,
    /// Where kept traces go.
    pub(crate) otlp: &'a str,
    /// The upstream's URL.
    pub(crate) upstream: &'a str,
    /// JWT, limits, deadline, one trace in a hundred, metrics; otherwise nothing but grpc-web and routes.
    pub(crate) policy: bool,
}

/// Binds the gateway. Its limits are checked for every call and are too high to be met.
async fn bind(around: &Surroundings<'_>) -> anyhow::Result<Gateway> {
    let telemetry =
        TelemetryConfig { otlp_endpoint: Some(around.otlp.to_owned()), ..TelemetryConfig::default() };
    let log = std::fs::File::create(around.authority.join(format!("gateway-{}.log", std::process::id())))?;
    let telemetry = init_to(&telemetry, "gateway", Arc::new(log))?;
    let metrics = telemetry.metrics();
    std::mem::forget(telemetry);

    let authority = LocalCa::open_or_create(around.authority, TRUST_DOMAIN, &SystemClock)?;
    let tokens = json!({ "issuers": [{
        "issuer": around.issuer,
        "audiences": ["caremesh"],
        "jwks_url": format!("{}/jwks.json", around.issuer),
    }]});
    let identity = Identity::new(&serde_json::from_value(tokens)?, Arc::new(SystemClock))?;
    let parts = Parts {
        identity: caremesh_mesh::tls::WorkloadIdentity::new(authority.issue("gateway", &SystemClock)?)?,
        edge_tls: None,
        authenticator: Arc::new(identity),
        metrics: Arc::new(move || metrics.render()),
    };
    let gateway = Gateway::bind(config(around)?, parts).await?;
    Ok(if around.policy { gateway } else { gateway.without_policy() })
}

fn config(around: &Surroundings<'_>) -> anyhow::Result<GatewayConfig> {
    let (chain, key) = (around.authority.join("edge.pem"), around.authority.join("edge.key.pem"));
    let limitless = json!({ "per_second": 1_000_000, "burst": 1_000_000 });
    let mut config: GatewayConfig = serde_json::from_value(json!({
        "listen": "127.0.0.1:0",
        "admin_listen": "127.0.0.1:0",
        "upstreams": { "svc-bench": around.upstream },
        "limits": {
            "address_rate": limitless,
            "principal_rate": limitless,
            "max_connections_per_address": 10_000,
            "max_connection_age_s": 3_600,
            "max_streams_per_caller": 100_000,
        },
    }))?;
    config.certificate = Some(CertificateFiles { chain, key });
    Ok(config)
}

/// Prints where it listens and serves until the process is killed.
pub(crate) async fn serve(around: &Surroundings<'_>) -> anyhow::Result<()> {
    let gateway = bind(around).await?;
    println!("{}", gateway.address()?);
    gateway.run(CancellationToken::new()).await?;
    Ok(())
}
