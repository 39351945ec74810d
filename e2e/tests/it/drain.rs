//! SIGTERM of the real process while clients call: what runs is finished, nobody is cut off, and it ends within its limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use caremesh_e2e::demo::Demo;
use caremesh_e2e::story::signed;
use caremesh_kernel::{IdSource as _, SystemIds};
use caremesh_proto::pharmacy::v1::SearchProductsRequest;
use caremesh_proto::pharmacy::v1::catalog_service_client::CatalogServiceClient;
use caremesh_proto::policy::v1::person_service_client::PersonServiceClient;
use caremesh_proto::policy::v1::plan_service_client::PlanServiceClient;
use caremesh_proto::policy::v1::{CreatePersonRequest, ListPlansRequest, PersonProfile};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Channel;
use tonic::{Code, Status};

/// Clients that call at once.
const CLIENTS: usize = 4;
/// Calls that must have been answered before it is stopped.
const UNDER_WAY: u64 = 40;
/// How long that many calls may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a process may take to stop: the drain's own limit of 25 s, and what a busy machine adds.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// What a client calls, again and again.
#[derive(Clone)]
struct Calls {
    gateway: Channel,
    token: String,
}

impl Calls {
    /// One call; which one, its number says. All of them may be sent twice: two read, one has a `request_id`.
    async fn make(&self, nth: u64) -> Result<(), Status> {
        match nth % 3 {
            0 => {
                let mut plans = PlanServiceClient::new(self.gateway.clone());
                let asked = ListPlansRequest { jurisdiction_code: "NG".to_owned(), ..Default::default() };
                plans.list_plans(asked).await.map(drop)
            }
            1 => {
                let asked = SearchProductsRequest { query: "para".to_owned(), ..Default::default() };
                CatalogServiceClient::new(self.gateway.clone()).search_products(asked).await.map(drop)
            }
            _ => self.enter_person().await,
        }
    }

    async fn enter_person(&self) -> Result<(), Status> {
        let profile = PersonProfile {
            full_name: "Adaeze Okafor".to_owned(),
            birth_date: Some(caremesh_proto::r#type::v1::Date { year: 2015, month: 3, day: 4 }),
            gender: caremesh_proto::policy::v1::AdministrativeGender::Other.into(),
            ..PersonProfile::default()
        };
        let request_id = SystemIds.uuid().to_string();
        let asked = CreatePersonRequest { request_id, profile: Some(profile), managed: true };
        let asked = signed(asked, &self.token).map_err(|_| Status::internal("a token"))?;
        PersonServiceClient::new(self.gateway.clone()).create_person(asked).await.map(drop)
    }
}

/// Clients that call until they are refused. A call that is refused is not made again.
struct Load {
    clients: JoinSet<Result<(), Status>>,
    answered: Arc<AtomicU64>,
}

impl Load {
    /// Each client has a connection of its own.
    fn start(client: impl Fn() -> Result<Calls>) -> Result<Self> {
        let answered = Arc::new(AtomicU64::new(0));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (calls, answered) = (client()?, answered.clone());
            clients.spawn(async move {
                for nth in 0.. {
                    calls.make(nth).await?;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        Ok(Self { clients, answered })
    }

    /// Until that many more calls were answered.
    async fn goes_on(&mut self) -> Result<()> {
        let (began, before) = (Instant::now(), self.answered.load(Ordering::Relaxed));
        while self.answered.load(Ordering::Relaxed) < before + UNDER_WAY {
            if let Some(ended) = self.clients.try_join_next() {
                ended?.context("a call was refused")?;
            }
            ensure!(began.elapsed() < PATIENCE, "nobody is answered any more");
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// How each client ended by itself, once nobody answers any more.
    async fn refusals(mut self) -> Result<Vec<Status>> {
        let mut refusals = Vec::new();
        while let Some(ended) = timeout(PATIENCE, self.clients.join_next()).await? {
            refusals.extend(ended?.err());
        }
        Ok(refusals)
    }
}

/// Whoever is not answered is told so in words on which a client comes back: that nobody is there. A call that was cut off in
/// the middle ends in another code, or waits for its deadline.
fn only_found_nobody(refusals: &[Status]) -> Result<()> {
    ensure!(refusals.len() == CLIENTS, "{refusals:?}");
    for status in refusals {
        // A call that waited in the client for a connection that closed: it never left.
        let unsent = status.code() == Code::Cancelled && status.message().contains("operation was canceled");
        ensure!(unsent || status.code() == Code::Unavailable, "{status:?}");
    }
    Ok(())
}

/// More than four clients can do.
fn no_limits() -> [(&'static str, String); 2] {
    let rate = || "{per_second = 100000, burst = 100000}".to_owned();
    [("CAREMESH_GATEWAY__LIMITS__PRINCIPAL_RATE", rate()), ("CAREMESH_GATEWAY__LIMITS__ADDRESS_RATE", rate())]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_mesh_in_one_process_ends_in_order_under_load() -> Result<()> {
    let mut demo = Demo::start(&no_limits()).await?;
    let token = demo.token("ngozi").await?;
    let client = || Ok(Calls { gateway: demo.channel()?, token: token.clone() });
    let mut load = Load::start(client)?;
    load.goes_on().await?;
    let began = Instant::now();
    let status = demo.program.stop().await?;
    ensure!(status.success(), "it ended with {status}");
    ensure!(began.elapsed() < STOP_LIMIT, "it took {:?} to stop", began.elapsed());
    only_found_nobody(&load.refusals().await?)
}
