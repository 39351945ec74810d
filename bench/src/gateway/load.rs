//! The load: h2load, which is the same for everybody and is not what is measured. Closed-loop: good for
//! throughput and for the latency of one call at a time. Must not know what it calls.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// What is spoken to the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// grpc-web over HTTP/2.
    Web2,
    /// grpc-web over HTTP/1.1.
    Web1,
    /// gRPC.
    Native,
}

/// Calls at a time.
#[derive(Clone, Copy)]
pub(crate) struct Crowd {
    connections: u32,
    each: u32,
}

impl Crowd {
    /// Enough to keep two cores busy.
    pub(crate) fn of(wire: Wire) -> Self {
        match wire {
            Wire::Web1 => Self { connections: 64, each: 1 },
            Wire::Web2 | Wire::Native => Self { connections: 8, each: 16 },
        }
    }

    /// One call after the other.
    pub(crate) const ONE: Self = Self { connections: 1, each: 1 };
}

/// Makes calls with h2load.
pub(crate) struct Generator {
    program: PathBuf,
    folder: PathBuf,
    authorization: String,
}

/// What one run gave.
pub(crate) struct Run {
    /// Calls a second.
    pub(crate) per_second: f64,
    /// Body bytes received for one call.
    pub(crate) bytes_per_call: f64,
}

impl Generator {
    /// Sends `message`, a whole gRPC frame, with this token.
    pub(crate) fn new(program: PathBuf, folder: &Path, token: &str, message: &[u8]) -> anyhow::Result<Self> {
        fs::write(folder.join("message"), message)?;
        let authorization = format!("authorization: Bearer {token}");
        Ok(Self { program, folder: folder.to_owned(), authorization })
    }

    /// Makes `calls` calls; an answer that is not HTTP 200 is an error.
    pub(crate) fn run(&self, to: SocketAddr, wire: Wire, crowd: Crowd, calls: u64) -> anyhow::Result<Run> {
        let output = self.command(to, wire, crowd, calls).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let succeeded = number_before(&text, " succeeded")?;
        ensure!(succeeded == as_f64(calls), "{succeeded} of {calls} calls succeeded at {to}: {text}");
        let data = text.lines().find(|line| line.starts_with("traffic:")).context("no traffic")?;
        let data = data.rsplit('(').next().context("no data")?;
        let data: f64 = data.split(')').next().context("no data")?.parse()?;
        Ok(Run { per_second: number_before(&text, " req/s")?, bytes_per_call: data / as_f64(calls) })
    }

    /// The median time of one call among `calls`, one after the other, microseconds.
    pub(crate) fn median_latency(&self, to: SocketAddr, wire: Wire, calls: u64) -> anyhow::Result<f64> {
        let log = self.folder.join("latencies");
        drop(fs::remove_file(&log));
        let mut command = self.command(to, wire, Crowd::ONE, calls);
        let output = command.arg("--log-file").arg(&log).output()?;
        ensure!(output.status.success(), "h2load failed");
        let lines = fs::read_to_string(&log)?;
        let times: Option<Result<Vec<f64>, _>> =
            lines.lines().map(|line| line.split('\t').nth(2).map(str::parse)).collect();
        Ok(crate::measure::Spread::of(&times.context("a short line in h2load's log")??)?.median)
    }

    fn command(&self, to: SocketAddr, wire: Wire, crowd: Crowd, calls: u64) -> Command {
        let kind = match wire {
            Wire::Web1 | Wire::Web2 => "content-type: application/grpc-web+proto",
            Wire::Native => "content-type: application/grpc",
        };
        let mut command = Command::new(&self.program);
        command.args(["-n", &calls.to_string(), "-c", &crowd.connections.to_string()]);
        command.args(["-m", &crowd.each.to_string(), "-t", "1"]).arg("-d").arg(self.folder.join("message"));
        command.args(["-H", kind, "-H", "te: trailers", "-H", "grpc-timeout: 5S", "-H", &self.authorization]);
        if wire == Wire::Web1 {
            command.arg("--h1");
        }
        command.arg(format!("https://localhost:{}/caremesh.bench.v1.LoadService/Echo", to.port()));
        command.arg("--connect-to").arg(to.to_string());
        command
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of calls")]
fn as_f64(calls: u64) -> f64 {
    calls as f64
}

/// The number that stands before `unit`.
fn number_before(text: &str, unit: &str) -> anyhow::Result<f64> {
    let end = text.find(unit).with_context(|| format!("h2load says nothing of{unit}: {text}"))?;
    let number = text[..end].rsplit([' ', ',']).next().context("no number")?;
    Ok(number.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_out_of_what_h2load_prints() {
        let text = "finished in 1.05s, 9523.81 req/s, 1.02MB/s\n\
                    requests: 10000 total, 10000 started, 10000 done, 10000 succeeded, 0 failed\n";
        assert_eq!(number_before(text, " req/s").expect("there"), 9523.81);
        assert_eq!(number_before(text, " succeeded").expect("there"), 10_000.0);
        assert!(number_before(text, " furlongs").is_err());
    }
}
