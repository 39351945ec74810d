//! A plain closed-loop client: some connections, some calls in flight on each, a fixed number of calls.
//! It is the same for both servers and is not what is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use caremesh_proto::policy::v1::audit_service_client::AuditServiceClient;
use caremesh_proto::policy::v1::plan_service_client::PlanServiceClient;
use caremesh_proto::policy::v1::{GetPlanVersionRequest, ListAccessRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint, Uri};

/// What is called.
#[derive(Clone)]
pub(crate) enum Call {
    /// A method that is not audited.
    Plan(GetPlanVersionRequest),
    /// A method whose answer leaves when its event is on disk.
    Accesses(ListAccessRequest),
}

/// Where to call, with what.
#[derive(Clone)]
pub(crate) struct Target {
    /// `127.0.0.1:port`.
    pub(crate) address: String,
    /// A client's side of mutual TLS.
    pub(crate) tls: Arc<ClientConfig>,
    /// `Bearer …`.
    pub(crate) authorization: MetadataValue<Ascii>,
}

/// Connections of the client.
const CONNECTIONS: usize = 4;
/// Calls in flight on each connection.
const IN_FLIGHT: usize = 8;

/// Makes `calls` calls and returns when all have been answered with OK.
pub(crate) async fn run(target: &Target, calls: u64, call: &Call) -> anyhow::Result<()> {
    let left = Arc::new(AtomicU64::new(calls));
    let mut workers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let channel = connect(target).await?;
        for _ in 0..IN_FLIGHT {
            let (channel, target) = (channel.clone(), target.clone());
            workers.spawn(work(channel, target, call.clone(), left.clone()));
        }
    }
    while let Some(finished) = workers.join_next().await {
        finished??;
    }
    Ok(())
}

/// Calls until none is left.
async fn work(channel: Channel, target: Target, call: Call, left: Arc<AtomicU64>) -> anyhow::Result<()> {
    let mut plans = PlanServiceClient::new(channel.clone());
    let mut audit = AuditServiceClient::new(channel);
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |calls| calls.checked_sub(1)).is_ok() {
        let answered = match call.clone() {
            Call::Plan(message) => plans.get_plan_version(request(&target, message)).await.map(drop),
            Call::Accesses(message) => audit.list_access(request(&target, message)).await.map(drop),
        };
        answered.context("a call failed")?;
    }
    Ok(())
}

fn request<T>(target: &Target, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("authorization", target.authorization.clone());
    request.set_timeout(std::time::Duration::from_secs(5));
    request
}

/// One HTTP/2 connection over TLS.
async fn connect(target: &Target) -> anyhow::Result<Channel> {
    let (address, tls) = (target.address.clone(), TlsConnector::from(target.tls.clone()));
    let connector = tower::service_fn(move |_: Uri| {
        let (address, tls) = (address.clone(), tls.clone());
        async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>(TokioIo::new(tls.connect(name, stream).await?))
        }
    });
    Ok(Endpoint::from_static("https://localhost").connect_with_connector(connector).await?)
}
