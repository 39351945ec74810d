//! `caremesh migrate` and `caremesh verify`: work on the stores themselves, without serving calls.
//! Must not know tables.

use std::path::Path;

use anyhow::anyhow;
use caremesh_db::audit::AuditReport;
use caremesh_svc_pharmacy as pharmacy;
use caremesh_svc_policy as policy;

use crate::cli::Subject;
use crate::components;
use crate::config::Sources;
use crate::data::DataFolder;
use crate::exit::{Failure, OrFail};
use crate::terminal;
use crate::up;

/// The settings of the services whose stores a command works on.
pub(crate) struct Services {
    pub(crate) policy: Option<policy::Config>,
    pub(crate) pharmacy: Option<pharmacy::Config>,
}

impl Services {
    /// Of a data folder all, as `up` has them; otherwise those that are set, as `serve` has them.
    pub(crate) fn read(root: Option<&Path>, sources: &Sources) -> Result<Self, Failure> {
        if let Some(root) = root {
            let folder = DataFolder::open(root).or_environment()?;
            let policy = up::settings::policy(sources, &folder).or_settings()?;
            let pharmacy = up::settings::pharmacy(sources, &folder).or_settings()?;
            return Ok(Self { policy: Some(policy), pharmacy: Some(pharmacy) });
        }
        // With nothing set, the first service says which setting it misses.
        let policy = sources.sets("policy") || !sources.sets("pharmacy");
        let policy = policy.then(|| sources.component("policy", &components::policy_defaults()));
        let pharmacy = sources.sets("pharmacy");
        let pharmacy = pharmacy.then(|| sources.component("pharmacy", &components::pharmacy_defaults()));
        Ok(Self { policy: policy.transpose().or_settings()?, pharmacy: pharmacy.transpose().or_settings()? })
    }
}

/// Brings the stores to this release's schema.
///
/// # Errors
/// When a setting is wrong, a database does not answer, or a newer release has been there.
pub fn migrate(root: Option<&Path>, sources: &Sources) -> Result<(), Failure> {
    let services = Services::read(root, sources)?;
    if let Some(root) = root {
        let folder = DataFolder::open(root).or_environment()?;
        // A folder of an earlier release has none for a service that is new.
        folder.make_stores("pharmacy").or_environment()?;
    }
    block_on(async {
        if let Some(config) = &services.policy {
            migrated(policy::NAME, policy::migrate(config)).await?;
        }
        if let Some(config) = &services.pharmacy {
            migrated(pharmacy::NAME, pharmacy::migrate(config)).await?;
        }
        Ok(())
    })
}

async fn migrated<E>(name: &str, work: impl Future<Output = Result<(), E>>) -> Result<(), Failure>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let bar = terminal::spinner(&format!("migrating {name}"));
    let outcome = work.await;
    bar.finish_and_clear();
    outcome.or_environment()?;
    terminal::say(&format!("{name} is at this release's schema."));
    Ok(())
}

/// Recomputes what must add up.
///
/// # Errors
/// With exit code 1 when it does not.
pub fn verify(what: Subject, root: Option<&Path>, sources: &Sources) -> Result<(), Failure> {
    let services = Services::read(root, sources)?;
    block_on(async {
        match what {
            Subject::Ledger => match &services.policy {
                Some(config) => ledger(config).await,
                None => Err(anyhow!("the ledger is svc-policy's, and policy is not set")).or_settings(),
            },
            Subject::Audit => audits(&services).await,
        }
    })
}

/// The trail of every service, also of those after a broken one.
async fn audits(services: &Services) -> Result<(), Failure> {
    let bar = || terminal::progress(0, "walking the audit trail, lines");
    let mut outcome = Ok(());
    if let Some(config) = &services.policy {
        let bar = bar();
        let report = policy::verify_audit(config, &|done, all| terminal::show(&bar, done, all)).await;
        bar.finish_and_clear();
        outcome = outcome.and(told(policy::NAME, report.or_environment()?));
    }
    if let Some(config) = &services.pharmacy {
        let bar = bar();
        let report = pharmacy::verify_audit(config, &|done, all| terminal::show(&bar, done, all)).await;
        bar.finish_and_clear();
        outcome = outcome.and(told(pharmacy::NAME, report.or_environment()?));
    }
    outcome
}

async fn ledger(config: &policy::Config) -> Result<(), Failure> {
    let bar = terminal::progress(0, "replaying the ledger, accounts");
    let report = policy::verify_ledger(config, &|done, all| terminal::show(&bar, done, all)).await;
    bar.finish_and_clear();
    let report = report.or_environment()?;
    for layer in &report.overdrawn {
        let (id, amount, recovery) = (&layer.layer, layer.amount, &layer.recovery);
        terminal::say(&format!("{id}: overdrawn by {amount}, recovered by {recovery}"));
    }
    for difference in &report.differences {
        terminal::say(&format!(
            "{}: {} is {}, and {} by the journal",
            difference.subject, difference.check, difference.stored, difference.journal
        ));
    }
    if report.is_clean() {
        terminal::say(&format!(
            "The ledger adds up: {} postings, {} layers.",
            report.postings, report.layers
        ));
        return Ok(());
    }
    Err(Failure::difference(format!("the ledger has {} differences", report.differences.len())))
}

fn told(name: &str, report: AuditReport) -> Result<(), Failure> {
    if let Some(broken) = report.broken {
        return Err(Failure::difference(format!(
            "the audit trail of {name} is broken at line {}: {}",
            broken.position, broken.defect
        )));
    }
    terminal::say(&format!(
        "The audit trail of {name} is whole: {} lines sealed, {} checkpoints, {} lines not sealed yet.",
        report.sealed, report.checkpoints, report.unsealed
    ));
    Ok(())
}

/// svc-pharmacy's settings, for a command that works on its stores alone.
pub(crate) fn pharmacy_config(root: Option<&Path>, sources: &Sources) -> Result<pharmacy::Config, Failure> {
    match root {
        Some(root) => {
            let folder = DataFolder::open(root).or_environment()?;
            up::settings::pharmacy(sources, &folder).or_settings()
        }
        None => sources.component("pharmacy", &components::pharmacy_defaults()).or_settings(),
    }
}

pub(crate) fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.or_environment()?.block_on(work)
}
