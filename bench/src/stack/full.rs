//! What is measured: the same handler behind the mesh's server stack, as every service has it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use caremesh_db::Db;
use caremesh_db::audit::Recorder;
use caremesh_kernel::SystemClock;
use caremesh_mesh::identity::{Identity, IdentityConfig};
use caremesh_mesh::server::{ServerBuilder, ServerParts, Transport};
use caremesh_mesh::telemetry::{TelemetryConfig, init_to};
use caremesh_mesh::tls::WorkloadIdentity;
use caremesh_mesh::{Lifecycle, Touched, accept};
use caremesh_proto::policy::v1::audit_service_server::{AuditService, AuditServiceServer};
use caremesh_proto::policy::v1::plan_service_server::{PlanService, PlanServiceServer};
use caremesh_proto::policy::v1::{
    GetPlanVersionRequest, GetPlanVersionResponse, ListAccessRequest, ListAccessResponse, ListPlansRequest,
    ListPlansResponse,
};
use tonic::{Request, Response, Status};

/// Accepts and validates every call as all handlers do, then answers with the same plan version.
struct Full(GetPlanVersionResponse);

#[tonic::async_trait]
impl PlanService for Full {
    async fn list_plans(
        &self,
        request: Request<ListPlansRequest>,
    ) -> Result<Response<ListPlansResponse>, Status> {
        accept(request)?;
        Ok(Response::new(ListPlansResponse::default()))
    }

    async fn get_plan_version(
        &self,
        request: Request<GetPlanVersionRequest>,
    ) -> Result<Response<GetPlanVersionResponse>, Status> {
        accept(request)?;
        Ok(Response::new(self.0.clone()))
    }
}

#[tonic::async_trait]
impl AuditService for Full {
    async fn list_access(
        &self,
        request: Request<ListAccessRequest>,
    ) -> Result<Response<ListAccessResponse>, Status> {
        let (context, message) = accept(request)?;
        context.touched(Touched::read(message.person_id.parse().ok(), message.person_id));
        Ok(Response::new(ListAccessResponse::default()))
    }
}

/// What the server needs to know of its surroundings.
pub(crate) struct Surroundings<'a> {
    /// Who it is.
    pub(crate) identity: WorkloadIdentity,
    /// Whose tokens it believes.
    pub(crate) tokens: IdentityConfig,
    /// Where kept traces go.
    pub(crate) otlp_endpoint: &'a str,
    /// Where its audit trail goes: an SQLite file that is made here.
    pub(crate) trail: &'a Path,
    /// Where its log goes.
    pub(crate) log: &'a Path,
}

/// Starts the server and gives its address; it runs until the process ends.
pub(crate) async fn start(
    around: Surroundings<'_>,
    answer: GetPlanVersionResponse,
) -> anyhow::Result<SocketAddr> {
    let telemetry = TelemetryConfig {
        otlp_endpoint: Some(around.otlp_endpoint.to_owned()),
        ..TelemetryConfig::default()
    };
    let log = std::fs::File::create(around.log)?;
    let telemetry = init_to(&telemetry, "svc-policy", Arc::new(log))?;
    let metrics = telemetry.metrics();
    std::mem::forget(telemetry);
    let db = Db::connect(caremesh_db::Config::new(format!("sqlite://{}", around.trail.display()))).await?;
    db.migrate::<caremesh_svc_policy::migration::Migrator>().await?;
    let parts = ServerParts {
        name: "svc-policy".to_owned(),
        config: caremesh_mesh::config::ServerConfig::default(),
        descriptor_set: caremesh_proto::FILE_DESCRIPTOR_SET,
        transport: Transport::MutualTls(around.identity),
        authenticator: Arc::new(Identity::new(&around.tokens, Arc::new(SystemClock))?),
        audit: Arc::new(Recorder::start(&db)),
        probes: Vec::new(),
        metrics: Arc::new(move || metrics.render()),
    };
    let running = ServerBuilder::new(parts)
        .add(PlanServiceServer::new(Full(answer.clone())))
        .add(AuditServiceServer::new(Full(answer)))
        .start(&Lifecycle::new())
        .await?;
    let address = running.address;
    std::mem::forget(running);
    Ok(address)
}
