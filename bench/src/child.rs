//! Processes that a benchmark starts beside itself: this program again in another part, or a peer.
//! They end with the benchmark. Must not know what they serve.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::time::Instant;

/// How long a process may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A process that is killed when the benchmark drops it.
pub(crate) struct Process(Child);

impl Process {
    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// This program with `arguments`; gives the addresses that it prints on its first line.
    pub(crate) fn of_this_program(arguments: &[&str]) -> anyhow::Result<(Self, Vec<SocketAddr>)> {
        Self::of_this_program_under(&[], arguments)
    }

    /// The same, run by the program that `under` begins with.
    pub(crate) fn of_this_program_under(
        under: &[&str],
        arguments: &[&str],
    ) -> anyhow::Result<(Self, Vec<SocketAddr>)> {
        let this = std::env::current_exe()?;
        let mut command = match under {
            [] => Command::new(this),
            [program, options @ ..] => {
                let mut command = Command::new(program);
                command.args(options).arg(this);
                command
            }
        };
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("no output")?;
        let process = Self(child);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let addresses: Result<Vec<SocketAddr>, _> = line.split_whitespace().map(str::parse).collect();
        let addresses = addresses.context("the first line is not a list of addresses")?;
        ensure!(!addresses.is_empty(), "the process ended before it listened");
        Ok((process, addresses))
    }

    /// Another program, once it has said a line that begins like this.
    pub(crate) fn saying(command: &mut Command, line: &str) -> anyhow::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("no output")?;
        let process = Self(child);
        let mut lines = BufReader::new(output).lines();
        let said = lines.by_ref().find(|said| said.as_ref().is_ok_and(|said| said.starts_with(line)));
        ensure!(said.is_some(), "{command:?} ended before it said {line:?}");
        // Whoever writes to a pipe that is closed ends.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(process)
    }

    /// Ends it as an operator would, and waits until it has ended.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        Command::new("kill").args(["-TERM", &self.id().to_string()]).status()?;
        self.0.wait()?;
        Ok(())
    }

    /// Another program, which listens at `address` once it is ready.
    pub(crate) fn of(command: &mut Command, address: SocketAddr) -> anyhow::Result<Self> {
        let process = Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            ensure!(begun.elapsed() < START_LIMIT, "{command:?} does not listen");
            sleep(Duration::from_millis(20));
        }
        Ok(process)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The first of these programs that can be started here.
pub(crate) fn installed<'a>(programs: impl IntoIterator<Item = &'a Path>) -> Option<PathBuf> {
    let starts = |program: &&Path| {
        let quiet =
            Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        quiet.is_ok()
    };
    programs.into_iter().find(starts).map(Path::to_path_buf)
}

/// A loopback address that is free now, for a program that cannot choose one itself.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
