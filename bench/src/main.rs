//! `make bench`: measures Caremesh beside a peer or a limit in the same run and prints ratios.
//!
//! These figures are taken on small, noisy machines: rounds are interleaved, the median is what counts,
//! the spread stands beside it. Knows the crates it measures; nothing depends on it.

#![expect(clippy::print_stdout, reason = "the figures are the output")]
#![expect(clippy::float_arithmetic, reason = "ratios of measurements")]

mod build;
mod child;
mod engine;
mod gateway;
mod ledger;
mod measure;
mod order;
mod replay;
mod search;
mod stack;
mod startup;

use anyhow::ensure;
use clap::{Parser, Subcommand};

/// Benchmarks that print ratios.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// Lines that the benefit engine prices in a second.
    Engine(engine::Options),
    /// Hold, capture and eligibility beside pgbench running the same statements.
    Ledger(ledger::Options),
    /// The quote of an order, with its calls to svc-policy, beside pgbench running the same statements.
    Order(order::Options),
    /// Medication search at 250,000 products, with recall, beside Meilisearch.
    Search(search::Options),
    /// `caremesh up` on an existing data folder: time until ready, memory at rest.
    Startup(startup::Options),
    /// Processor time of a call through the mesh's server stack beside a bare tonic server.
    Stack(stack::Options),
    /// A server process of `stack`; not to be called by hand.
    #[command(hide = true)]
    StackServer(stack::ChildOptions),
    /// The gateway beside Envoy, HAProxy and direct calls.
    Gateway(gateway::Options),
    /// Instructions of a call through the gateway beside what was recorded; fails when it got dearer.
    Instructions(gateway::instructions::Options),
    /// A process of `gateway`; not to be called by hand.
    #[command(hide = true)]
    GatewayPart(gateway::ChildOptions),
    /// A build from nothing, a build with nothing to do, a rebuild after a change in one service.
    Build(build::Options),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().what {
        Some(what) => run(&what),
        None => all(),
    }
}

fn run(what: &What) -> anyhow::Result<()> {
    match what {
        What::Engine(options) => engine::run(options),
        What::Ledger(options) => ledger::run(options),
        What::Order(options) => order::run(options),
        What::Search(options) => search::run(options),
        What::Startup(options) => startup::run(options),
        What::Stack(options) => stack::run(options),
        What::StackServer(options) => stack::serve(options),
        What::Gateway(options) => gateway::run(options),
        What::Instructions(options) => gateway::instructions::run(options),
        What::GatewayPart(options) => gateway::serve(options),
        What::Build(options) => build::run(options),
    }
}

/// Everything with its defaults, the longest last. What cannot run says so and does not stop the others.
fn all() -> anyhow::Result<()> {
    let mut failed = Vec::new();
    for name in
        ["engine", "stack", "gateway", "instructions", "ledger", "order", "search", "startup", "build"]
    {
        println!("\n# {name}");
        let arguments = Arguments::parse_from(["caremesh-bench", name]);
        if let Some(Err(error)) = arguments.what.as_ref().map(run) {
            println!("{name} did not finish: {error:#}");
            failed.push(name);
        }
    }
    ensure!(failed.is_empty(), "these did not finish: {}", failed.join(", "));
    Ok(())
}
