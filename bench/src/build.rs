//! How long a newcomer waits: a build from nothing, a build with nothing to do, a rebuild after a change.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime};

use anyhow::{Context, ensure};
use clap::Args;

use crate::measure::{Limit, Spread, report};

/// What to build and where.
#[derive(Args)]
pub(crate) struct Options {
    /// The project's root.
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

/// Builds the one binary as `make run` does, in an empty target folder.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let target = tempfile::tempdir().context("no temporary folder")?;
    let cold = build(&options.root, target.path())?;
    let idle = build(&options.root, target.path())?;
    touch(&options.root.join("svc-policy/src/lib.rs"))?;
    let changed = build(&options.root, target.path())?;
    println!("build of `caremesh`, debug, as `make run` does it");
    report("from nothing", Spread::of(&[cold])?, "s", Limit::AtMost(720.0));
    report("nothing to do", Spread::of(&[idle])?, "s", Limit::AtMost(5.0));
    report("after a change in svc-policy", Spread::of(&[changed])?, "s", Limit::AtMost(30.0));
    Ok(())
}

/// Seconds that `cargo build` takes.
#[expect(clippy::disallowed_methods, reason = "wall time is what is measured")]
fn build(root: &Path, target: &Path) -> anyhow::Result<f64> {
    let started = Instant::now();
    let status = Command::new("cargo")
        .args(["build", "--quiet", "--locked", "--package", "caremesh", "--target-dir"])
        .arg(target)
        .current_dir(root)
        .stdout(Stdio::null())
        .status()
        .context("cargo does not start")?;
    ensure!(status.success(), "the build failed");
    Ok(started.elapsed().as_secs_f64())
}

/// Makes cargo think that a file has changed.
#[expect(clippy::disallowed_methods, reason = "the file system's clock is meant")]
fn touch(path: &Path) -> anyhow::Result<()> {
    let file = File::options().append(true).open(path).with_context(|| format!("{}", path.display()))?;
    file.set_modified(SystemTime::now())?;
    ensure!(fs::metadata(path)?.len() > 0, "an empty source file");
    Ok(())
}
