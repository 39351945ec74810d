//! `with-postgres COMMAND…`: runs a command beside one PostgreSQL server that all its test processes share.
//! Must not know what the command tests.

use std::process::{Command, ExitCode};

use caremesh_testkit::database::{Cluster, Durability};

/// Starts the server, gives its address in `CAREMESH_TEST_POSTGRES_URL`, and ends with the command's exit code. Without
/// PostgreSQL the command runs all the same, and each of its tests says what it skips.
fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let program =
        arguments.next().ok_or_else(|| anyhow::anyhow!("usage: with-postgres COMMAND [ARGUMENT…]"))?;
    let mut command = Command::new(program);
    command.args(arguments);
    let cluster = Cluster::start(Durability::None)?;
    if let Some(cluster) = &cluster {
        command.env("CAREMESH_TEST_POSTGRES_URL", cluster.url());
    }
    let status = command.status()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}
