//! `caremesh migrate` and `caremesh verify`: work on the stores themselves, without serving calls.
//! Must not know tables.

use std::path::Path;

use caremesh_svc_policy as policy;

use crate::cli::Subject;
use crate::components;
use crate::config::Sources;
use crate::data::DataFolder;
use crate::exit::{Failure, OrFail};
use crate::terminal;
use crate::up;

/// Brings the stores to this release's schema.
///
/// # Errors
/// When a setting is wrong, a database does not answer, or a newer release has been there.
pub fn migrate(root: Option<&Path>, sources: &Sources) -> Result<(), Failure> {
    let config = policy_config(root, sources)?;
    block_on(async {
        let bar = terminal::spinner("migrating svc-policy");
        let outcome = policy::migrate(&config).await;
        bar.finish_and_clear();
        outcome.or_environment()?;
        terminal::say("svc-policy is at this release's schema.");
        Ok(())
    })
}

/// Recomputes what must add up.
///
/// # Errors
/// With exit code 1 when it does not.
pub fn verify(what: Subject, root: Option<&Path>, sources: &Sources) -> Result<(), Failure> {
    let config = policy_config(root, sources)?;
    block_on(async {
        match what {
            Subject::Ledger => ledger(&config).await,
            Subject::Audit => audit(&config).await,
        }
    })
}

async fn ledger(config: &policy::Config) -> Result<(), Failure> {
    let bar = terminal::progress(0, "replaying the ledger, accounts");
    let report = policy::verify_ledger(config, &|done, all| terminal::show(&bar, done, all)).await;
    bar.finish_and_clear();
    let report = report.or_environment()?;
    for layer in &report.overdrawn {
        terminal::say(&format!("{}: overdrawn by {}, with a recovery", layer.layer, layer.amount));
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

async fn audit(config: &policy::Config) -> Result<(), Failure> {
    let bar = terminal::progress(0, "walking the audit trail, lines");
    let report = policy::verify_audit(config, &|done, all| terminal::show(&bar, done, all)).await;
    bar.finish_and_clear();
    let report = report.or_environment()?;
    if let Some(broken) = report.broken {
        return Err(Failure::difference(format!(
            "the audit trail is broken at line {}: {}",
            broken.position, broken.defect
        )));
    }
    terminal::say(&format!(
        "The audit trail is whole: {} lines sealed, {} checkpoints, {} lines not sealed yet.",
        report.sealed, report.checkpoints, report.unsealed
    ));
    Ok(())
}

/// With a data folder its settings, as `up` has them; otherwise those of `serve policy`.
fn policy_config(root: Option<&Path>, sources: &Sources) -> Result<policy::Config, Failure> {
    match root {
        Some(root) => {
            let folder = DataFolder::open(root).or_environment()?;
            up::settings::policy(sources, &folder).or_settings()
        }
        None => sources.component("policy", &components::policy_defaults()).or_settings(),
    }
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.or_environment()?.block_on(work)
}
