//! Hold and capture, and eligibility, on PostgreSQL with fsync on: through gRPC, TLS and the whole stack, audit
//! and idempotency included, beside pgbench running the very statements and commits of the same work.

pub(crate) mod database;
pub(crate) mod world;

use std::path::PathBuf;

use clap::Args;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::measure::{Limit, Spread, report};
use crate::replay::log::{Logged, parse};
use crate::replay::script::script;
use database::{Database, READING, WRITING, now};
use world::{Spender, Surroundings, World, check_eligibility};

/// How many and how often.
#[derive(Args)]
pub(crate) struct Options {
    /// Rounds; both sides take a turn in each.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Clients, each with a family and a connection of its own.
    #[arg(long, default_value_t = 16)]
    clients: u32,
    /// Hold-and-capture cycles of each client in a round.
    #[arg(long, default_value_t = 60)]
    cycles: usize,
}

/// The database with the families in it.
const BASE: &str = "base";
/// A copy of it for one turn.
const TURN: &str = "turn";

/// Records once, then measures in turns.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    caremesh_mesh::tls::install_provider();
    Runtime::new()?.block_on(measure(options))
}

async fn measure(options: &Options) -> anyhow::Result<()> {
    let (database, around) = (Database::start()?, Surroundings::new().await?);
    let members = prepare(&database, &around, options).await?;
    let postings = Recorded::postings(&database, &around, &members, options).await?;
    let checks = Recorded::checks(&database, &around, &members, options).await?;
    let (mut spent, mut checked) = (Turns::default(), Turns::default());
    for _ in 0..options.rounds {
        spent.ours.push(spend(&database, &around, &members, options).await?);
        spent.theirs.push(postings.replay(&database)?);
        checked.ours.push(check(&database, &around, &members, options).await?);
        checked.theirs.push(checks.replay(&database)?);
    }
    print(options, &database, &postings, &spent, &checked)
}

/// Rates of both sides, round by round.
#[derive(Default)]
struct Turns {
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

impl Turns {
    fn ratio(&self) -> anyhow::Result<Spread> {
        let ratios: Vec<f64> =
            self.ours.iter().zip(&self.theirs).map(|(ours, theirs)| ours / theirs).collect();
        Spread::of(&ratios)
    }
}

fn print(
    options: &Options,
    database: &Database,
    postings: &Recorded,
    spent: &Turns,
    checked: &Turns,
) -> anyhow::Result<()> {
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    println!(
        "ledger, {build}, PostgreSQL with fsync, {} clients, {} rounds",
        options.clients, options.rounds
    );
    let trips = Spread::of(&[postings.statements_per_unit])?;
    report("statements of a posting, BEGIN and COMMIT included", trips, "", Limit::AtMost(4.0));
    println!("hold and capture, ours      {} postings/s", Spread::of(&spent.ours)?);
    println!("the same, pgbench           {} postings/s", Spread::of(&spent.theirs)?);
    report("hold and capture ÷ pgbench, same statements", spent.ratio()?, "×", Limit::AtLeast(0.7));
    println!("eligibility, ours           {} checks/s", Spread::of(&checked.ours)?);
    println!("its reads, pgbench          {} checks/s", Spread::of(&checked.theirs)?);
    report("eligibility ÷ pgbench, its reads", checked.ratio()?, "×", Limit::AtLeast(0.3));
    let tpc_b = database.tpc_b(usize::try_from(options.clients)?, 5)?;
    println!("pgbench's own TPC-B         {tpc_b:.0} transactions/s");
    Ok(())
}

/// Makes the base database: schema, plans, one family for each client.
async fn prepare(
    database: &Database,
    around: &Surroundings,
    options: &Options,
) -> anyhow::Result<Vec<String>> {
    database.copy("template0", BASE)?;
    around.migrate(&database.url(BASE)).await?;
    let world = around.serve(&database.url(BASE), 4).await?;
    let mut members = Vec::new();
    for _ in 0..options.clients {
        members.push(world.family().await?);
    }
    world.stop().await;
    Ok(members)
}

/// A service on a fresh copy of the base.
async fn turn<'a>(database: &Database, around: &'a Surroundings, clients: u32) -> anyhow::Result<World<'a>> {
    database.copy(BASE, TURN)?;
    around.serve(&database.url(TURN), clients).await
}

/// Postings a second of all clients at once.
#[expect(clippy::cast_precision_loss, reason = "a count of postings")]
async fn spend(
    database: &Database,
    around: &Surroundings,
    members: &[String],
    options: &Options,
) -> anyhow::Result<f64> {
    let world = turn(database, around, options.clients).await?;
    let mut clients = JoinSet::new();
    let mut spenders = Vec::new();
    for member in members {
        spenders.push(Spender::new(world.spender()?, member).await?);
    }
    let started = now();
    for mut spender in spenders {
        let cycles = options.cycles;
        clients.spawn(async move {
            for _ in 0..cycles {
                spender.cycle().await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    let seconds = started.elapsed().as_secs_f64();
    world.stop().await;
    Ok((members.len() * options.cycles * 2) as f64 / seconds)
}

/// Eligibility checks a second of all clients at once.
#[expect(clippy::cast_precision_loss, reason = "a count of checks")]
async fn check(
    database: &Database,
    around: &Surroundings,
    members: &[String],
    options: &Options,
) -> anyhow::Result<f64> {
    let world = turn(database, around, options.clients).await?;
    let mut clients = JoinSet::new();
    let each = options.cycles * 4;
    let started = now();
    for member in members {
        let (channel, member) = (world.spender()?, member.clone());
        clients.spawn(async move {
            for _ in 0..each {
                check_eligibility(&channel, &member).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    let seconds = started.elapsed().as_secs_f64();
    world.stop().await;
    Ok((members.len() * each) as f64 / seconds)
}

/// What pgbench runs: one script for each client.
struct Recorded {
    scripts: Vec<PathBuf>,
    units: usize,
    statements_per_unit: f64,
    session: &'static str,
}

impl Recorded {
    /// Each client alone, so that the log is in its order; only transactions that post are kept.
    async fn postings(
        database: &Database,
        around: &Surroundings,
        members: &[String],
        options: &Options,
    ) -> anyhow::Result<Self> {
        let world = recording(database, around).await?;
        let (mut kept, mut seen) = (Vec::new(), 0);
        for member in members {
            let mut spender = Spender::new(world.spender()?, member).await?;
            for _ in 0..options.cycles {
                spender.cycle().await?;
            }
            let statements = parse(&database.log()?);
            kept.push(transactions_with(&statements[seen..], "INSERT INTO posting "));
            seen = statements.len();
        }
        world.stop().await;
        Self::write(around, "post", &kept, options.cycles * 2, WRITING)
    }

    /// The reads of eligibility checks: statements outside transactions that each check runs.
    async fn checks(
        database: &Database,
        around: &Surroundings,
        members: &[String],
        options: &Options,
    ) -> anyhow::Result<Self> {
        let world = recording(database, around).await?;
        let channel = world.spender()?;
        let each = options.cycles * 4;
        let (mut kept, mut seen) = (Vec::new(), parse(&database.log()?).len());
        for member in members {
            for _ in 0..each {
                check_eligibility(&channel, member).await?;
            }
            let statements = parse(&database.log()?);
            kept.push(repeated_reads(&statements[seen..], each));
            seen = statements.len();
        }
        world.stop().await;
        Self::write(around, "check", &kept, each, READING)
    }

    #[expect(clippy::cast_precision_loss, reason = "a count of statements")]
    fn write(
        around: &Surroundings,
        name: &str,
        clients: &[Vec<Logged>],
        each: usize,
        session: &'static str,
    ) -> anyhow::Result<Self> {
        let mut scripts = Vec::new();
        for (number, statements) in clients.iter().enumerate() {
            anyhow::ensure!(!statements.is_empty(), "nothing was recorded for client {number}");
            let path = around.folder().join(format!("{name}-{number}.sql"));
            std::fs::write(&path, script(statements))?;
            scripts.push(path);
        }
        let statements: usize = clients.iter().map(Vec::len).sum();
        let units = each * clients.len();
        Ok(Self { scripts, units, statements_per_unit: statements as f64 / units as f64, session })
    }

    /// Units a second that pgbench reaches on a fresh copy of the base.
    #[expect(clippy::cast_precision_loss, reason = "a count of units")]
    fn replay(&self, database: &Database) -> anyhow::Result<f64> {
        database.copy(BASE, TURN)?;
        Ok(self.units as f64 / database.replay(TURN, &self.scripts, self.session)?)
    }
}

/// A service whose every statement is logged.
async fn recording<'a>(database: &Database, around: &'a Surroundings) -> anyhow::Result<World<'a>> {
    database.copy(BASE, TURN)?;
    database.log_statements(TURN)?;
    around.serve(&database.url(TURN), 2).await
}

/// The transactions that contain a statement with `mark`, whole, in the order of their commits.
pub(crate) fn transactions_with(statements: &[Logged], mark: &str) -> Vec<Logged> {
    let mut open: std::collections::HashMap<u32, Vec<Logged>> = std::collections::HashMap::new();
    let mut kept = Vec::new();
    for logged in statements {
        let transaction = open.entry(logged.process).or_default();
        if logged.sql.starts_with("BEGIN") {
            transaction.clear();
        }
        transaction.push(logged.clone());
        if logged.sql.starts_with("COMMIT") && transaction.iter().any(|one| one.sql.contains(mark)) {
            kept.append(transaction);
        }
    }
    kept
}

/// Selects that ran at least once for each of `calls` calls, outside transactions.
pub(crate) fn repeated_reads(statements: &[Logged], calls: usize) -> Vec<Logged> {
    let is_read = |logged: &&Logged| logged.sql.starts_with("SELECT") || logged.sql.starts_with("WITH");
    let reads: Vec<&Logged> =
        statements.iter().filter(is_read).filter(|logged| !writes(&logged.sql)).collect();
    let often = |sql: &str| reads.iter().filter(|logged| logged.sql == sql).count() >= calls;
    let mut known: std::collections::HashMap<&str, bool> = std::collections::HashMap::new();
    let kept = reads.iter().filter(|logged| *known.entry(&logged.sql).or_insert_with(|| often(&logged.sql)));
    kept.map(|logged| (*logged).clone()).collect()
}

fn writes(sql: &str) -> bool {
    ["INSERT ", "UPDATE ", "DELETE "].iter().any(|verb| sql.contains(verb))
}
