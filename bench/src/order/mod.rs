//! The quote of an order on PostgreSQL with fsync on: through gRPC, TLS and the whole stack, its real calls to svc-policy
//! included, beside pgbench running the very statements of both services.

mod shop;

use std::path::PathBuf;

use clap::Args;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::ledger::database::{Database, READING, WRITING, now};
use crate::ledger::world::Surroundings;
use crate::ledger::{repeated_reads, transactions_with};
use crate::measure::{Limit, Spread, report};
use crate::replay::log::{Logged, parse};
use crate::replay::script::script;
use shop::{Patient, Shop};

/// How many and how often.
#[derive(Args)]
pub(crate) struct Options {
    /// Rounds; both sides take a turn in each.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Clients, each an insured person with a connection of its own.
    #[arg(long, default_value_t = 16)]
    clients: u32,
    /// Quotes of each client in a round.
    #[arg(long, default_value_t = 60)]
    quotes: usize,
}

/// The databases of both services, as prepared and as copied for one turn.
const BASES: [&str; 2] = ["base_policy", "base_pharmacy"];
const TURNS: [&str; 2] = ["turn_policy", "turn_pharmacy"];

/// Records once, then measures in turns.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    caremesh_mesh::tls::install_provider();
    Runtime::new()?.block_on(measure(options))
}

async fn measure(options: &Options) -> anyhow::Result<()> {
    let (database, around) = (Database::start()?, Surroundings::new().await?);
    let patients = prepare(&database, &around, options).await?;
    let recorded = Recorded::quotes(&database, &around, &patients, options).await?;
    let (mut ours, mut theirs, mut reads) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        ours.push(quote(&database, &around, &patients, options).await?);
        let (whole, reading) = recorded.replay(&database)?;
        theirs.push(whole);
        reads.push(reading);
    }
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    println!("order, {build}, PostgreSQL with fsync, {} clients, {} rounds", options.clients, options.rounds);
    println!("statements of a quote         {:.1}", recorded.statements_per_quote);
    println!("quotes, ours                  {} quotes/s", Spread::of(&ours)?);
    println!("the same, pgbench             {} quotes/s", Spread::of(&theirs)?);
    println!("its reads alone, pgbench      {} quotes/s", Spread::of(&reads)?);
    report("quote ÷ pgbench, same statements", ratio(&ours, &theirs)?, "×", Limit::AtLeast(0.35));
    println!("quote ÷ pgbench, its reads alone  {} ×", ratio(&ours, &reads)?);
    Ok(())
}

fn ratio(ours: &[f64], theirs: &[f64]) -> anyhow::Result<Spread> {
    Spread::of(&ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>())
}

/// Makes the base databases: schemas, one insured person for each client, a branch with its products.
async fn prepare(
    database: &Database,
    around: &Surroundings,
    options: &Options,
) -> anyhow::Result<Vec<Patient>> {
    for base in BASES {
        database.copy("template0", base)?;
    }
    around.migrate(&database.url(BASES[0])).await?;
    Shop::migrate(around, &database.url(BASES[1])).await?;
    let policy = around.serve(&database.url(BASES[0]), 4).await?;
    let shop = Shop::open(around, &policy, &database.url(BASES[1]), 4).await?;
    let goods = shop.stock().await?;
    let mut patients = Vec::new();
    for _ in 0..options.clients {
        let (person, member) = policy.insured().await?;
        patients.push(Patient { person, record: member.person_id, goods: goods.clone() });
    }
    shop.close().await;
    policy.stop().await;
    Ok(patients)
}

/// Quotes a second of all clients at once.
#[expect(clippy::cast_precision_loss, reason = "a count of quotes")]
async fn quote(
    database: &Database,
    around: &Surroundings,
    patients: &[Patient],
    options: &Options,
) -> anyhow::Result<f64> {
    for (base, turn) in BASES.iter().zip(TURNS) {
        database.copy(base, turn)?;
    }
    let policy = around.serve(&database.url(TURNS[0]), options.clients).await?;
    let shop = Shop::open(around, &policy, &database.url(TURNS[1]), options.clients).await?;
    let mut quoting = Vec::new();
    for patient in patients {
        let counter = shop.counter(patient)?;
        // The first call opens connections.
        counter.quote().await?;
        quoting.push(counter);
    }
    let (started, each) = (now(), options.quotes);
    let mut clients = JoinSet::new();
    for counter in quoting {
        clients.spawn(async move {
            for _ in 0..each {
                counter.quote().await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    let seconds = started.elapsed().as_secs_f64();
    shop.close().await;
    policy.stop().await;
    Ok((patients.len() * each) as f64 / seconds)
}

/// What pgbench runs: for each database one script for each client, of everything and of what only reads.
struct Recorded {
    whole: [Vec<PathBuf>; 2],
    reads: [Vec<PathBuf>; 2],
    quotes: usize,
    statements_per_quote: f64,
}

impl Recorded {
    /// Each client alone, so that the log is in its order.
    #[expect(clippy::cast_precision_loss, reason = "a count of statements")]
    async fn quotes(
        database: &Database,
        around: &Surroundings,
        patients: &[Patient],
        options: &Options,
    ) -> anyhow::Result<Self> {
        for (base, turn) in BASES.iter().zip(TURNS) {
            database.copy(base, turn)?;
            database.log_statements(turn)?;
        }
        let policy = around.serve(&database.url(TURNS[0]), 2).await?;
        let shop = Shop::open(around, &policy, &database.url(TURNS[1]), 2).await?;
        let mut recorded = Self {
            whole: Default::default(),
            reads: Default::default(),
            quotes: patients.len() * options.quotes,
            statements_per_quote: 0.0,
        };
        let mut statements = 0;
        for (number, patient) in patients.iter().enumerate() {
            let counter = shop.counter(patient)?;
            counter.quote().await?;
            let seen = parse(&database.log()?).len();
            for _ in 0..options.quotes {
                counter.quote().await?;
            }
            let logged = parse(&database.log()?);
            statements += recorded.keep(around, number, &logged[seen..], options.quotes)?;
        }
        recorded.statements_per_quote = statements as f64 / recorded.quotes as f64;
        shop.close().await;
        policy.stop().await;
        Ok(recorded)
    }

    /// Writes the scripts of one client; gives how many statements are in them.
    fn keep(
        &mut self,
        around: &Surroundings,
        number: usize,
        logged: &[Logged],
        each: usize,
    ) -> anyhow::Result<usize> {
        let mut kept = 0;
        for (place, turn) in TURNS.iter().enumerate() {
            let of: Vec<Logged> = logged.iter().filter(|one| one.database == *turn).cloned().collect();
            let reads = repeated_reads(&of, each);
            anyhow::ensure!(!reads.is_empty(), "nothing was recorded in {turn} for client {number}");
            // The trail of who read what is a part of the work.
            let whole = [reads.clone(), transactions_with(&of, "audit_event")].concat();
            kept += whole.len();
            for (name, statements, paths) in
                [("all", &whole, &mut self.whole), ("reads", &reads, &mut self.reads)]
            {
                let path = around.folder().join(format!("quote-{turn}-{name}-{number}.sql"));
                std::fs::write(&path, script(statements))?;
                paths[place].push(path);
            }
        }
        Ok(kept)
    }

    /// Quotes a second that pgbench reaches on fresh copies: with everything, and with the reads alone. What one service runs
    /// comes after what the other runs, as in a quote.
    #[expect(clippy::cast_precision_loss, reason = "a count of quotes")]
    fn replay(&self, database: &Database) -> anyhow::Result<(f64, f64)> {
        let (mut whole, mut reads) = (0.0, 0.0);
        for (place, turn) in TURNS.iter().enumerate() {
            database.copy(BASES[place], turn)?;
            reads += database.replay(turn, &self.reads[place], READING)?;
            whole += database.replay(turn, &self.whole[place], WRITING)?;
        }
        let quotes = self.quotes as f64;
        Ok((quotes / whole, quotes / reads))
    }
}
