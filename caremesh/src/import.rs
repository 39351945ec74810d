//! `caremesh import`: files into a service's store, with progress and a word on every row that was skipped.
//! Must not know formats.

use std::path::Path;

use caremesh_svc_pharmacy as pharmacy;
use caremesh_svc_pharmacy::import::{Progress, Report};

use crate::admin::{block_on, pharmacy_config};
use crate::config::Sources;
use crate::exit::{Failure, OrFail};
use crate::terminal;

/// Reads a file of medicines into the catalogue of svc-pharmacy.
///
/// # Errors
/// When a setting is wrong, the file is none of the known formats, or the database does not answer.
pub fn medications(file: &Path, root: Option<&Path>, sources: &Sources) -> Result<(), Failure> {
    let config = pharmacy_config(root, sources)?;
    block_on(async {
        let bar = terminal::progress(0, "importing medicines, bytes");
        let mut show = |at: &Progress| {
            bar.set_length(at.of_bytes);
            bar.set_position(at.bytes);
        };
        let report = pharmacy::import_medications(&config, file, None, &mut show).await;
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
