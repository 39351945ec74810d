//! SQLite test databases: a template file, copied per test.
//! Must not know tables.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::Mutex;

use super::{DatabaseKind, Keep, TestDatabase};

/// Bytes of template files by name.
type Templates = HashMap<&'static str, Arc<Vec<u8>>>;

/// Those of this process: kept in memory, so that no folder outlives it.
static TEMPLATES: Mutex<Option<Templates>> = Mutex::const_new(None);

pub(super) async fn copy_of<M>(template: &'static str, migrate: M) -> anyhow::Result<TestDatabase>
where
    M: AsyncFnOnce(String) -> anyhow::Result<()>,
{
    let bytes = template_bytes(template, migrate).await?;
    let folder = tempfile::Builder::new().prefix("caremesh-test-").tempdir()?;
    let file = folder.path().join("store.db");
    std::fs::write(&file, bytes.as_slice()).with_context(|| format!("copy of template {template}"))?;
    let url = address(&file);
    Ok(TestDatabase { kind: DatabaseKind::Sqlite, url, _keep: Keep::Folder { _folder: folder } })
}

async fn template_bytes<M>(template: &'static str, migrate: M) -> anyhow::Result<Arc<Vec<u8>>>
where
    M: AsyncFnOnce(String) -> anyhow::Result<()>,
{
    let mut templates = TEMPLATES.lock().await;
    let known = templates.get_or_insert_with(HashMap::new);
    if let Some(bytes) = known.get(template) {
        return Ok(Arc::clone(bytes));
    }
    let folder = tempfile::Builder::new().prefix("caremesh-template-").tempdir()?;
    let file = folder.path().join("template.db");
    std::fs::File::create(&file)?;
    // The migration closes its connections, and the last one to close moves the log into the file.
    migrate(address(&file)).await.with_context(|| format!("migration of template {template}"))?;
    let bytes = Arc::new(std::fs::read(&file)?);
    known.insert(template, Arc::clone(&bytes));
    Ok(bytes)
}

fn address(file: &Path) -> String {
    format!("sqlite://{}", file.display())
}
