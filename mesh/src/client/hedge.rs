//! Sends a second try while the first is still under way, where the contract says that a method is so cheap
//! that it may be: one slow replica then costs a pause and not the call. Within a budget, because a service
//! that is slow everywhere is not helped by twice the work. Must not know replicas.

use std::{
    convert::Infallible,
    future::Future,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::{BoxFuture, Either, select};
use http::request::Parts;
use tonic::Code;
use tower::{
    Layer, Service, ServiceExt,
    retry::budget::{Budget, TpsBudget},
};

use super::{
    ClientConfig,
    message::{Kept, again, keep},
    outcome::code_of,
};
use crate::{
    layer::{Request, Response},
    policy::{MethodPolicy, RetrySafety},
};

const BUDGET_WINDOW: Duration = Duration::from_secs(10);
/// Hedges that are free, for a caller of few calls.
const FREE_PER_SECOND: u32 = 5;
/// Beyond those one call in ten may be sent twice: a tenth of the calls are slower than the other nine tenths.
const SHARE: f32 = 0.1;

/// Makes the hedge layer; one budget for all calls of a channel.
#[derive(Debug, Clone)]
pub(super) struct HedgeLayer {
    after: Duration,
    budget: Arc<TpsBudget>,
}

impl HedgeLayer {
    pub(super) fn new(config: &ClientConfig) -> Self {
        let budget = Arc::new(TpsBudget::new(BUDGET_WINDOW, FREE_PER_SECOND, SHARE));
        Self { after: Duration::from_millis(config.hedge_after_ms), budget }
    }
}

impl<S> Layer<S> for HedgeLayer {
    type Service = Hedge<S>;

    fn layer(&self, inner: S) -> Hedge<S> {
        Hedge { inner, layer: self.clone() }
    }
}

/// The service of [`HedgeLayer`].
#[derive(Debug, Clone)]
pub(super) struct Hedge<S> {
    inner: S,
    layer: HedgeLayer,
}

impl<S> Service<Request> for Hedge<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Readiness is asked of the clone that is used.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let inner = self.inner.clone();
        if !may_be_hedged(&request) {
            return Box::pin(inner.oneshot(request));
        }
        let layer = self.layer.clone();
        Box::pin(async move { layer.send(inner, request).await })
    }
}

fn may_be_hedged(request: &Request) -> bool {
    let policy = request.extensions().get::<Arc<MethodPolicy>>();
    policy.is_some_and(|policy| policy.retry == RetrySafety::Hedge && !policy.streams_answers)
}

impl HedgeLayer {
    async fn send<S>(&self, inner: S, request: Request) -> Result<Response, Infallible>
    where
        S: Service<Request, Response = Response, Error = Infallible> + Clone + Send,
        S::Future: Send,
    {
        let (parts, body) = request.into_parts();
        let message = match keep(body) {
            Kept::Whole(message) => message,
            Kept::TooMuch(body) => return inner.oneshot(Request::from_parts(parts, body)).await,
        };
        self.budget.deposit();
        let first = Box::pin(inner.clone().oneshot(again(&parts, &message)));
        let first = match select(first, Box::pin(tokio::time::sleep(self.after))).await {
            Either::Left((answered, _)) => return answered,
            Either::Right(((), first)) => first,
        };
        if !self.budget.withdraw() {
            return first.await;
        }
        count(&parts);
        better(first, Box::pin(inner.oneshot(again(&parts, &message)))).await
    }
}

/// The first answer that is one; the other's, if the first says only that somebody was not there.
async fn better<F>(first: F, second: F) -> Result<Response, Infallible>
where
    F: Future<Output = Result<Response, Infallible>> + Unpin,
{
    let (Either::Left((Ok(answered), other)) | Either::Right((Ok(answered), other))) =
        select(first, second).await;
    if code_of(&answered) == Some(Code::Unavailable) { other.await } else { Ok(answered) }
}

fn count(parts: &Parts) {
    if let Some(policy) = parts.extensions.get::<Arc<MethodPolicy>>() {
        metrics::counter!("rpc_client_hedges_total", "rpc_path" => policy.path.clone()).increment(1);
    }
}
