//! Programs that tests drive and that a machine may lack. What is missing is skipped aloud; where
//! CAREMESH_REQUIRE_TOOLS=1 says that everything must be there, it is a failure.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// Node.js with the packages of `e2e/web`, or `None` after saying so.
#[must_use]
pub fn node() -> Option<PathBuf> {
    find(&["e2e/web/node_modules"], "the packages of e2e/web", "run `make setup`")?;
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
