//! `caremesh up`: everything in one process, on this machine only, with demo data and a demo sign-in.
//! The components still talk gRPC over loopback ports, through the same mesh as in a cluster.

mod issuer;
mod load;
mod running;
pub(crate) mod settings;
mod welcome;

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use caremesh_gateway::Gateway;
use caremesh_kernel::{Clock, SystemClock};
use caremesh_mesh::identity::{Identity, IdentityConfig};
use caremesh_mesh::tls::{LocalCa, Renewing, WorkloadIdentity};
use caremesh_svc_pharmacy as pharmacy;
use caremesh_svc_policy as policy;
use tokio::time::Instant;

use crate::components::{self, Started, Surroundings, TRUST_DOMAIN};
use crate::config::Sources;
use crate::data::DataFolder;
use crate::demo::{self, PersonIds};
use crate::endpoints::Endpoints;
use crate::exit::{Failure, OrFail};
use crate::process::{self, Logs, Telemetries};
use crate::ready;
use running::Running;
use settings::UpSettings;

/// Runs until it is told to stop.
///
/// # Errors
/// When a setting is wrong, the folder is not ours, a port is taken, or a component fails.
pub fn run(root: &Path, sources: &Sources) -> Result<(), Failure> {
    let folder = DataFolder::open_or_create(root).or_environment()?;
    let _lock = folder.lock().or_environment()?;
    let settings = UpSettings::read(sources, &folder).or_settings()?;
    let telemetry = settings.telemetry.clone();
    process::run(&telemetry, "caremesh", Logs::Stderr, |telemetries| async move {
        compose(settings, &folder, telemetries).await.or_environment()
    })
}

async fn compose(settings: UpSettings, folder: &DataFolder, telemetries: Telemetries) -> Result<()> {
    let began = Instant::now();
    let life = process::life()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let authority = Arc::new(LocalCa::open_or_create(&folder.tls(), TRUST_DOMAIN, &*clock)?);
    let renewing = Renewing::new(Arc::clone(&authority), Arc::clone(&clock));
    let ids = PersonIds::load(&folder.person_ids())?;
    let people = demo::people(&ids)?;
    let issuer = issuer::open(settings.issuer.clone(), folder, &renewing, people).await?;
    let identity =
        Arc::new(Identity::new(&believing(&issuer.url, &settings, &authority)?, Arc::clone(&clock))?);
    let as_workload = |name: &str| -> Result<WorkloadIdentity> { Ok(renewing.workload(name)?) };

    let around = |name: &str| -> Result<Surroundings> {
        let (identity, metrics) = (Arc::clone(&identity), telemetries.metrics.clone());
        Ok(Surroundings { workload: as_workload(name)?, identity, metrics, life: life.clone() })
    };

    migrate(&settings, folder).await?;
    folder.make_documents()?;
    let mut running = Running::new(life.clone());
    let mut gateway = settings.gateway.clone();
    let mut keep = |name: &'static str, service: Started| {
        gateway.upstreams.insert(name.to_owned(), format!("https://{}", service.address));
        running.start(name, |_| async move {
            service.ended.await;
            Ok(())
        });
    };
    let service = components::start_policy(settings.policy.clone(), around(policy::NAME)?).await?;
    let mut config = settings.pharmacy.clone();
    config.policy_address = format!("https://{}", service.address);
    keep(policy::NAME, service);
    keep(pharmacy::NAME, components::start_pharmacy(config, around(pharmacy::NAME)?).await?);
    let parts = components::gateway_parts(as_workload("gateway")?, identity, &telemetries);
    let gateway = Gateway::bind(gateway, parts).await.map_err(components::explain_gateway)?;
    let endpoints = Endpoints {
        issuer: issuer.url.clone(),
        audience: settings.issuer.audience.clone(),
        gateway: format!("https://localhost:{}", gateway.address()?.port()),
    };
    endpoints.save(folder)?;
    let admin = gateway.admin_address()?;

    let (issuer, serving) = issuer.split();
    running.start("issuer", |shutdown| serving.run(shutdown));
    running.start("gateway", |shutdown| async { Ok(gateway.run(shutdown).await?) });
    let ready = async {
        ready::until_serving(admin, &[ready::POLICY, ready::PHARMACY]).await?;
        load::once(&issuer, &endpoints, folder, &authority, &*clock).await
    };
    if running.unless_stopped(ready).await? {
        welcome::print(&endpoints, folder, &authority, began.elapsed())?;
    }
    running.until_stopped().await
}

/// Brings the stores in the data folder to this release's schema.
async fn migrate(settings: &UpSettings, folder: &DataFolder) -> Result<()> {
    folder.make_stores("policy")?;
    policy::migrate(&settings.policy).await?;
    folder.make_stores("pharmacy")?;
    Ok(pharmacy::migrate(&settings.pharmacy).await?)
}

/// The mesh believes this process's own issuer and no other.
fn believing(issuer: &str, settings: &UpSettings, authority: &LocalCa) -> Result<IdentityConfig> {
    let config = serde_json::json!({ "issuers": [{
        "issuer": issuer,
        "audiences": [settings.issuer.audience],
        "jwks_url": format!("{issuer}/jwks"),
        "jwks_roots": authority.certificate_path(),
        "algorithms": ["ES256"],
    }]});
    Ok(serde_json::from_value(config)?)
}
