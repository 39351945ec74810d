//! `caremesh serve`: one component as a process of its own, as a cluster runs it.
//! Must not know demo data or the demo issuer.

use std::sync::Arc;

use anyhow::{Context, Result};
use caremesh_gateway::{Gateway, GatewayConfig};
use caremesh_kernel::SystemClock;
use caremesh_mesh::identity::{Identity, IdentityConfig};
use caremesh_mesh::telemetry::TelemetryConfig;
use caremesh_mesh::tls::{CertificateFiles, Material, WorkloadIdentity};
use caremesh_svc_pharmacy as pharmacy;
use caremesh_svc_policy as policy;
use serde_json::json;

use crate::cli::Component;
use crate::components::{self, Started, Surroundings};
use crate::config::Sources;
use crate::exit::{Failure, OrFail};
use crate::process::{self, Logs, Telemetries};
use crate::reload;

/// What every component needs besides its own settings.
struct Common {
    workload: WorkloadIdentity,
    files: CertificateFiles,
    identity: Arc<Identity>,
}

/// Runs a component until it is told to stop.
///
/// # Errors
/// When a setting is wrong, a port is taken, or the component fails.
pub fn run(component: Component, sources: &Sources) -> Result<(), Failure> {
    let nothing = json!({});
    let telemetry: TelemetryConfig = sources.component("telemetry", &nothing).or_settings()?;
    let common = Common::read(sources).or_settings()?;
    match component {
        Component::Gateway => {
            let config: GatewayConfig = sources.component("gateway", &nothing).or_settings()?;
            process::run(&telemetry, "gateway", Logs::Stdout, |telemetries| async move {
                serve_gateway(config, common, &telemetries).await.or_environment()
            })
        }
        Component::Policy => {
            let config = sources.component("policy", &components::policy_defaults()).or_settings()?;
            serve(&telemetry, policy::NAME, common, |around| components::start_policy(config, around))
        }
        Component::Pharmacy => {
            let config = sources.component("pharmacy", &components::pharmacy_defaults()).or_settings()?;
            serve(&telemetry, pharmacy::NAME, common, |around| components::start_pharmacy(config, around))
        }
    }
}

/// Runs a service from its start to its end.
fn serve<F: Future<Output = Result<Started>>>(
    telemetry: &TelemetryConfig,
    name: &'static str,
    common: Common,
    start: impl FnOnce(Surroundings) -> F,
) -> Result<(), Failure> {
    process::run(telemetry, name, Logs::Stdout, |telemetries| async move {
        let life = process::life().or_environment()?;
        reload::watch(common.workload.clone(), common.files, reload::LOOK_EVERY);
        let Common { workload, identity, .. } = common;
        let started = start(Surroundings { workload, identity, metrics: telemetries.metrics, life });
        let service = started.await.or_environment()?;
        tracing::info!(server.address = %service.address, "{name} listens.");
        service.ended.await;
        Ok(())
    })
}

impl Common {
    fn read(sources: &Sources) -> Result<Self> {
        let files: CertificateFiles = sources.component("tls", &json!({}))?;
        let identity: IdentityConfig = sources.component("identity", &json!({}))?;
        Ok(Self {
            workload: WorkloadIdentity::new(Material::load(&files)?)?,
            files,
            identity: Arc::new(Identity::new(&identity, Arc::new(SystemClock))?),
        })
    }
}

async fn serve_gateway(config: GatewayConfig, common: Common, telemetries: &Telemetries) -> Result<()> {
    let life = process::life()?;
    reload::watch(common.workload.clone(), common.files, reload::LOOK_EVERY);
    let parts = components::gateway_parts(common.workload, common.identity, telemetries);
    let gateway = Gateway::bind(config, parts).await.map_err(components::explain_gateway)?;
    tracing::info!(server.address = %gateway.address()?, "The gateway listens.");
    gateway.run(process::ending(&life)).await.context("the gateway failed")
}
