//! Instructions that a call costs the gateway, counted by callgrind: the same on a busy machine as on a quiet one,
//! so that a small loss is seen when it is made. Compared with what was recorded. Must not know time.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use tokio::runtime::Runtime;

use super::load::{Crowd, Wire};
use super::{Stage, Who};
use crate::child::installed;

/// How much dearer than recorded a call may be, per cent.
const ALLOWED_PERCENT: u64 = 5;
/// Processes of which the least counts.
const REPEATS: u32 = 3;
/// Calls before the first that count: tokens are verified, tables filled, connections warm.
const WARM_UP: u64 = 400;

/// How many, and whether to record.
#[derive(Args)]
pub(crate) struct Options {
    /// Calls of which the mean is taken.
    #[arg(long, default_value_t = 3_000)]
    calls: u64,
    /// Write down what was counted instead of comparing with it.
    #[arg(long)]
    record: bool,
}

/// What was counted on the machine of the last record, by wire.
type Record = BTreeMap<String, u64>;

fn record_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("gateway-instructions.json")
}

/// Counts, then compares or records.
///
/// # Errors
/// When a call costs more than it may.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    caremesh_mesh::tls::install_provider();
    let programs = ["valgrind", "h2load"].map(|program| installed([Path::new(program)]));
    let [Some(_), Some(h2load)] = programs else {
        println!(
            "SKIPPED: instructions: valgrind or h2load (Debian packages valgrind, nghttp2-client) is missing"
        );
        return Ok(());
    };
    let runtime = Runtime::new()?;
    let stage = runtime.block_on(Stage::alone(h2load))?;
    let mut counted = Record::new();
    for (name, wire) in [("grpc-web over HTTP/2", Wire::Web2), ("gRPC", Wire::Native)] {
        counted.insert(name.to_owned(), count(&runtime, &stage, wire, options.calls)?);
    }
    if options.record {
        return Ok(fs::write(record_file(), serde_json::to_string_pretty(&counted)? + "\n")?);
    }
    let recorded: Record = serde_json::from_str(&fs::read_to_string(record_file())?)?;
    compare(&counted, &recorded)
}

/// Two processes that differ in nothing but how many calls they carry: starting and stopping cancel out. What a
/// gateway does by the clock beside its calls (health, pings, metrics) only ever adds, so the least of several counts.
fn count(runtime: &Runtime, stage: &Stage, wire: Wire, calls: u64) -> anyhow::Result<u64> {
    let least = |calls| -> anyhow::Result<u64> {
        let counts: Vec<u64> =
            (0..REPEATS).map(|_| process(runtime, stage, wire, calls)).collect::<anyhow::Result<_>>()?;
        counts.into_iter().min().context("nothing was counted")
    };
    let (few, many) = (least(WARM_UP)?, least(WARM_UP + calls)?);
    Ok(many.saturating_sub(few) / calls)
}

/// All instructions of a gateway that carries `calls` calls, one after the other.
fn process(runtime: &Runtime, stage: &Stage, wire: Wire, calls: u64) -> anyhow::Result<u64> {
    let output = stage.folder.path().join("callgrind.out");
    let tool = format!("--callgrind-out-file={}", output.display());
    let under = ["valgrind", "--quiet", "--tool=callgrind", &tool];
    let gateway = runtime.block_on(stage.gateway_under(&under, Who::Gateway))?;
    stage.generator.run(gateway.address, wire, Crowd::ONE, calls)?;
    // By a signal that lets callgrind write; the process itself does not know it.
    gateway.process.stop()?;
    let text = fs::read_to_string(&output)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(total.context("callgrind wrote no total")?.trim().parse()?)
}

fn compare(counted: &Record, recorded: &Record) -> anyhow::Result<()> {
    let mut dearer = Vec::new();
    for (name, count) in counted {
        let before = *recorded.get(name).with_context(|| format!("nothing is recorded for {name}"))?;
        let limit = before + before * ALLOWED_PERCENT / 100;
        let verdict = if *count <= limit { "ok" } else { "DEARER" };
        println!("{name}: {count} instructions a call, recorded {before} [≤ {limit}] {verdict}");
        if *count > limit {
            dearer.push(name.as_str());
        }
    }
    ensure!(
        dearer.is_empty(),
        "a call costs over {ALLOWED_PERCENT} % more than recorded: {}",
        dearer.join(", ")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(count: u64) -> Record {
        [("gRPC".to_owned(), count)].into()
    }

    #[test]
    fn five_per_cent_more_is_allowed_and_one_instruction_beyond_is_not() {
        assert!(compare(&record(105_000), &record(100_000)).is_ok());
        let error = compare(&record(105_001), &record(100_000)).expect_err("dearer").to_string();
        assert!(error.contains("gRPC"), "{error}");
        assert!(compare(&record(1), &Record::new()).is_err(), "what was never recorded is not compared");
    }
}
