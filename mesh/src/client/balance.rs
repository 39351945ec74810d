//! Spreads the calls to a service over its replicas: of two that are drawn, the one that costs less; none that
//! cannot be reached, is ejected, or has gone silent, as long as there is another. Follows the names as they
//! resolve. Must not know methods beyond whether the contract lets a call be sent again.

mod member;
mod resolve;

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use http::uri::Authority;
use rustls::ClientConfig as RustlsConfig;
use tokio::{sync::OnceCell, time::Instant};
use tower::Service;

use self::member::{Member, Rank};
pub use self::resolve::Resolver;
use super::{
    ClientConfig, ClientError,
    connection::{Connection, Unsent, unreachable},
};
use crate::{
    layer::{Request, Response},
    policy::{MethodPolicy, RetrySafety},
};

/// Replicas that one try goes to at most while none of them takes the call. What was never sent may go elsewhere
/// whatever the method.
const MOST_REPLICAS: usize = 4;

/// The replicas that the tries of one call have gone to already, so that the next goes elsewhere. Put into a
/// request's extensions by whoever sends more than once.
#[derive(Clone, Debug, Default)]
pub(super) struct Tried(Arc<Mutex<Vec<SocketAddr>>>);

impl Tried {
    fn add(&self, address: SocketAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(address);
    }

    fn contains(&self, address: SocketAddr) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&address)
    }
}

/// A cheap clone; clones share the replicas.
#[derive(Clone)]
pub(super) struct Balance(Arc<Pool>);

pub(super) struct Pool {
    names: Vec<Authority>,
    resolver: Resolver,
    tls: Arc<RustlsConfig>,
    config: ClientConfig,
    members: ArcSwap<Vec<Arc<Member>>>,
    /// Full once the names have resolved for the first time.
    resolved: OnceCell<()>,
    chance: AtomicU64,
}

impl Balance {
    /// Over all addresses behind `names`. Nothing is resolved before the first call.
    pub(super) fn new(
        names: Vec<Authority>,
        tls: Arc<RustlsConfig>,
        config: &ClientConfig,
        resolver: Resolver,
    ) -> Result<Self, ClientError> {
        for name in &names {
            Connection::new(name.clone(), None, tls.clone(), config)
                .map_err(|_| ClientError::Address(name.to_string()))?;
        }
        let seed = opentelemetry_sdk::trace::IdGenerator::new_span_id(
            &opentelemetry_sdk::trace::RandomIdGenerator::default(),
        );
        Ok(Self(Arc::new(Pool {
            names,
            resolver,
            tls,
            config: config.clone(),
            members: ArcSwap::default(),
            resolved: OnceCell::new(),
            chance: AtomicU64::new(u64::from_be_bytes(seed.to_bytes())),
        })))
    }
}

impl Service<Request> for Balance {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let pool = self.0.clone();
        Box::pin(async move { Ok(pool.send(request).await) })
    }
}

impl Pool {
    async fn send(self: &Arc<Self>, mut request: Request) -> Response {
        if self.resolved.get_or_try_init(|| resolve::first(self)).await.is_err() {
            return unreachable();
        }
        let tried = request.extensions().get::<Tried>().cloned().unwrap_or_default();
        let again = may_be_sent_again(&request);
        for _ in 0..MOST_REPLICAS {
            let Some(member) = self.pick(&tried, again) else { break };
            tried.add(member.address);
            match member.send(request, again).await {
                Ok(response) => return response,
                Err(Unsent(unsent)) => request = *unsent,
            }
        }
        unreachable()
    }

    /// The best of those that stand best.
    fn pick(&self, tried: &Tried, may_be_sent_again: bool) -> Option<Arc<Member>> {
        let (members, now) = (self.members.load(), Instant::now());
        let ranks: Vec<Rank> = members
            .iter()
            .map(|member| member.rank(now, may_be_sent_again, tried.contains(member.address)))
            .collect();
        let best = *ranks.iter().min()?;
        let standing = members.iter().zip(&ranks).filter(|(_, rank)| **rank == best);
        let standing: Vec<&Arc<Member>> = standing.map(|(member, _)| member).collect();
        let picked = match standing.len() {
            1 => standing[0],
            count => self.cheaper(now, standing[self.draw(count)], &standing),
        };
        Some(Arc::clone(picked))
    }

    /// Of two different ones, the cheaper.
    fn cheaper<'a>(&self, now: Instant, one: &'a Arc<Member>, of: &[&'a Arc<Member>]) -> &'a Arc<Member> {
        let others: Vec<_> = of.iter().filter(|member| member.address != one.address).collect();
        let Some(other) = others.get(self.draw(others.len())) else { return one };
        if other.cost(now) < one.cost(now) { other } else { one }
    }

    /// An index below `count`, spread evenly enough for a choice of replicas (splitmix64).
    fn draw(&self, count: usize) -> usize {
        let mut z = self.chance.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % (count.max(1) as u64)).unwrap_or_default()
    }

    /// Keeps those that are still there, with all that is known of them; adds those that are new.
    fn follow(&self, found: &[(Authority, SocketAddr)]) {
        let known = self.members.load();
        let next: Vec<Arc<Member>> = found
            .iter()
            .filter_map(|(name, address)| {
                let same = known.iter().find(|member| member.address == *address);
                same.cloned().or_else(|| self.member(name, *address))
            })
            .collect();
        if next.len() != known.len()
            || next.iter().any(|member| !known.iter().any(|k| k.address == member.address))
        {
            tracing::debug!(replicas = next.len(), "the replicas of a service have changed");
            self.members.store(Arc::new(next));
        }
    }

    fn member(&self, name: &Authority, address: SocketAddr) -> Option<Arc<Member>> {
        // The name was tried when the channel was made.
        let connection = Connection::new(name.clone(), Some(address), self.tls.clone(), &self.config).ok()?;
        Some(Arc::new(Member::new(address, connection, &self.config)))
    }
}

fn may_be_sent_again(request: &Request) -> bool {
    let policy = request.extensions().get::<Arc<MethodPolicy>>();
    policy.is_some_and(|policy| matches!(policy.retry, RetrySafety::Safe | RetrySafety::Hedge))
}
