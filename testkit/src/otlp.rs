//! A real OTLP receiver over gRPC that keeps the spans it is sent. Must not know what a span means.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use caremesh_mesh::tls::{WorkloadIdentity, listen};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::Span,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinHandle,
};
use tonic::{
    Request, Response, Status,
    transport::server::{Connected, TcpIncoming},
};

/// One span as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedSpan {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// 16 hexadecimal digits; empty at the root.
    pub parent_id: String,
    /// `caremesh.policy.v1.PolicyService/GetPolicy`.
    pub name: String,
    /// OTLP's number: 1 internal, 2 server, 3 client.
    pub kind: i32,
    /// OTLP's number: 0 unset, 1 OK, 2 error.
    pub status: i32,
    /// Attributes of the span, as text.
    pub attributes: BTreeMap<String, String>,
    /// Attributes of the process.
    pub resource: BTreeMap<String, String>,
    /// Ids of linked traces.
    pub links: Vec<String>,
    /// How many events (log lines) it carries.
    pub events: usize,
}

/// A receiver on a free loopback port.
#[derive(Debug)]
pub struct OtlpReceiver {
    endpoint: String,
    spans: Kept,
    server: JoinHandle<()>,
}

async fn bind() -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("a port for the OTLP receiver")?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<ReceivedSpan>>>);

impl OtlpReceiver {
    /// Starts to receive.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> anyhow::Result<Self> {
        let (listener, address) = bind().await?;
        Ok(Self::serving(TcpIncoming::from(listener), format!("http://{address}")))
    }

    /// Starts to receive over TLS, with the certificate of `identity`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_tls(identity: &WorkloadIdentity) -> anyhow::Result<Self> {
        let (listener, address) = bind().await?;
        let incoming = listen(listener, identity.edge_server_config()?);
        Ok(Self::serving(incoming, format!("https://{address}")))
    }

    fn serving<I, C, E>(incoming: I, endpoint: String) -> Self
    where
        I: futures::Stream<Item = Result<C, E>> + Send + 'static,
        C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
        C::ConnectInfo: Send + Sync + Clone + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    {
        let spans = Kept::default();
        let service = TraceServiceServer::new(spans.clone());
        let serving = tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming);
        let server = tokio::spawn(async move {
            // Ends with the task; a test that needs it notices.
            drop(serving.await);
        });
        Self { endpoint, spans, server }
    }

    /// Where to export to.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// What has arrived so far.
    #[must_use]
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.spans.lock().clone()
    }

    /// Waits until the spans of `trace_id` number at least `count`, for at most ten seconds, and gives
    /// those that are there.
    pub async fn trace(&self, trace_id: &str, count: usize) -> Vec<ReceivedSpan> {
        for _ in 0..200 {
            let found = self.of_trace(trace_id);
            if found.len() >= count {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.of_trace(trace_id)
    }

    fn of_trace(&self, trace_id: &str) -> Vec<ReceivedSpan> {
        self.spans().into_iter().filter(|span| span.trace_id == trace_id).collect()
    }
}

impl Drop for OtlpReceiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Kept {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<ReceivedSpan>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for batch in request.into_inner().resource_spans {
            let resource = texts(&batch.resource.map(|r| r.attributes).unwrap_or_default());
            let spans = batch.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.lock().extend(spans.map(|span| received(span, &resource)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn received(span: Span, resource: &BTreeMap<String, String>) -> ReceivedSpan {
    ReceivedSpan {
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_id: hex(&span.parent_span_id),
        name: span.name,
        kind: span.kind,
        status: span.status.map_or(0, |status| status.code),
        attributes: texts(&span.attributes),
        resource: resource.clone(),
        links: span.links.iter().map(|link| hex(&link.trace_id)).collect(),
        events: span.events.len(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    attributes.iter().map(|kv| (kv.key.clone(), kv.value.as_ref().map(text).unwrap_or_default())).collect()
}

fn text(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        other => format!("{other:?}"),
    }
}
