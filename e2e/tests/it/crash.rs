//! kill -9 of svc-policy in the middle of requests, again and again: what was acknowledged is there,
//! what was sent twice is there once, and ledger and audit trail add up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use caremesh_e2e::separate::Separate;
use caremesh_e2e::story::{Family, Spending};
use caremesh_e2e::tools;
use caremesh_testkit::database::{Cluster, Durability};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tonic::Code;

/// Clients that spend at once.
const CLIENTS: usize = 8;
/// How long they spend before the kill.
const SPENDING_TIME: Duration = Duration::from_millis(700);
/// How long a client goes on trying one posting: what never ends is looked for, not what a busy machine does late.
const PATIENCE: Duration = Duration::from_secs(180);
/// What each visit costs, minor units: little, so that the cover lasts.
const BILLED_MINOR: i64 = 100;

/// Exit code of `caremesh` when the machine lacks something, here a connection in time.
const MACHINE: i32 = 3;

/// Resource → posting id, for everything that was acknowledged.
type Acknowledged = Arc<Mutex<BTreeMap<String, String>>>;

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_posting_is_lost_when_svc_policy_is_killed_on_sqlite() -> Result<()> {
    kill_again_and_again("sqlite://{folder}/policy.db").await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_posting_is_lost_when_svc_policy_is_killed_on_postgresql() -> Result<()> {
    let Some(cluster) = Cluster::start(Durability::Full)? else {
        tools::skip("PostgreSQL", "run `make setup`");
        return Ok(());
    };
    kill_again_and_again(cluster.url()).await
}

async fn kill_again_and_again(database_url: &str) -> Result<()> {
    let mut mesh = Separate::start(database_url, &[]).await?;
    mesh.load_demo().await?;
    let mut family = Family::find(mesh.channel()?, mesh.token("ngozi")?, mesh.token("tunde")?).await?;
    let acknowledged = Acknowledged::default();
    for cycle in 1..=tools::kill_cycles() {
        // A hundred cycles outlast a token.
        (family.holder, family.officer) = (mesh.token("ngozi")?, mesh.token("tunde")?);
        let before = acknowledged.lock().await.len();
        let spent = spend_through_a_kill(&mut mesh, &family, &acknowledged).await;
        spent.with_context(|| format!("around kill {cycle}"))?;
        let now = acknowledged.lock().await.len();
        ensure!(now > before, "cycle {cycle}: nothing was acknowledged, so nothing was proven");
        check(&mesh, &family, &acknowledged).await.with_context(|| format!("after kill {cycle}"))?;
    }
    Ok(())
}

/// Clients spend; svc-policy is killed under them and comes back; they finish what they began.
async fn spend_through_a_kill(
    mesh: &mut Separate,
    family: &Family,
    acknowledged: &Acknowledged,
) -> Result<()> {
    let until = Instant::now() + SPENDING_TIME * 2;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(spend(family.clone(), until, Arc::clone(acknowledged)));
    }
    sleep(SPENDING_TIME).await;
    mesh.policy.kill().await?;
    mesh.restart_policy().await?;
    while let Some(done) = clients.join_next().await {
        done??;
    }
    Ok(())
}

/// One client: visit after visit. A posting whose answer is lost is sent again, the same.
async fn spend(family: Family, until: Instant, acknowledged: Acknowledged) -> Result<()> {
    while Instant::now() < until {
        let event = family.visit()?;
        let began = Instant::now();
        let mut spending: Option<Spending> = None;
        let mut refusals: BTreeMap<String, u32> = BTreeMap::new();
        loop {
            ensure!(began.elapsed() < PATIENCE, "a posting did not end: {refusals:?}");
            let outcome = attempt(&family, &event, &mut spending).await;
            match outcome {
                Ok(posting_id) => {
                    acknowledged.lock().await.insert(event.event_id.clone(), posting_id);
                    break;
                }
                Err(status) => {
                    let seen = format!("{:?}: {}", status.code(), status.message());
                    *refusals.entry(seen).or_default() += 1;
                    match status.code() {
                        // Nobody knows whether it took effect: the same request again finds out.
                        code if is_transient(code) => sleep(Duration::from_millis(20)).await,
                        // Somebody else was first, and nothing took effect: price again.
                        Code::Aborted => spending = None,
                        _ => return Err(status).context("a refusal that nobody expected"),
                    }
                }
            }
        }
    }
    Ok(())
}

async fn attempt(
    family: &Family,
    event: &caremesh_proto::policy::v1::InsuredEvent,
    spending: &mut Option<Spending>,
) -> Result<String, tonic::Status> {
    if spending.is_none() {
        let price = family.price(event, BILLED_MINOR).await?;
        *spending = Some(Family::spending(event, price));
    }
    match spending {
        Some(spending) => family.post(spending).await,
        None => Err(tonic::Status::internal("nothing to post")),
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
    )
}

/// Every posting of the policy; a machine that is too busy to list them in time is asked again.
async fn patiently(family: &Family) -> Result<Vec<(String, String)>> {
    let began = Instant::now();
    loop {
        match family.postings().await {
            Err(error) if began.elapsed() < PATIENCE && is_busy(&error) => sleep(SPENDING_TIME).await,
            listed => return listed,
        }
    }
}

fn is_busy(error: &anyhow::Error) -> bool {
    error.downcast_ref::<tonic::Status>().is_some_and(|status| is_transient(status.code()))
}

async fn check(mesh: &Separate, family: &Family, acknowledged: &Acknowledged) -> Result<()> {
    let mut kept: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (posting_id, resource) in patiently(family).await? {
        kept.entry(resource).or_default().push(posting_id);
    }
    for (resource, posting_id) in acknowledged.lock().await.iter() {
        let found =
            kept.get(resource).with_context(|| format!("{posting_id} was acknowledged and is gone"))?;
        ensure!(found == std::slice::from_ref(posting_id), "{resource} was posted as {found:?}");
    }
    for (resource, postings) in &kept {
        ensure!(postings.len() == 1, "{resource} took effect more than once: {postings:?}");
    }
    for what in ["ledger", "audit"] {
        verify(mesh, what).await?;
    }
    Ok(())
}

/// A difference fails at once; a machine too busy to give a connection in time is asked again.
async fn verify(mesh: &Separate, what: &str) -> Result<()> {
    let began = Instant::now();
    loop {
        let output = mesh.run(&["verify", what]).await?;
        if output.status.code() == Some(MACHINE) && began.elapsed() < PATIENCE {
            sleep(SPENDING_TIME).await;
            continue;
        }
        ensure!(output.status.success(), "verify {what}: {}", String::from_utf8_lossy(&output.stderr));
        return Ok(());
    }
}
