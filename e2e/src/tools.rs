//! Programs that tests drive and that a machine may lack. What is missing is skipped aloud; where
//! CAREMESH_REQUIRE_TOOLS=1 says that everything must be there, it is a failure.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::AsyncWriteExt;

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// grpcurl, or `None` after saying so.
#[must_use]
pub fn grpcurl() -> Option<PathBuf> {
    find(&[".tools/venv/bin/grpcurl", "grpcurl"], "grpcurl", "run `make setup`")
}

/// A Python with grpcio, or `None` after saying so.
#[must_use]
pub fn python() -> Option<PathBuf> {
    find(&[".tools/venv/bin/python"], "Python with grpcio", "run `make setup`")
}

/// The generated Python client's folder, or `None` after saying so.
#[must_use]
pub fn python_client() -> Option<PathBuf> {
    find(&["clients/python/gen"], "the generated Python client", "run `make clients`")
}

/// Node.js with the packages of `e2e/web` and `e2e/node`, or `None` after saying so.
#[must_use]
pub fn node() -> Option<PathBuf> {
    find(&["e2e/web/node_modules"], "the packages of e2e/web", "run `make setup`")?;
    find(&["e2e/node/node_modules"], "the packages of e2e/node", "run `make setup`")?;
    find(&["node"], "Node.js", "install Node.js 20 or later")
}

/// The generated TypeScript client's folder, or `None` after saying so.
#[must_use]
pub fn typescript_client() -> Option<PathBuf> {
    find(&["clients/ts/gen"], "the generated TypeScript client", "run `make clients`")
}

/// Chromium, or `None` after saying so.
#[must_use]
pub fn chromium() -> Option<PathBuf> {
    find(&["chromium", "chromium-browser", "google-chrome"], "Chromium", "install the package `chromium`")
}

/// A TypeScript file of `folder` and all that it imports as one script.
///
/// # Errors
/// With what esbuild said.
pub async fn bundle(folder: &Path, file: &str, options: &[&str]) -> Result<String> {
    let client = root().join("clients/ts/node_modules");
    let output = tokio::process::Command::new(client.join(".bin/esbuild"))
        .args([file, "--bundle", "--format=esm", "--log-level=warning"])
        .args(options)
        // What has no packages of its own uses the client's.
        .env("NODE_PATH", client)
        .current_dir(folder)
        .output()
        .await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs a script in Node.js: its order goes in as JSON, what it saw comes back as JSON.
///
/// # Errors
/// With what the script said when it failed.
pub async fn run_node(
    node: &Path,
    script: &Path,
    environment: &[(&str, PathBuf)],
    order: &Value,
) -> Result<Value> {
    let mut program = tokio::process::Command::new(node)
        .arg(script)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    // By standard input: a bundled page is too long for an argument.
    let mut stdin = program.stdin.take().context("a standard input")?;
    stdin.write_all(order.to_string().as_bytes()).await?;
    drop(stdin);
    let output = program.wait_with_output().await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).with_context(|| said)
}

/// Says that a test did nothing, and why.
///
/// # Panics
/// Where CAREMESH_REQUIRE_TOOLS=1 says that nothing may be skipped.
pub fn skip(what: &str, cure: &str) {
    let line = format!("SKIPPED: {what} is missing: {cure}");
    assert!(!required(), "{line}");
    // Not eprintln: the test harness would swallow it. On a line of its own, whatever the harness draws.
    let _ = writeln!(std::io::stderr(), "\n{line}");
}

#[expect(clippy::disallowed_methods, reason = "a test's own switch; no component reads it")]
fn required() -> bool {
    std::env::var("CAREMESH_REQUIRE_TOOLS").is_ok_and(|value| value == "1")
}

/// How often svc-policy is killed: 3 times; 100 in `make soak`; as often as CAREMESH_KILL_CYCLES says.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a test's own switches; no component reads them")]
pub fn kill_cycles() -> usize {
    let usual = if std::env::var_os("CAREMESH_SOAK").is_some() { 100 } else { 3 };
    std::env::var("CAREMESH_KILL_CYCLES").ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

fn find(candidates: &[&str], what: &str, cure: &str) -> Option<PathBuf> {
    let found = candidates.iter().find_map(|candidate| locate(candidate));
    if found.is_none() {
        skip(what, cure);
    }
    found
}

fn locate(candidate: &str) -> Option<PathBuf> {
    if candidate.contains('/') {
        return Some(root().join(candidate)).filter(|path| path.exists());
    }
    let which = Command::new("sh").arg("-c").arg(format!("command -v {candidate}")).output().ok()?;
    let path = String::from_utf8(which.stdout).ok()?;
    which.status.success().then(|| PathBuf::from(path.trim()))
}
