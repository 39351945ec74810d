//! `caremesh up` on an existing data folder: how soon it is ready, how much memory it holds at rest.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;

use crate::measure::{Limit, Spread, report, resident_megabytes};

/// Longest that a start may take before the benchmark gives up.
const GIVE_UP: Duration = Duration::from_secs(60);

/// What to start and how often.
#[derive(Args)]
pub(crate) struct Options {
    /// The release binary.
    #[arg(long, default_value = "target/release/caremesh")]
    binary: PathBuf,
    /// Rounds.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Where readiness can be asked, HTTP on loopback.
    #[arg(long, default_value = "127.0.0.1:9090")]
    admin: String,
}

/// Starts once to make the data folder, then as often as asked.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let data = tempfile::tempdir().context("no temporary folder")?;
    start(options, data.path())?;
    let (mut ready, mut resident) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let (seconds, megabytes) = start(options, data.path())?;
        ready.push(seconds);
        resident.push(megabytes);
    }
    println!("`caremesh up`, release, existing data folder, {} rounds", options.rounds);
    report("ready after", Spread::of(&ready)?, "s", Limit::AtMost(1.0));
    report("resident at rest", Spread::of(&resident)?, "MB", Limit::AtMost(80.0));
    Ok(())
}

/// Seconds until ready and megabytes two seconds later.
#[expect(clippy::disallowed_methods, reason = "wall time is what is measured")]
fn start(options: &Options, data: &Path) -> anyhow::Result<(f64, f64)> {
    let started = Instant::now();
    let child = Command::new(&options.binary)
        .args(["up", "--data"])
        .arg(data)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("{} does not start", options.binary.display()))?;
    let mut child = Stopped(child);
    while !is_ready(&options.admin) {
        if started.elapsed() > GIVE_UP || child.0.try_wait()?.is_some() {
            bail!("`caremesh up` did not become ready");
        }
        thread::sleep(Duration::from_millis(5));
    }
    let seconds = started.elapsed().as_secs_f64();
    thread::sleep(Duration::from_secs(2));
    Ok((seconds, resident_megabytes(child.0.id())?))
}

/// Whether `/readyz` of the gateway's admin port answers 200.
fn is_ready(admin: &str) -> bool {
    use std::io::{Read, Write};
    let Ok(mut stream) = std::net::TcpStream::connect(admin) else { return false };
    let asked = write!(stream, "GET /readyz HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
}

/// A child that is stopped when it goes out of sight.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}
