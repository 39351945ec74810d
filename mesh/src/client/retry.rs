//! Sends a call again where the contract says that it may be, the far side says that it is worth it, and
//! the budget allows: retries must not turn a slow service into a dead one. The calling service owns
//! retries; the gateway never does.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use http::{HeaderValue, request::Parts};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use tonic::{Code, Status, body::Body};
use tower::{
    Layer, Service, ServiceExt,
    retry::{
        backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff},
        budget::{Budget, TpsBudget},
    },
    util::rng::HasherRng,
};

use super::ClientConfig;
use crate::{
    deadline::Deadline,
    layer::{Request, Response},
    policy::{MethodPolicy, RetrySafety},
    status::Answer,
};

/// How often a call was sent before (gRFC A6), for the far side's logs.
const PREVIOUS_ATTEMPTS: &str = "grpc-previous-rpc-attempts";
/// A larger request is sent once: it would have to be kept in memory until its answer.
const LARGEST_KEPT: usize = 64 * 1024;
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
        let (parts, body) = request.into_parts();
        let message = match keep(body).await {
            Kept::Whole(message) => message,
            Kept::TooMuch(body) => return inner.oneshot(Request::from_parts(parts, body)).await,
        };
        self.budget.deposit();
        let mut pauses = pauses();
        let mut attempt = 1;
        loop {
            let response = inner.clone().oneshot(again(&parts, &message, attempt)).await?;
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

/// Whether the answer asks for another try, and after which pause if it says so. Only answers without
/// a message count: once one has come, the call has begun to be answered.
fn worth_another(response: &Response) -> Option<Option<Duration>> {
    let status = Status::from_header_map(response.headers())?;
    let told = Answer::of(&status).retry_after;
    match status.code() {
        Code::Unavailable => Some(told),
        Code::ResourceExhausted => told.map(Some),
        _ => None,
    }
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

fn again(parts: &Parts, message: &Bytes, attempt: u32) -> Request {
    let mut request = Request::from_parts(parts.clone(), Body::new(Full::new(message.clone())));
    if attempt > 1 {
        request.headers_mut().insert(PREVIOUS_ATTEMPTS, HeaderValue::from(attempt - 1));
    }
    request
}

enum Kept {
    Whole(Bytes),
    TooMuch(Body),
}

/// Reads the body as far as it is there already. One that is not whole by then is a stream of a caller
/// who may wait for our answer, and is sent once.
async fn keep(mut body: Body) -> Kept {
    let mut message = BytesMut::new();
    loop {
        match body.frame().now_or_never() {
            Some(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    message.extend_from_slice(&data);
                }
            }
            Some(None) => return Kept::Whole(message.freeze()),
            Some(Some(Err(error))) => return Kept::TooMuch(rest(message, Err(error))),
            None => return Kept::TooMuch(rest(message, Ok(body))),
        }
        if message.len() > LARGEST_KEPT {
            return Kept::TooMuch(rest(message, Ok(body)));
        }
    }
}

/// What was read, and then what was not.
fn rest(read: BytesMut, body: Result<Body, Status>) -> Body {
    let first = stream::once(async move { Ok(Frame::data(read.freeze())) });
    match body {
        Ok(body) => {
            Body::new(StreamBody::new(first.chain(body.into_data_stream().map(|data| data.map(Frame::data)))))
        }
        Err(error) => Body::new(StreamBody::new(first.chain(stream::once(async move { Err(error) })))),
    }
}
