//! `caremesh import`: files into a service's store, with progress and a word on every row that was skipped.
//! Must not know formats.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use caremesh_svc_pharmacy as pharmacy;
use caremesh_svc_pharmacy::import::{Progress, Report};

use crate::admin::{block_on, pharmacy_config};
use crate::cli::Imported;
use crate::config::Sources;
use crate::exit::{Failure, OrFail};
use crate::terminal;

/// How much an import gives way; 19 is the most.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Reads a file into the store of svc-pharmacy.
///
/// # Errors
/// When a setting is wrong, the file is none of the known formats, or the database does not answer.
pub fn run(what: Imported, file: &Path, root: Option<&Path>, sources: &Sources) -> Result<(), Failure> {
    let config = pharmacy_config(root, sources)?;
    give_way();
    match what {
        Imported::Medications => medications(&config, file),
        Imported::Reference => reference(&config, file),
    }
}

/// An import can wait a moment; whoever is served on the same machine meanwhile cannot. Before the first thread is started,
/// because threads take over the priority of the one that starts them.
fn give_way() {
    #[cfg(target_os = "linux")]
    rustix::process::setpriority_process(None, NICENESS).unwrap_or(());
}

/// Interactions, classes, names, allergies and ages, for safety checks.
fn reference(config: &pharmacy::Config, file: &Path) -> Result<(), Failure> {
    let opened = BufReader::new(File::open(file).or_environment()?);
    block_on(async {
        let bar = terminal::progress(0, "importing reference data, rows");
        let report = pharmacy::import_reference(config, opened, |at| bar.set_position(at.rows)).await;
        bar.finish_and_clear();
        let report = report.or_environment()?;
        for (line, why) in &report.reasons {
            terminal::say(&format!("line {line}: skipped: {why}"));
        }
        let (rows, facts, skipped) = (report.rows, report.facts, report.skipped);
        terminal::say(&format!("{rows} rows: {facts} facts, {skipped} rows skipped."));
        Ok(())
    })
}

fn medications(config: &pharmacy::Config, file: &Path) -> Result<(), Failure> {
    block_on(async {
        let bar = terminal::progress(0, "importing medicines, bytes");
        let mut show = |at: &Progress| {
            bar.set_length(at.of_bytes);
            bar.set_position(at.bytes);
        };
        let report = pharmacy::import_medications(config, file, None, &mut show).await;
        bar.finish_and_clear();
        tell(&report.or_environment()?);
        Ok(())
    })
}

fn tell(report: &Report) {
    for skipped in &report.named {
        terminal::say(&format!("line {}: skipped: {}", skipped.line, skipped.refusal));
    }
    terminal::say(&format!(
        "{} rows: {} new, {} changed, {} as they were, {} skipped, {} without a readable price.",
        report.rows, report.created, report.updated, report.unchanged, report.skipped, report.without_price
    ));
}
