//! Which addresses are behind the names of a service, asked again and again: a resolver tells nobody of a new
//! replica. Must not know what is done with them.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt};
use http::uri::Authority;
use tokio::net::lookup_host;

use super::Pool;

/// Longest that the names may take to resolve; a resolver that hangs would hold up the first call.
const LIMIT: Duration = Duration::from_secs(5);

type Ask = dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// Who knows the addresses behind a name: the system, or a registry of services. A cheap clone.
#[derive(Clone)]
pub struct Resolver(Arc<Ask>);

impl Resolver {
    /// Asks `ask` for the addresses behind a host's name and port.
    pub fn new<F>(ask: F) -> Self
    where
        F: Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync + 'static,
    {
        Self(Arc::new(ask))
    }

    /// The system's own resolver: `/etc/hosts` and DNS.
    #[must_use]
    pub fn system() -> Self {
        Self::new(|host, port| async move { Ok(lookup_host((host.as_str(), port)).await?.collect()) }.boxed())
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

/// Resolves for the first time, and goes on in the background for as long as the pool lives.
///
/// # Errors
/// When no name has an address; the next call tries again.
pub(super) async fn first(pool: &Arc<Pool>) -> Result<(), ()> {
    let found = addresses(&pool.resolver, &pool.names).await;
    if found.is_empty() {
        tracing::warn!("no replica of a service can be found by its name");
        return Err(());
    }
    pool.follow(&found);
    let every = Duration::from_millis(pool.config.resolve_every_ms);
    tokio::spawn(go_on(Arc::downgrade(pool), every));
    Ok(())
}

async fn go_on(pool: Weak<Pool>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let asked = pool.upgrade().map(|pool| (pool.resolver.clone(), pool.names.clone()));
        let Some((resolver, names)) = asked else { return };
        let found = addresses(&resolver, &names).await;
        let Some(pool) = pool.upgrade() else { return };
        // A resolver that is down for a moment says nothing about the replicas.
        if !found.is_empty() {
            pool.follow(&found);
        }
    }
}

/// All addresses of all names, each once.
async fn addresses(resolver: &Resolver, names: &[Authority]) -> Vec<(Authority, SocketAddr)> {
    let mut found: Vec<(Authority, SocketAddr)> = Vec::new();
    for name in names {
        let host = name.host().trim_matches(['[', ']']).to_owned();
        let asked = (resolver.0)(host, name.port_u16().unwrap_or(443));
        match tokio::time::timeout(LIMIT, asked).await {
            Ok(Ok(addresses)) => {
                for address in addresses {
                    if !found.iter().any(|(_, known)| *known == address) {
                        found.push((name.clone(), address));
                    }
                }
            }
            _ => tracing::debug!(server.address = %name, "a name does not resolve"),
        }
    }
    found
}
