//! Medication search through the real gateway at 250,000 products, with either engine, beside Meilisearch's own HTTP API on the
//! same queries. Speed never stands without recall. Knows Caremesh by its program and its contract only.

mod data;
mod load;
mod recall;
mod stock;
mod up;
mod wire;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tokio::runtime::Runtime;

use crate::measure::{Limit, Spread, processor_time, report};
use data::{Asked, Data, Kind};
use load::{Answers, flat_out, one_by_one, steadily};
use recall::Recall;
use stock::{Engine, Stock};
use up::{Imported, Up};
use wire::Wire;

/// Where everything is, how much and how long.
#[derive(Args)]
pub(crate) struct Options {
    /// The release binary.
    #[arg(long, default_value = "target/release/caremesh")]
    binary: PathBuf,
    /// The folder of the shared data: catalogue, queries, the script that grows the catalogue.
    #[arg(long, env = "CAREMESH_SHARED_DATA", default_value = "../shared/data")]
    data: PathBuf,
    /// Meilisearch's program.
    #[arg(long, env = "CAREMESH_BENCH_MEILISEARCH")]
    meilisearch: Option<PathBuf>,
    /// Products: those of the registers and invented ones.
    #[arg(long, default_value_t = 250_000)]
    products: usize,
    /// Queries of the mix, a quarter of each kind.
    #[arg(long, default_value_t = 4_000)]
    queries: usize,
    /// Queries a second where latency is measured.
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// How long latency is measured, seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Turns of the speed measurement; everybody takes one in each.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
}

/// Words, typos and several words; short beginnings.
const WORDS: &[Kind] = &[Kind::Word, Kind::Typo, Kind::Several];
const BEGINNINGS: &[Kind] = &[Kind::Prefix];

/// Imports, measures, and compares with the peer when there is one.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    caremesh_mesh::tls::install_provider();
    if !options.data.join("catalogue/products_in.csv.gz").is_file() {
        println!("SKIPPED: search: the shared catalogue is not here; set CAREMESH_SHARED_DATA to its folder");
        return Ok(());
    }
    Runtime::new()?.block_on(measure(options))
}

async fn measure(options: &Options) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let data = Data::make(&options.data, folder.path(), options.products, options.queries)?;
    println!("search, {} products, {} queries, through the gateway", data.products, data.mix.len());
    let home = folder.path().join("embedded");
    let up = Up::start(&options.binary, &home, None).await?;
    let recalled = import(options, &up, &data).await?;
    let who = up.client();
    latency(options, &who, &data.mix, "embedded, nothing else going on").await?.report(8.0, 8.0)?;
    let engine =
        options.meilisearch.as_deref().map(|program| Engine::start(program, folder.path())).transpose()?;
    let Some(engine) = engine else {
        println!("SKIPPED: Meilisearch beside it: set CAREMESH_BENCH_MEILISEARCH to its program");
        return Ok(());
    };
    beside(options, &data, &up, recalled, &engine).await?;
    up.stop()?;
    behind(options, &data, &home, &engine).await
}

/// Imports the registers, looks how well they are found, and imports the rest under load.
async fn import(options: &Options, up: &Up, data: &Data) -> anyhow::Result<Recall> {
    let first = up.import(&data.real).await?;
    let lag = up.until_found(data::REAL).await?;
    let who = up.client();
    let recalled = Recall::of(&who, data).await?;
    recalled.report("embedded")?;
    let (done, running) = tokio::sync::watch::channel(false);
    let load = steadily(&who, &data.mix, options.rate, |_| !*running.borrow());
    let importing = async {
        let imported = up.import(&data.rest).await;
        let lag = up.until_found(data.products).await;
        done.send_replace(true);
        anyhow::Ok((imported?, lag?))
    };
    let (times, second) = tokio::try_join!(load, importing)?;
    Latency { name: "embedded, while an import runs".to_owned(), times }.report(8.0, 8.0)?;
    let parts = [first, second.0];
    told(&parts, lag + second.1)?;
    Ok(recalled)
}

fn told(parts: &[Imported], lag: f64) -> anyhow::Result<()> {
    let seconds = parts.iter().map(|part| part.seconds).sum();
    report("import of all rows", Spread::of(&[seconds])?, "s", Limit::AtMost(60.0));
    println!("after which the index took {lag:.1} s to have followed");
    let most = |of: fn(&Imported) -> f64| parts.iter().map(of).fold(0.0, f64::max);
    report(
        "resident, the process that imports",
        Spread::of(&[most(|part| part.importer)])?,
        "MB",
        Limit::AtMost(400.0),
    );
    report(
        "resident, the process that serves",
        Spread::of(&[most(|part| part.server)])?,
        "MB",
        Limit::AtMost(400.0),
    );
    Ok(())
}

struct Latency {
    name: String,
    times: load::Times,
}

async fn latency<A: Answers>(
    options: &Options,
    who: &A,
    mix: &[Asked],
    name: &str,
) -> anyhow::Result<Latency> {
    let most = usize::try_from(options.rate * options.seconds)?;
    let times = steadily(who, mix, options.rate, |asked| asked < most).await?;
    Ok(Latency { name: name.to_owned(), times })
}

impl Latency {
    /// `words` and `beginnings`: how long 99 in 100 may take, milliseconds.
    fn report(&self, words: f64, beginnings: f64) -> anyhow::Result<()> {
        for (what, kinds, limit) in [("words", WORDS, words), ("beginnings", BEGINNINGS, beginnings)] {
            let at = |percent| self.times.percentile(kinds, percent);
            println!("{}: {what}: median {:.2} ms, p95 {:.2} ms", self.name, at(50.0)?, at(95.0)?);
            let p99 = Spread::of(&[at(99.0)?])?;
            report(&format!("{}: {what}: p99", self.name), p99, "ms", Limit::AtMost(limit));
        }
        let all = Spread::of(&[self.times.percentile(&Kind::ALL, 99.0)?])?;
        println!("{}: all: p99 {all} ms", self.name);
        Ok(())
    }
}

/// Queries for each second of processor time of a process.
#[expect(clippy::cast_precision_loss, reason = "a count of queries")]
async fn speed<A: Answers>(who: &A, process: u32, mix: &[Asked]) -> anyhow::Result<f64> {
    let before = processor_time(process)?;
    flat_out(who, mix).await?;
    Ok(mix.len() as f64 / (processor_time(process)? - before).as_secs_f64())
}

/// The embedded engine and the peer's HTTP API in turns.
async fn beside(
    options: &Options,
    data: &Data,
    up: &Up,
    recalled: Recall,
    engine: &Engine,
) -> anyhow::Result<()> {
    let (ours, stock) = (up.client(), Stock::new(engine));
    stock.prepare().await?;
    stock.add(&data.real).await?;
    let stocks = Recall::of(&stock, data).await?;
    stock.add(&data.rest).await?;
    latency(options, &stock, &data.mix, "Meilisearch's HTTP API").await?.report(8.0, 25.0)?;
    let (mut fast, mut ratios) = ([Vec::new(), Vec::new()], Vec::new());
    for _ in 0..options.rounds {
        let our = speed(&ours, up.id(), &data.mix).await?;
        let their = speed(&stock, engine.process.id(), &data.mix).await?;
        fast[0].push(our);
        fast[1].push(their);
        ratios.push(our / their);
    }
    println!("embedded     {} queries/CPU second; {}", Spread::of(&fast[0])?, recalled.line());
    println!("Meilisearch  {} queries/CPU second; {}", Spread::of(&fast[1])?, stocks.line());
    report("queries a CPU second ÷ Meilisearch's HTTP API", Spread::of(&ratios)?, "×", Limit::AtLeast(2.0));
    Ok(())
}

/// The same products found by Meilisearch behind svc-pharmacy.
async fn behind(options: &Options, data: &Data, home: &Path, engine: &Engine) -> anyhow::Result<()> {
    let wire = Wire::to(engine.address).await?;
    let up = Up::start(&options.binary, home, Some(wire.address)).await?;
    println!("Meilisearch had everything {:.1} s after the start", up.until_found(data.products).await?);
    let who = up.client();
    let name = format!("Meilisearch behind, {} products", data.products);
    Recall::of(&who, data).await?.report(&name)?;
    latency(options, &who, &data.mix, "Meilisearch behind").await?.report(8.0, 25.0)?;
    let mut added = Vec::new();
    wire.took();
    one_by_one(&who, &data.mix, |took| {
        let engine = wire.took().unwrap_or(Duration::ZERO);
        added.push(took.saturating_sub(engine).as_secs_f64() * 1_000.0);
    })
    .await?;
    report(
        "Meilisearch behind: what the gRPC path adds, median",
        Spread::of(&added)?,
        "ms",
        Limit::AtMost(0.5),
    );
    up.stop()
}
