//! Takes connections in: how many in all, how many of one address.
//! Must not know what is said over them.

pub(crate) mod connection;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use caremesh_mesh::tls;
use futures::StreamExt;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::edge::Edge;
use crate::limits::AddressKey;
use connection::ConnectionRules;

/// What the accept loop holds every connection to.
#[derive(Debug, Clone)]
pub(crate) struct Acceptance {
    pub(crate) max_connections: usize,
    pub(crate) max_per_address: usize,
    pub(crate) rules: ConnectionRules,
}

/// How accepting, and what was accepted, ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ends {
    /// No more connections; those that are open finish their calls.
    pub(crate) soft: CancellationToken,
    /// Open connections are dropped.
    pub(crate) hard: CancellationToken,
}

/// Accepts until the soft end; the connections run on in `tasks`.
pub(crate) async fn accept(
    mut incoming: tls::Incoming,
    edge: impl Edge,
    acceptance: Acceptance,
    tasks: TaskTracker,
    ends: Ends,
) {
    let places = Arc::new(Semaphore::new(acceptance.max_connections));
    let addresses = Addresses::new(acceptance.max_per_address);
    let mut nth = 0_u32;
    // Without a free place nobody is taken in: the rest waits in the listener's queue.
    while let Some(Ok(place)) = ends.soft.run_until_cancelled(places.clone().acquire_owned()).await {
        let connection = match ends.soft.run_until_cancelled(incoming.next()).await {
            Some(Some(Ok(connection))) => connection,
            Some(Some(Err(_))) => continue,
            Some(None) | None => return,
        };
        let address = connection.peer().address().map(|it| it.ip());
        let Some(seat) = addresses.seat(address) else {
            tracing::info!("A connection was closed: its address has too many.");
            continue;
        };
        nth = nth.wrapping_add(1);
        let rules = acceptance.rules.for_connection(nth);
        let serving = connection::serve(connection, edge.clone(), rules, ends.soft.clone());
        let serving = ends.hard.clone().run_until_cancelled_owned(serving);
        tasks.spawn(async move {
            serving.await;
            drop((place, seat));
        });
    }
}

/// Open connections by address.
#[derive(Clone)]
struct Addresses {
    open: Arc<Mutex<HashMap<AddressKey, usize>>>,
    max: usize,
}

/// One open connection of an address; given back on drop.
struct Seat {
    addresses: Addresses,
    key: Option<AddressKey>,
}

impl Addresses {
    fn new(max: usize) -> Self {
        Self { open: Arc::default(), max }
    }

    /// `None`: the address has all it may have.
    fn seat(&self, address: Option<IpAddr>) -> Option<Seat> {
        let key = address.map(AddressKey::from);
        if let Some(key) = key {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let count = open.entry(key).or_default();
            if *count >= self.max {
                return None;
            }
            *count += 1;
        }
        Some(Seat { addresses: self.clone(), key })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let mut open = self.addresses.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                open.remove(&key);
            }
        }
    }
}

/// Spreads `span` by up to a fifth, so that what began together does not end together.
pub(crate) fn spread(span: Duration, nth: u32) -> Duration {
    // Multiples of the golden ratio fall evenly; no random source is needed.
    let step = nth.wrapping_mul(0x9E37_79B9) >> 24;
    span + span / 1_280 * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_seats_and_gives_them_back() {
        let addresses = Addresses::new(1);
        let home = Some(IpAddr::from([192, 0, 2, 1]));
        let seat = addresses.seat(home);
        assert!(seat.is_some());
        assert!(addresses.seat(home).is_none());
        assert!(addresses.seat(Some(IpAddr::from([192, 0, 2, 2]))).is_some());
        drop(seat);
        assert!(addresses.seat(home).is_some());
        assert_eq!(addresses.open.lock().map(|open| open.len()).unwrap_or(9), 0);
    }

    #[test]
    fn ages_spread_by_at_most_a_fifth() {
        let age = Duration::from_secs(100);
        let ages: Vec<_> = (0..50).map(|nth| spread(age, nth)).collect();
        assert!(ages.iter().all(|it| *it >= age && *it <= Duration::from_secs(120)));
        let distinct: std::collections::HashSet<_> = ages.iter().collect();
        assert!(distinct.len() > 40);
    }
}
