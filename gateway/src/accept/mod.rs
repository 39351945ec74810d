//! Takes connections in: how many in all, how many of one address.
//! Must not know what is said over them.

pub(crate) mod connection;

use std::sync::Arc;
use std::time::Duration;

use caremesh_mesh::tls;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::crew::Crew;
use crate::edge::Edge;
use crate::limits::{AddressKey, Seats};
use connection::ConnectionRules;

/// Pause after the system could not accept (out of file descriptors), which fails at once again otherwise.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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

/// Where connections come in, and who carries them.
pub(crate) struct Entrance {
    pub(crate) listener: TcpListener,
    pub(crate) handshakes: tls::Handshakes,
    pub(crate) crew: Arc<Crew>,
}

/// Accepts until the soft end; the connections run on in `tasks`, on the threads of the crew.
pub(crate) async fn accept(
    entrance: Entrance,
    edge: impl Edge,
    acceptance: Acceptance,
    tasks: TaskTracker,
    ends: Ends,
) {
    let places = Arc::new(Semaphore::new(acceptance.max_connections));
    let addresses = Seats::new(acceptance.max_per_address);
    let mut nth = 0_u32;
    // Without a free place nobody is taken in: the rest waits in the listener's queue.
    while let Some(Ok(place)) = ends.soft.run_until_cancelled(places.clone().acquire_owned()).await {
        let Some(accepted) = ends.soft.run_until_cancelled(entrance.listener.accept()).await else { return };
        let (stream, address) = match accepted.and_then(|(stream, from)| Ok((stream.into_std()?, from))) {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(error.kind = %error.kind(), "A connection could not be accepted.");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Before the handshake, which costs a signature.
        let Some(seat) = addresses.take(AddressKey::from(address.ip())) else {
            tracing::info!("A connection was closed: its address has too many.");
            continue;
        };
        nth = nth.wrapping_add(1);
        let rules = acceptance.rules.for_connection(nth);
        let (handshakes, edge, soft) = (entrance.handshakes.clone(), edge.clone(), ends.soft.clone());
        let serving = async move {
            match handshakes.shake(stream, address).await {
                Ok(connection) => connection::serve(connection, edge, rules, soft).await,
                Err(error) => tracing::info!(error.kind = %error.kind(), "A TLS handshake failed."),
            }
        };
        let serving = ends.hard.clone().run_until_cancelled_owned(serving);
        entrance.crew.hand_over(&tasks, async move {
            serving.await;
            drop((place, seat));
        });
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
    fn ages_spread_by_at_most_a_fifth() {
        let age = Duration::from_secs(100);
        let ages: Vec<_> = (0..50).map(|nth| spread(age, nth)).collect();
        assert!(ages.iter().all(|it| *it >= age && *it <= Duration::from_secs(120)));
        let distinct: std::collections::HashSet<_> = ages.iter().collect();
        assert!(distinct.len() > 40);
    }
}
