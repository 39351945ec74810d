//! Finds the replicas of an upstream: the addresses behind its host names, resolved anew every few
//! seconds. Must not know calls, nor how a connection is held.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::keep::{Keeping, keep};
use super::replica::Replica;
use super::{Connector, Upstream};

/// Between two look-ups. A name server answers out of memory; a new replica is found within this time.
const LOOK_UP_INTERVAL: Duration = Duration::from_secs(3);
/// A name server that takes longer has not answered.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(2);

/// Keeps `upstream`'s replicas those that `connectors` lead to. Never returns.
///
/// While a name cannot be resolved its replicas stay: they were right a moment ago.
pub(crate) async fn discover(
    upstream: Arc<Upstream>,
    connectors: Vec<Connector>,
    connections: usize,
    keeping: Arc<Keeping>,
) {
    let mut found = vec![BTreeSet::new(); connectors.len()];
    let mut known: BTreeMap<SocketAddr, Arc<Replica>> = BTreeMap::new();
    loop {
        for (connector, found) in connectors.iter().zip(&mut found) {
            match tokio::time::timeout(LOOK_UP_TIMEOUT, connector.look_up()).await {
                Ok(Ok(addresses)) if !addresses.is_empty() => *found = addresses,
                _ => tracing::warn!(
                    upstream.name = upstream.name(),
                    "The name of an upstream cannot be resolved; what was found before stays."
                ),
            }
        }
        let wanted: BTreeMap<_, _> = connectors
            .iter()
            .zip(&found)
            .flat_map(|(connector, found)| found.iter().map(move |address| (*address, connector)))
            .collect();
        known.retain(|address, replica| stays(&wanted, *address, replica));
        let new = wanted.iter().filter(|(address, _)| !known.contains_key(address)).collect::<Vec<_>>();
        let changed = !new.is_empty() || upstream.count().1 != known.len();
        for (address, connector) in new {
            let replica = Replica::new(*address, keeping.crew.lanes(), connections);
            keep(&upstream, &replica, connector, &keeping);
            known.insert(*address, replica);
        }
        if changed {
            upstream.set_replicas(known.values().cloned().collect());
        }
        sleep(LOOK_UP_INTERVAL).await;
    }
}

/// One that is not wanted any more takes no new call, and may finish those it has.
fn stays(wanted: &BTreeMap<SocketAddr, &Connector>, address: SocketAddr, replica: &Replica) -> bool {
    let stays = wanted.contains_key(&address);
    if !stays {
        replica.gone.cancel();
    }
    stays
}
