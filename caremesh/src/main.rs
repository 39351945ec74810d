//! The process: reads the command line, runs the command, ends with its exit code.
//! Must not know how a command does its work.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match caremesh::commands::run(caremesh::cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            caremesh::terminal::say(&format!("caremesh: {}", failure.sentence()));
            failure.code()
        }
    }
}
