//! Sends a call again where the contract says that it may be, the far side says that it is worth it, and
//! the budget allows: retries must not turn a slow service into a dead one. The calling service owns
//! retries; the gateway never does.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, request::Parts};
use tonic::{Code, Status};
use tower::{
    Layer, Service, ServiceExt,
    retry::{
        backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff},
        budget::{Budget, TpsBudget},
    },
    util::rng::HasherRng,
};

use super::{
    ClientConfig,
    balance::Tried,
    message::{Kept, again, keep},
};
use crate::{
    deadline::Deadline,
    layer::{Request, Response},
    policy::{MethodPolicy, RetrySafety},
    status::Answer,
};

/// How often a call was sent before (gRFC A6), for the far side's logs.
const PREVIOUS_ATTEMPTS: &str = "grpc-previous-rpc-attempts";
/// When the far side wants another try, if at all (gRFC A6).
const PUSHBACK: &str = "grpc-retry-pushback-ms";
const BUDGET_WINDOW: Duration = Duration::from_secs(10);
const RETRIES_PER_SECOND: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Makes the retry layer; one budget for all calls of a channel.
#[derive(Debug, Clone)]
pub(super) struct RetryLayer {
    max_attempts: u32,
    budget: Arc<TpsBudget>,
}

impl RetryLayer {
    pub(super) fn new(config: &ClientConfig) -> Self {
        let share = share_of(config.retry_percent);
        let budget = Arc::new(TpsBudget::new(BUDGET_WINDOW, RETRIES_PER_SECOND, share));
        Self { max_attempts: config.max_attempts.max(1), budget }
    }
}

#[expect(clippy::float_arithmetic, reason = "tower's budget takes its share as a float")]
fn share_of(percent: u16) -> f32 {
    f32::from(percent.min(100)) / 100.0
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry { inner, layer: self.clone() }
    }
}

/// The service of [`RetryLayer`].
#[derive(Debug, Clone)]
pub(super) struct Retry<S> {
    inner: S,
    layer: RetryLayer,
}

impl<S> Service<Request> for Retry<S>
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
        if may_be_sent_again(&request) {
            let layer = self.layer.clone();
            return Box::pin(async move { layer.send(inner, request).await });
        }
        Box::pin(inner.oneshot(request))
    }
}

/// Only what the contract declares; a method without a policy is not guessed about.
fn may_be_sent_again(request: &Request) -> bool {
    let policy = request.extensions().get::<Arc<MethodPolicy>>();
    policy.is_some_and(|policy| matches!(policy.retry, RetrySafety::Safe | RetrySafety::Hedge))
}

impl RetryLayer {
    async fn send<S>(&self, inner: S, request: Request) -> Result<Response, Infallible>
    where
        S: Service<Request, Response = Response, Error = Infallible> + Clone,
    {
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(Tried::default());
        let message = match keep(body) {
            Kept::Whole(message) => message,
            Kept::TooMuch(body) => return inner.oneshot(Request::from_parts(parts, body)).await,
        };
        self.budget.deposit();
        let mut pauses = pauses();
        let mut attempt = 1;
        loop {
            let response = inner.clone().oneshot(numbered(again(&parts, &message), attempt)).await?;
            let Some(told) = worth_another(&response) else { return Ok(response) };
            let pause = told.unwrap_or_else(|| pause_of(&mut pauses));
            if attempt >= self.max_attempts || !fits(&parts, pause) || !self.budget.withdraw() {
                return Ok(response);
            }
            count(&parts);
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }
}

/// Says which try it is, when it is not the first.
fn numbered(mut request: Request, attempt: u32) -> Request {
    if attempt > 1 {
        request.headers_mut().insert(PREVIOUS_ATTEMPTS, HeaderValue::from(attempt - 1));
    }
    request
}

/// Whether the answer asks for another try, and after which pause if it says so. Only answers without
/// a message count: once one has come, the call has begun to be answered.
fn worth_another(response: &Response) -> Option<Option<Duration>> {
    let status = Status::from_header_map(response.headers())?;
    let told = match pushback(response.headers()) {
        Pushback::Silent => Answer::of(&status).retry_after,
        Pushback::After(pause) => Some(pause),
        Pushback::Never => return None,
    };
    match status.code() {
        Code::Unavailable => Some(told),
        Code::ResourceExhausted => told.map(Some),
        _ => None,
    }
}

/// What the far side says about another try in the words of gRPC's own retry design (gRFC A6).
enum Pushback {
    Silent,
    After(Duration),
    Never,
}

fn pushback(headers: &HeaderMap) -> Pushback {
    let Some(value) = headers.get(PUSHBACK) else { return Pushback::Silent };
    // Negative, or no number at all: do not come back.
    let pause = value.to_str().ok().and_then(|text| text.parse().ok());
    pause.map_or(Pushback::Never, |ms| Pushback::After(Duration::from_millis(ms)))
}

fn fits(parts: &Parts, pause: Duration) -> bool {
    parts.extensions.get::<Deadline>().is_some_and(|deadline| pause < deadline.remaining())
}

fn count(parts: &Parts) {
    if let Some(policy) = parts.extensions.get::<Arc<MethodPolicy>>() {
        metrics::counter!("rpc_client_retries_total", "rpc_path" => policy.path.clone()).increment(1);
    }
}

fn pauses() -> Option<ExponentialBackoff> {
    let jitter = 0.99;
    ExponentialBackoffMaker::new(FIRST_PAUSE, LONGEST_PAUSE, jitter, HasherRng::default())
        .ok()
        .map(|mut maker| maker.make_backoff())
}

fn pause_of(pauses: &mut Option<ExponentialBackoff>) -> Duration {
    let next = pauses.as_mut().map(|pauses| pauses.next_backoff().deadline());
    next.map_or(FIRST_PAUSE, |at| at.saturating_duration_since(tokio::time::Instant::now()))
}
