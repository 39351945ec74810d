//! The real `caremesh` binary as a child process whose words are kept.
//! Must not know what the commands mean.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout};

/// A debug build on a busy machine takes its time.
pub const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(40);
const POLL: Duration = Duration::from_millis(10);

/// How many meshes run at a time: more would only make each other late.
static TURNS: Semaphore = Semaphore::const_new(2);

/// Waits for a turn to run a mesh; keep it for as long as the mesh runs.
///
/// # Errors
/// Never: the turns are not closed.
pub async fn turn() -> Result<SemaphorePermit<'static>> {
    Ok(TURNS.acquire().await?)
}

/// A running process. Killed when dropped.
pub struct Program {
    child: Child,
    output: PathBuf,
}

/// The binary that was built with these tests.
///
/// # Errors
/// When it was not built.
pub fn binary() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(Path::parent).context("tests run in target/<profile>/deps")?;
    let binary = folder.join("caremesh");
    anyhow::ensure!(binary.exists(), "{} is not built: cargo build --package caremesh", binary.display());
    Ok(binary)
}

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be started, or does not end.
pub async fn run(arguments: &[&str], environment: &[(&str, String)]) -> Result<Output> {
    let output = command(arguments, environment)?.kill_on_drop(true).output();
    Ok(timeout(START_LIMIT, output).await.with_context(|| format!("{arguments:?} did not end"))??)
}

fn command(arguments: &[impl AsRef<OsStr>], environment: &[(&str, String)]) -> Result<Command> {
    let mut command = Command::new(binary()?);
    command.args(arguments).envs(environment.iter().map(|(name, value)| (name, value)));
    Ok(command)
}

impl Program {
    /// Starts it; everything it says goes to the end of `output`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(arguments: &[&str], environment: &[(&str, String)], output: &Path) -> Result<Self> {
        let words = File::options().create(true).append(true).open(output)?;
        let child = command(arguments, environment)?
            .stdin(Stdio::null())
            .stdout(words.try_clone()?)
            .stderr(words)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { child, output: output.to_owned() })
    }

    /// Waits until it has said `words` `times` times in all.
    ///
    /// # Errors
    /// When it ends before, or takes longer than [`START_LIMIT`].
    pub async fn until_it_says(&mut self, words: &str, times: usize) -> Result<()> {
        let started = Instant::now();
        loop {
            if self.said()?.matches(words).count() >= times {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status} instead of saying {words:?}:\n{}", self.said()?);
            }
            if started.elapsed() > START_LIMIT {
                bail!("it never said {words:?}:\n{}", self.said()?);
            }
            sleep(POLL).await;
        }
    }

    /// Everything it has said.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn said(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.output)?).into_owned())
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When nobody can say.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// The process id.
    ///
    /// # Errors
    /// When it has ended.
    pub fn id(&self) -> Result<u32> {
        self.child.id().context("it has ended")
    }

    /// kill -9: no drain, no flush, no goodbye.
    ///
    /// # Errors
    /// When it had ended before.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Asks it to stop as an orchestrator does (SIGTERM), and waits.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        let id = self.id()?.to_string();
        Command::new("kill").args(["-TERM", &id]).status().await?;
        let ended = timeout(STOP_LIMIT, self.child.wait()).await;
        Ok(ended.with_context(|| format!("it did not stop:\n{}", self.said().unwrap_or_default()))??)
    }
}

/// Free loopback ports, each once.
///
/// # Errors
/// When there are none.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    // All are held at once, so that none comes twice.
    let held: Vec<std::net::TcpListener> =
        (0..N).map(|_| std::net::TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&held) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}
