//! Rotation of key-encryption keys with the real binary, under load, killed in the middle together with the service: no field
//! becomes unreadable at any instant, and what broke off is gone on with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use caremesh_e2e::separate::Separate;
use caremesh_e2e::story::signed;
use caremesh_e2e::tools;
use caremesh_kernel::{IdSource as _, SystemIds};
use caremesh_proto::policy::v1::person_service_client::PersonServiceClient;
use caremesh_proto::policy::v1::{
    AdministrativeGender, CreatePersonRequest, GetPersonRequest, PersonProfile,
};
use caremesh_proto::r#type::v1::Date;
use caremesh_testkit::database::{Cluster, Durability};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tonic::transport::Channel;
use tonic::{Code, Status};

/// Clients that enter persons and read them at once.
const CLIENTS: usize = 4;
/// Persons who are there before the first rotation: more than one step of it.
const ENTERED: usize = 300;
/// How long a call is tried again while nobody answers.
const PATIENCE: Duration = Duration::from_secs(60);
/// Rotations that may end before the kill reaches them.
const MISSES: usize = 40;

/// Person id → the name that must be read.
type Entered = Arc<Mutex<Vec<(String, String)>>>;

#[tokio::test(flavor = "multi_thread")]
async fn no_field_is_unreadable_when_a_rotation_is_killed_under_load_on_sqlite() -> Result<()> {
    rotate_again_and_again("sqlite://{folder}/policy.db", &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_field_is_unreadable_when_a_rotation_is_killed_under_load_on_postgresql() -> Result<()> {
    let (Some(data), Some(keys)) = (Cluster::start(Durability::Full)?, Cluster::start(Durability::Full)?)
    else {
        tools::skip("PostgreSQL", "run `make setup`");
        return Ok(());
    };
    rotate_again_and_again(data.url(), &[("CAREMESH_POLICY__KEYS_URL", keys.url().to_owned())]).await
}

async fn rotate_again_and_again(database_url: &str, extra: &[(&'static str, String)]) -> Result<()> {
    let mut mesh = Separate::start(database_url, extra).await?;
    mesh.load_demo().await?;
    let caller = Caller { channel: mesh.channel()?, token: Arc::new(Mutex::new(mesh.token("ngozi")?)) };
    let entered = Entered::default();
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(use_persons(caller.clone(), Arc::clone(&entered), Arc::clone(&stop)));
    }
    while entered.lock().await.len() < ENTERED {
        if let Some(ended) = clients.try_join_next() {
            ended??;
            anyhow::bail!("a client stopped");
        }
        caller.renew(&mesh).await?;
        sleep(Duration::from_millis(50)).await;
    }
    for cycle in 1..=tools::kill_cycles().div_ceil(2) {
        caller.renew(&mesh).await?;
        kill_in_the_middle(&mesh).await.with_context(|| format!("rotation {cycle}"))?;
        // The service comes back without a key in memory, half of them wrapped anew.
        mesh.policy.kill().await?;
        mesh.restart_policy().await?;
        read_all(&caller, &entered).await.with_context(|| format!("in rotation {cycle}"))?;
        let words = finish(&mesh).await?;
        ensure!(words.contains("went on with a rotation that broke off"), "{words}");
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    mesh.policy.kill().await?;
    mesh.restart_policy().await?;
    caller.renew(&mesh).await?;
    read_all(&caller, &entered).await.context("after the last rotation")
}

/// Starts a rotation and kills it once the key file says that it runs; one that ended before the kill is followed by another.
async fn kill_in_the_middle(mesh: &Separate) -> Result<()> {
    let ring = mesh.folder().join("keys.json");
    let runs = || std::fs::read_to_string(&ring).is_ok_and(|text| text.contains("\"rotating\": true"));
    for _ in 0..MISSES {
        let mut command = mesh.begin(&["keys", "rotate"])?;
        let began = Instant::now();
        while !runs() && command.is_running()? {
            ensure!(began.elapsed() < PATIENCE, "no rotation began: {}", command.said()?);
            sleep(Duration::from_micros(200)).await;
        }
        command.kill().await?;
        if runs() {
            return Ok(());
        }
    }
    anyhow::bail!("every rotation ended before it was killed")
}

async fn finish(mesh: &Separate) -> Result<String> {
    let output = mesh.run(&["keys", "rotate"]).await?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{words}");
    Ok(words)
}

/// One client: enters persons, and reads one that was entered before. Whatever is refused for good is a fault.
async fn use_persons(caller: Caller, entered: Entered, stop: Arc<AtomicBool>) -> Result<()> {
    for turn in 0_usize.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let (id, name) = caller.enter().await?;
        let known = {
            let mut entered = entered.lock().await;
            entered.push((id, name));
            entered[turn % entered.len()].clone()
        };
        caller.must_read(&known).await?;
        // Enough to rotate; from here on the load is what matters, not the number.
        if turn > ENTERED {
            sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}

async fn read_all(caller: &Caller, entered: &Entered) -> Result<()> {
    let all = entered.lock().await.clone();
    for known in &all {
        caller.must_read(known).await?;
    }
    Ok(())
}

#[derive(Clone)]
struct Caller {
    channel: Channel,
    token: Arc<Mutex<String>>,
}

impl Caller {
    /// A busy machine may outlive a token.
    async fn renew(&self, mesh: &Separate) -> Result<()> {
        *self.token.lock().await = mesh.token("ngozi")?;
        Ok(())
    }

    async fn signed<T>(&self, message: T) -> Result<tonic::Request<T>, Status> {
        signed(message, &self.token.lock().await).map_err(|_| Status::internal("token"))
    }

    async fn enter(&self) -> Result<(String, String)> {
        let name = SystemIds.uuid().to_string();
        let profile = PersonProfile {
            full_name: name.clone(),
            birth_date: Some(Date { year: 2015, month: 3, day: 4 }),
            gender: AdministrativeGender::Other.into(),
            ..PersonProfile::default()
        };
        let asked = CreatePersonRequest {
            request_id: SystemIds.uuid().to_string(),
            profile: Some(profile),
            managed: true,
        };
        let answer = self
            .patiently(|| async {
                let asked = self.signed(asked.clone()).await?;
                PersonServiceClient::new(self.channel.clone()).create_person(asked).await
            })
            .await?;
        Ok((answer.into_inner().person.context("a person")?.person_id, name))
    }

    async fn must_read(&self, (id, name): &(String, String)) -> Result<()> {
        let asked = GetPersonRequest { person_id: id.clone() };
        let answer = self
            .patiently(|| async {
                let asked = self.signed(asked.clone()).await?;
                PersonServiceClient::new(self.channel.clone()).get_person(asked).await
            })
            .await
            .with_context(|| format!("{id} cannot be read"))?;
        let profile = answer.into_inner().person.and_then(|person| person.profile).context("a profile")?;
        ensure!(profile.full_name == *name, "{id} reads as somebody else");
        Ok(())
    }

    /// The same call until somebody answers: while the service is killed and starts, nobody does.
    async fn patiently<T, F>(&self, call: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let began = Instant::now();
        loop {
            match call().await {
                Err(status) if is_transient(status.code()) && began.elapsed() < PATIENCE => {
                    sleep(Duration::from_millis(20)).await;
                }
                outcome => return outcome.context("refused"),
            }
        }
    }
}

/// What a kill looks like from outside, and what a busy server says.
fn is_transient(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Unknown
            | Code::Cancelled
            | Code::Aborted
    )
}
