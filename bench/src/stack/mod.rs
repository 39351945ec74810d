//! What the mesh's server stack costs: processor time per call of a validated, not audited unary method, TLS
//! on, token cached, one trace in a hundred kept, beside a bare tonic server with TLS. Beside it, the same of an
//! audited one.

mod bare;
mod full;
mod load;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use caremesh_kernel::SystemClock;
use caremesh_mesh::tls::{LocalCa, WorkloadIdentity};
use caremesh_proto::policy::v1::{
    Carrier, GetPlanVersionRequest, GetPlanVersionResponse, ListAccessRequest, PlanVersion,
};
use caremesh_testkit::identity::{TRUST_DOMAIN, TestIssuer, TestPerson};
use caremesh_testkit::otlp::OtlpReceiver;
use clap::{Args, ValueEnum};
use tokio::runtime::Runtime;

use crate::measure::{Limit, Spread, processor_time, report};
use load::{Call, Target};

/// How long and how often.
#[derive(Args)]
pub(crate) struct Options {
    /// Rounds; both servers take a turn in each.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Calls of one turn.
    #[arg(long, default_value_t = 40_000)]
    calls: u64,
}

/// Which server a child process is.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    /// tonic with TLS.
    Bare,
    /// The mesh's stack.
    Full,
}

/// What a child process is told.
#[derive(Args)]
pub(crate) struct ChildOptions {
    /// Which server.
    kind: Kind,
    /// The local authority's folder.
    #[arg(long)]
    authority: PathBuf,
    /// The issuer whose tokens are believed.
    #[arg(long)]
    issuer: String,
    /// Where kept traces go.
    #[arg(long)]
    otlp: String,
}

/// Starts both servers as processes of their own and gives them the same load in turns.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    caremesh_mesh::tls::install_provider();
    Runtime::new()?.block_on(measure(options))
}

async fn measure(options: &Options) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = LocalCa::open_or_create(folder.path(), TRUST_DOMAIN, &SystemClock)?;
    let client = WorkloadIdentity::new(authority.issue("svc-claims", &SystemClock)?)?;
    let issuer = TestIssuer::start().await?;
    let receiver = OtlpReceiver::start().await?;
    let token = issuer.token(&TestPerson::new("bench", &["member"]));
    let mut servers = Vec::new();
    for kind in [Kind::Bare, Kind::Full] {
        let (server, address) = spawn(kind, folder.path(), &issuer.url(), &receiver.endpoint())?;
        let authorization = format!("Bearer {token}").parse()?;
        let target = Target { address, tls: client.client_config("svc-policy")?, authorization };
        load::run(&target, options.calls / 10, &plan()).await?;
        servers.push((server, target));
    }
    let (mut costs, mut audited) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..options.rounds {
        for ((server, target), cost) in servers.iter().zip(&mut costs) {
            cost.push(cost_of_a_call(server, target, options.calls, &plan()).await?);
        }
        for ((server, target), cost) in servers.iter().zip(&mut audited) {
            cost.push(cost_of_a_call(server, target, options.calls / 4, &accesses()).await?);
        }
    }
    print(options, &costs, &audited)
}

/// Microseconds of processor time per call.
#[expect(clippy::cast_precision_loss, reason = "a count of calls")]
async fn cost_of_a_call(server: &Server, target: &Target, calls: u64, call: &Call) -> anyhow::Result<f64> {
    let before = processor_time(server.0.id())?;
    load::run(target, calls, call).await?;
    let used = processor_time(server.0.id())? - before;
    Ok(used.as_secs_f64() * 1e6 / calls as f64)
}

fn ratios([bare, full]: &[Vec<f64>; 2]) -> Vec<f64> {
    bare.iter().zip(full).map(|(bare, full)| full / bare).collect()
}

fn print(options: &Options, costs: &[Vec<f64>; 2], audited: &[Vec<f64>; 2]) -> anyhow::Result<()> {
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    println!("server stack, {build}, TLS, {} rounds of {} calls", options.rounds, options.calls);
    println!("bare tonic    {} µs processor time per call", Spread::of(&costs[0])?);
    println!("mesh stack    {} µs processor time per call", Spread::of(&costs[1])?);
    report(
        "processor time of a call, mesh stack ÷ bare tonic",
        Spread::of(&ratios(costs))?,
        "×",
        Limit::AtMost(1.35),
    );
    println!("audited, each event on disk (SQLite, group commit) before its answer:");
    println!("bare tonic    {} µs processor time per call", Spread::of(&audited[0])?);
    println!("mesh stack    {} µs processor time per call", Spread::of(&audited[1])?);
    println!("audited, mesh stack ÷ bare tonic    {} ×", Spread::of(&ratios(audited))?);
    Ok(())
}

/// A server process that ends with the benchmark.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts this program again as a server and reads its address from its first line.
fn spawn(kind: Kind, authority: &Path, issuer: &str, otlp: &str) -> anyhow::Result<(Server, String)> {
    let name = match kind {
        Kind::Bare => "bare",
        Kind::Full => "full",
    };
    let mut child = Command::new(std::env::current_exe()?)
        .args(["stack-server", name, "--issuer", issuer, "--otlp", otlp, "--authority"])
        .arg(authority)
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().context("no output")?;
    let server = Server(child);
    let mut address = String::new();
    BufReader::new(output).read_line(&mut address)?;
    Ok((server, address.trim().to_owned()))
}

/// The child's side: serves until it is killed.
pub(crate) fn serve(options: &ChildOptions) -> anyhow::Result<()> {
    caremesh_mesh::tls::install_provider();
    Runtime::new()?.block_on(async {
        let authority = LocalCa::open_or_create(&options.authority, TRUST_DOMAIN, &SystemClock)?;
        let identity = WorkloadIdentity::new(authority.issue("svc-policy", &SystemClock)?)?;
        match options.kind {
            Kind::Bare => {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
                println!("{}", listener.local_addr()?);
                bare::serve(listener, identity.mesh_server_config()?, answer()).await
            }
            Kind::Full => {
                let tokens = serde_json::json!({ "issuers": [{
                    "issuer": options.issuer,
                    "audiences": ["caremesh"],
                    "jwks_url": format!("{}/jwks.json", options.issuer),
                }]});
                let log = options.authority.join("server.log");
                let around = full::Surroundings {
                    identity,
                    tokens: serde_json::from_value(tokens)?,
                    otlp_endpoint: &options.otlp,
                    trail: &options.authority.join("trail.db"),
                    log: &log,
                };
                println!("{}", full::start(around, answer()).await?);
                std::future::pending().await
            }
        }
    })
}

fn request() -> GetPlanVersionRequest {
    GetPlanVersionRequest { plan_version_id: "plv_01h455vb4pex5vsknk084sn02q".to_owned() }
}

fn plan() -> Call {
    Call::Plan(request())
}

fn accesses() -> Call {
    let person_id = "per_01h455vb4pex5vsknk084sn02q".to_owned();
    Call::Accesses(ListAccessRequest { person_id, ..ListAccessRequest::default() })
}

/// A plan version of a usual size.
fn answer() -> GetPlanVersionResponse {
    let carrier =
        Carrier { name: "Example Health Insurance".to_owned(), share_bps: 10_000, ..Carrier::default() };
    GetPlanVersionResponse {
        plan_version: Some(PlanVersion {
            plan_version_id: request().plan_version_id,
            label: "2026.1".to_owned(),
            time_zone: "Africa/Lagos".to_owned(),
            carriers: vec![carrier; 2],
            ..PlanVersion::default()
        }),
    }
}
