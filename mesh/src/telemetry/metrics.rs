//! The metrics layer: how long calls took, by method and code, on both sides of a call. Handles are
//! made once per method and code, so that a call costs one hash look-up and one record.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use http::{Request, Response};
use metrics::Histogram;
use tokio::time::Instant;
use tonic::Code;
use tower::{Layer, Service};

use super::observe::{CallError, Observed, ObservedBody, Observer};

/// Name of the server side's histogram (OpenTelemetry `rpc.server.call.duration`, seconds).
pub(super) const SERVER_DURATION: &str = "rpc_server_call_duration_seconds";
/// Name of the client side's histogram (OpenTelemetry `rpc.client.call.duration`, seconds).
pub(super) const CLIENT_DURATION: &str = "rpc_client_call_duration_seconds";
/// gRPC has codes 0 to 16.
const CODES: usize = 17;

/// The methods whose calls are counted under their own name. A path comes from outside, so a name that
/// is not here is counted as `other`: otherwise a stranger could make series without end.
#[derive(Clone, Debug)]
pub struct MethodTable(Arc<Table>);

#[derive(Debug)]
struct Table {
    metric: &'static str,
    service: Arc<str>,
    methods: ArcSwap<HashMap<Box<str>, Arc<Series>>>,
    other: Arc<Series>,
}

/// One method's histograms, by code, each made when its code is first seen.
#[derive(Debug)]
struct Series {
    metric: &'static str,
    service: Arc<str>,
    rpc_service: Box<str>,
    rpc_method: Box<str>,
    by_code: [OnceLock<Histogram>; CODES],
}

impl MethodTable {
    fn new<'a>(metric: &'static str, service: &str, paths: impl IntoIterator<Item = &'a str>) -> Self {
        let service: Arc<str> = service.into();
        let other = Arc::new(Series::new(metric, service.clone(), "other", "other"));
        let table = Self(Arc::new(Table { metric, service, methods: ArcSwap::default(), other }));
        table.learn(paths);
        table
    }

    /// Adds methods by path (`/caremesh.policy.v1.PolicyService/GetPolicy`). Those known already keep
    /// their series.
    pub fn learn<'a>(&self, paths: impl IntoIterator<Item = &'a str>) {
        let mut methods = HashMap::clone(&self.0.methods.load());
        for path in paths {
            if let Some((service, method)) = path.trim_start_matches('/').split_once('/') {
                methods.entry(path.into()).or_insert_with(|| {
                    Arc::new(Series::new(self.0.metric, self.0.service.clone(), service, method))
                });
            }
        }
        self.0.methods.store(Arc::new(methods));
    }

    fn series(&self, path: &str) -> Arc<Series> {
        self.0.methods.load().get(path).unwrap_or(&self.0.other).clone()
    }
}

impl Series {
    fn new(metric: &'static str, service: Arc<str>, rpc_service: &str, rpc_method: &str) -> Self {
        let by_code = [const { OnceLock::new() }; CODES];
        Self { metric, service, rpc_service: rpc_service.into(), rpc_method: rpc_method.into(), by_code }
    }

    fn record(&self, code: Code, seconds: f64) {
        let index = usize::try_from(i32::from(code)).unwrap_or(CODES);
        if let Some(cell) = self.by_code.get(index) {
            cell.get_or_init(|| self.histogram(code)).record(seconds);
        }
    }

    fn histogram(&self, code: Code) -> Histogram {
        metrics::histogram!(
            self.metric,
            "caremesh_service" => self.service.to_string(),
            "rpc_service" => self.rpc_service.to_string(),
            "rpc_method" => self.rpc_method.to_string(),
            "rpc_grpc_status_code" => i32::from(code).to_string(),
        )
    }
}

/// Makes the metrics layer. Start telemetry first: a histogram made before that records nothing.
#[derive(Debug, Clone)]
pub struct MetricsLayer {
    table: MethodTable,
}

impl MetricsLayer {
    /// For a server that is `service` and serves the methods at `paths`.
    #[must_use]
    pub fn server<'a>(service: &str, paths: impl IntoIterator<Item = &'a str>) -> Self {
        Self { table: MethodTable::new(SERVER_DURATION, service, paths) }
    }

    /// For calls that `service` makes to the methods at `paths`.
    #[must_use]
    pub fn client<'a>(service: &str, paths: impl IntoIterator<Item = &'a str>) -> Self {
        Self { table: MethodTable::new(CLIENT_DURATION, service, paths) }
    }

    /// The table of known methods, for one who learns of methods while running (the gateway).
    #[must_use]
    pub fn methods(&self) -> &MethodTable {
        &self.table
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = Metered<S>;

    fn layer(&self, inner: S) -> Metered<S> {
        Metered { inner, table: self.table.clone() }
    }
}

/// The service of [`MetricsLayer`].
#[derive(Debug, Clone)]
pub struct Metered<S> {
    inner: S,
    table: MethodTable,
}

impl<S, B, R> Service<Request<B>> for Metered<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: CallError,
{
    type Response = Response<ObservedBody<R, CallTimer>>;
    type Error = S::Error;
    type Future = Observed<S::Future, CallTimer>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let timer = CallTimer { series: self.table.series(request.uri().path()), started: Instant::now() };
        Observed::new(self.inner.call(request), timer)
    }
}

/// Times one call.
#[derive(Debug)]
pub struct CallTimer {
    series: Arc<Series>,
    started: Instant,
}

impl Observer for CallTimer {
    fn ended(self, code: Code) {
        self.series.record(code, self.started.elapsed().as_secs_f64());
    }
}
