//! PostgreSQL test databases: a template per schema and process, copied per test, dropped after it.
//! Must not know tables.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context as _;
use caremesh_kernel::{IdSource as _, SystemIds};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::sync::Mutex;

use super::{Cluster, DatabaseKind, Durability, Keep, TestDatabase, skipped};

/// Address of the server all tests of this process use; `None` when there is no PostgreSQL.
static SERVER: OnceLock<Option<Server>> = OnceLock::new();
/// Names of template databases this process made.
static TEMPLATES: Mutex<Option<HashMap<&'static str, String>>> = Mutex::const_new(None);

struct Server {
    url: String,
    /// Held for its pipe: the server stops when this process ends.
    _cluster: Option<Cluster>,
}

/// A database to be dropped with its test.
#[derive(Debug)]
pub(super) struct Owned {
    name: String,
    server_url: String,
}

pub(super) async fn copy_of<M>(template: &'static str, migrate: M) -> anyhow::Result<Option<TestDatabase>>
where
    M: AsyncFnOnce(String) -> anyhow::Result<()>,
{
    let Some(server) = server() else {
        skipped("PostgreSQL is not installed (initdb and postgres, on PATH or in /usr/lib/postgresql)");
        return Ok(None);
    };
    let template_name = template_database(server, template, migrate).await?;
    let name = format!("t_{}", SystemIds.uuid().simple());
    create(&server.url, &name, &template_name).await?;
    let owned = Owned { name: name.clone(), server_url: server.url.clone() };
    let url = address(&server.url, &name)?;
    Ok(Some(TestDatabase { kind: DatabaseKind::Postgres, url, _keep: Keep::Database { _database: owned } }))
}

fn server() -> Option<&'static Server> {
    SERVER.get_or_init(|| start().unwrap_or_else(|error| panic!("PostgreSQL for tests: {error:#}"))).as_ref()
}

#[expect(clippy::disallowed_methods, reason = "how with-postgres tells the test processes of a run")]
fn start() -> anyhow::Result<Option<Server>> {
    if let Ok(url) = std::env::var("CAREMESH_TEST_POSTGRES_URL") {
        return Ok(Some(Server { url, _cluster: None }));
    }
    let cluster = Cluster::start(Durability::None)?;
    Ok(cluster.map(|cluster| Server { url: cluster.url().to_owned(), _cluster: Some(cluster) }))
}

async fn template_database<M>(server: &Server, template: &'static str, migrate: M) -> anyhow::Result<String>
where
    M: AsyncFnOnce(String) -> anyhow::Result<()>,
{
    let mut templates = TEMPLATES.lock().await;
    let known = templates.get_or_insert_with(HashMap::new);
    if let Some(name) = known.get(template) {
        return Ok(name.clone());
    }
    // The process id keeps two test programs on one server apart: their migrations may differ.
    let name = format!("tpl_{}_{template}", std::process::id());
    drop_database(&server.url, &name).await?;
    create(&server.url, &name, "template0").await?;
    migrate(address(&server.url, &name)?)
        .await
        .with_context(|| format!("migration of template {template}"))?;
    known.insert(template, name.clone());
    Ok(name)
}

async fn create(server_url: &str, name: &str, template: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(server_url).await.context("PostgreSQL for tests")?;
    let sql = format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\"");
    // A connection that the migration closed may linger for a moment, and a template must have none.
    let mut outcome = connection.execute(sqlx::AssertSqlSafe(sql.clone())).await;
    for _ in 0..100 {
        if outcome.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        outcome = connection.execute(sqlx::AssertSqlSafe(sql.clone())).await;
    }
    outcome.with_context(|| format!("database {name} from {template}"))?;
    Ok(connection.close().await?)
}

async fn drop_database(server_url: &str, name: &str) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(server_url).await?;
    let sql = format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)");
    connection.execute(sqlx::AssertSqlSafe(sql)).await?;
    Ok(connection.close().await?)
}

fn address(server_url: &str, name: &str) -> anyhow::Result<String> {
    let (server, _maintenance) =
        server_url.rsplit_once('/').context("a PostgreSQL URL ends with /database")?;
    Ok(format!("{server}/{name}"))
}

impl Drop for Owned {
    /// On a thread of its own, because a test may end inside or outside a runtime. A failure leaves a database that goes
    /// with its server.
    fn drop(&mut self) {
        let (url, name) = (self.server_url.clone(), self.name.clone());
        let removal = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(drop_database(&url, &name))
        });
        drop(removal.join());
    }
}
