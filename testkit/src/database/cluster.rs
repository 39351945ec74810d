//! Starts and stops a PostgreSQL server for tests, without root and without leftovers.
//! Must not know which tests use it.

use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

/// Whether commits reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// `fsync` on: for benchmarks and for tests that kill the server.
    Full,
    /// `fsync` off: for all others, whose data nobody needs after the run.
    None,
}

/// A running PostgreSQL server with its data in a temporary folder.
///
/// The server is the child of a shell that waits for its standard input to close. So it stops, and its folder goes, when
/// this value is dropped and also when the process that owns it is killed.
#[derive(Debug)]
pub struct Cluster {
    url: String,
    socket_folder: PathBuf,
    port: u16,
    shell: Child,
    lifeline: Option<ChildStdin>,
}

const SUPERVISE: &str = r#"
"$1" -D "$2/data" -p "$3" -k "$2" -c listen_addresses=127.0.0.1 -c max_connections=400 -c shared_buffers=128MB \
  -c fsync="$4" -c full_page_writes="$4" -c synchronous_commit=on -c max_wal_size=512MB -c log_min_messages=error \
  >"$2/server.log" 2>&1 &
server=$!
read -r _closed
kill -QUIT "$server" 2>/dev/null
wait "$server"
rm -rf "$2"
"#;

impl Cluster {
    /// Starts a server, or returns `None` when PostgreSQL is not installed (neither on `PATH` nor under
    /// `/usr/lib/postgresql`).
    ///
    /// # Errors
    /// When an installed PostgreSQL does not start within 30 seconds; with the tail of its log.
    pub fn start(durability: Durability) -> anyhow::Result<Option<Self>> {
        let (Some(initdb), Some(postgres)) = (program("initdb"), program("postgres")) else {
            return Ok(None);
        };
        let owner = server_user()?;
        let folder = tempfile::Builder::new().prefix("caremesh-pg-").tempdir()?.keep();
        if let Some((uid, gid)) = owner {
            chown(&folder, Some(uid), Some(gid))?;
        }
        init(&initdb, &folder, owner)?;
        // Another process may take the port between choosing and binding it: choose again.
        let mut failure = None;
        for _ in 0..3 {
            match Self::launch(&postgres, &folder, owner, durability) {
                Ok(cluster) => return Ok(Some(cluster)),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| anyhow::anyhow!("PostgreSQL did not start")))
    }

    /// Address of the maintenance database, over loopback.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Folder of the unix socket, for tools that take `-h FOLDER -p PORT` such as pgbench.
    #[must_use]
    pub fn socket_folder(&self) -> &Path {
        &self.socket_folder
    }

    /// Loopback port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    fn launch(
        postgres: &Path,
        folder: &Path,
        owner: Option<(u32, u32)>,
        durability: Durability,
    ) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let fsync = if durability == Durability::Full { "on" } else { "off" };
        let mut command = as_user(Command::new("/bin/sh"), owner);
        command.args(["-c", SUPERVISE, "sh"]).arg(postgres).arg(folder).args([&port.to_string(), fsync]);
        command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Its own process group: Ctrl-C in a terminal must not stop the server before the tests that use it.
        command.process_group(0);
        let mut shell = command.spawn().context("start of the PostgreSQL server")?;
        let lifeline = shell.stdin.take();
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        let cluster = Self { url, socket_folder: folder.to_owned(), port, shell, lifeline };
        cluster.wait_until_ready(folder)?;
        Ok(cluster)
    }

    fn wait_until_ready(&self, folder: &Path) -> anyhow::Result<()> {
        for _ in 0..1_500 {
            // The server writes "ready" into the last line of its pid file.
            let pid_file = std::fs::read_to_string(folder.join("data/postmaster.pid")).unwrap_or_default();
            if pid_file.lines().last().is_some_and(|line| line.trim() == "ready") {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("PostgreSQL was not ready after 30 s; its log ends: {}", log_tail(folder))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        drop(self.shell.wait());
    }
}

fn init(initdb: &Path, folder: &Path, owner: Option<(u32, u32)>) -> anyhow::Result<()> {
    let mut command = as_user(Command::new(initdb), owner);
    command.arg("-D").arg(folder.join("data")).current_dir(folder);
    command.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
    let output = command.output().context("initdb")?;
    if !output.status.success() {
        bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn as_user(mut command: Command, owner: Option<(u32, u32)>) -> Command {
    if let Some((uid, gid)) = owner {
        command.uid(uid).gid(gid);
    }
    command.env_remove("PGDATA");
    command
}

/// PostgreSQL refuses to run as root. As root, run it as `postgres`, else as `nobody`; otherwise as who we are.
fn server_user() -> anyhow::Result<Option<(u32, u32)>> {
    use std::os::unix::fs::MetadataExt as _;
    let probe = tempfile::NamedTempFile::new()?;
    if probe.as_file().metadata()?.uid() != 0 {
        return Ok(None);
    }
    let passwd = std::fs::read_to_string("/etc/passwd").context("/etc/passwd")?;
    let user = user_in(&passwd, "postgres").or_else(|| user_in(&passwd, "nobody"));
    user.map(Some).context("running as root, and neither postgres nor nobody is a user of this machine")
}

fn user_in(passwd: &str, name: &str) -> Option<(u32, u32)> {
    let fields: Vec<&str> = passwd
        .lines()
        .map(|line| line.split(':').collect())
        .find(|fields: &Vec<&str>| fields.first() == Some(&name))?;
    Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
}

/// A PostgreSQL program, from `PATH` or from the newest version under `/usr/lib/postgresql`.
#[expect(
    clippy::disallowed_methods,
    reason = "where programs are is the machine's to say, not a configuration's"
)]
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut packaged: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    packaged.sort();
    folders.extend(packaged.into_iter().rev());
    folders.into_iter().map(|folder| folder.join(name)).find(|file| file.is_file() && !is_wrapper(file))
}

/// Debian's script that looks for the newest version: it takes longer to start than a short measurement lasts.
fn is_wrapper(file: &Path) -> bool {
    file.canonicalize().is_ok_and(|file| file.ends_with("pg_wrapper"))
}

fn log_tail(folder: &Path) -> String {
    let mut log = String::new();
    if let Ok(mut file) = std::fs::File::open(folder.join("server.log")) {
        drop(file.read_to_string(&mut log));
    }
    let lines: Vec<&str> = log.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd =
            "root:x:0:0::/root:/bin/sh\npostgres-old:x:7:8::/:/bin/false\npostgres:x:101:104:a:/:/bin/bash\n";
        assert_eq!(user_in(passwd, "postgres"), Some((101, 104)));
        assert_eq!(user_in(passwd, "nobody"), None);
    }

    #[test]
    fn a_stopped_server_leaves_no_folder() {
        let Some(cluster) = Cluster::start(Durability::None).expect("start") else {
            return super::super::skipped("PostgreSQL is not installed");
        };
        let folder = cluster.socket_folder().to_owned();
        assert!(folder.exists());
        drop(cluster);
        assert!(!folder.exists(), "{} is left", folder.display());
    }
}
