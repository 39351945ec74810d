//! A PostgreSQL server with fsync on, databases copied from one another, pgbench, and the statement log.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use caremesh_testkit::database::{Cluster, Durability, program};

/// What the service sets in its sessions and bears on plans, so that the peer has the same: in those that write.
pub(crate) const WRITING: &str = "-c plan_cache_mode=force_generic_plan -c jit=off -c random_page_cost=1.1";
/// And in those that read.
pub(crate) const READING: &str = "-c jit=off -c random_page_cost=1.1";

/// The benchmark's own server.
pub(crate) struct Database {
    cluster: Cluster,
}

impl Database {
    /// Starts a server whose commits reach the disk.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let cluster = Cluster::start(Durability::Full)?.context("PostgreSQL is not installed")?;
        let database = Self { cluster };
        database.sql("ALTER SYSTEM SET log_line_prefix = '%p %d|'")?;
        database.sql("SELECT pg_reload_conf()")?;
        Ok(database)
    }

    /// The URL of a database of this server.
    pub(crate) fn url(&self, name: &str) -> String {
        let server = self.cluster.url().rsplit_once('/').map_or("", |(server, _)| server);
        format!("{server}/{name}")
    }

    /// Makes `name` an exact copy of `template`, dropping what was there.
    pub(crate) fn copy(&self, template: &str, name: &str) -> anyhow::Result<()> {
        self.sql(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))?;
        let until = deadline(Duration::from_secs(20));
        // A template must have no connections, and those of a service that has ended linger for a moment.
        while self.sql(&format!("CREATE DATABASE {name} TEMPLATE {template}")).is_err() {
            ensure!(before(until), "{template} cannot be copied");
            std::thread::sleep(Duration::from_millis(100));
        }
        self.sql("CHECKPOINT")
    }

    /// Logs every statement that new connections to `name` run.
    pub(crate) fn log_statements(&self, name: &str) -> anyhow::Result<()> {
        self.sql(&format!("ALTER DATABASE {name} SET log_statement = 'all'"))
    }

    /// What the server has logged so far.
    pub(crate) fn log(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.cluster.socket_folder().join("server.log"))?)
    }

    /// Runs one statement on the maintenance database.
    fn sql(&self, sql: &str) -> anyhow::Result<()> {
        let mut psql = self.tool("psql")?;
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-c", sql]);
        let output = psql.output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Runs one script per client, all at once, and gives the seconds until the last has ended.
    pub(crate) fn replay(&self, name: &str, scripts: &[PathBuf], session: &str) -> anyhow::Result<f64> {
        let started = now();
        let running: Vec<Child> = scripts
            .iter()
            .map(|script| {
                let mut pgbench = self.tool("pgbench")?;
                pgbench.args(["-n", "-c", "1", "-j", "1", "-t", "1", "-f"]).arg(script).arg(name);
                pgbench.env("PGOPTIONS", session);
                Ok(pgbench.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
            })
            .collect::<anyhow::Result<_>>()?;
        for child in running {
            let output = child.wait_with_output()?;
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            ensure!(output.status.success() && !errors.contains("ERROR"), "pgbench: {errors}");
        }
        Ok(started.elapsed().as_secs_f64())
    }

    /// pgbench's own TPC-B, prepared, for `seconds`: transactions a second.
    pub(crate) fn tpc_b(&self, clients: usize, seconds: u32) -> anyhow::Result<f64> {
        self.sql("DROP DATABASE IF EXISTS tpcb WITH (FORCE)")?;
        self.sql("CREATE DATABASE tpcb")?;
        let made = self.tool("pgbench")?.args(["-i", "-q", "-s", "16", "tpcb"]).output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let (clients, seconds) = (clients.to_string(), seconds.to_string());
        let output = self
            .tool("pgbench")?
            .args(["-n", "-M", "prepared", "-c", &clients, "-j", "2", "-T", &seconds, "tpcb"])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let Some(rate) = text.lines().find_map(|line| line.strip_prefix("tps = ")) else {
            bail!("pgbench said: {text}")
        };
        Ok(rate.split_whitespace().next().context("no rate")?.parse()?)
    }

    fn tool(&self, name: &str) -> anyhow::Result<Command> {
        let path = program(name).with_context(|| format!("{name} is not installed"))?;
        let mut command = Command::new(path);
        command.args(["-h", "127.0.0.1", "-p", &self.cluster.port().to_string(), "-U", "postgres"]);
        Ok(command)
    }
}

#[expect(clippy::disallowed_methods, reason = "wall time is what is measured")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

fn deadline(length: Duration) -> Instant {
    now() + length
}

fn before(instant: Instant) -> bool {
    now() < instant
}
