//! The checks of this repository that no linter knows. Reads the tree, the documents and the contract;
//! changes nothing but `target/` and, when asked to, `docs/errors.md`. Knows nothing of how Caremesh runs.

mod buf;
mod coverage;
mod docs;
mod findings;
mod tidy;
mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::findings::Findings;
use crate::tree::Tree;

/// Repository checks of Caremesh.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Imports, sizes, headers and handlers of the Rust code.
    Tidy {
        /// Write what is long today to xtask/known-long.txt instead of failing on it.
        #[arg(long)]
        accept_long: bool,
    },
    /// Every path and every make target that a document names exists; docs/errors.md is the contract's.
    DocsCheck,
    /// Write docs/errors.md from the contract.
    ErrorsDoc,
    /// Every method and field of the contract says what it must.
    ApiCoverage {
        /// Folder of test recordings: also demand that each declared reason and each denial was seen.
        #[arg(long, value_name = "DIR")]
        seen: Option<PathBuf>,
    },
    /// Write target/buf, a workspace in which buf works without the network.
    BufWorkspace,
}

fn main() -> ExitCode {
    match run(&Arguments::parse().task) {
        Ok(findings) => findings.report(),
        Err(error) => {
            Findings::failed(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> anyhow::Result<Findings> {
    let root = root()?;
    match task {
        Task::Tidy { accept_long } => tidy::check(&Tree::read(&root)?, &root, *accept_long),
        Task::DocsCheck => docs::check(&Tree::read(&root)?, &coverage::contract()?),
        Task::ErrorsDoc => docs::write_errors(&root, &coverage::contract()?),
        Task::ApiCoverage { seen } => coverage::check(&coverage::contract()?, seen.as_deref()),
        Task::BufWorkspace => buf::write_workspace(&root),
    }
}

/// The repository, wherever inside it the command was started.
fn root() -> anyhow::Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().map(Path::to_path_buf).context("xtask/ has no parent folder")
}
