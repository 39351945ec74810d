//! The peer: a tonic server as its documentation shows it, with TLS and nothing else.

use std::sync::Arc;

use caremesh_proto::policy::v1::audit_service_server::{AuditService, AuditServiceServer};
use caremesh_proto::policy::v1::plan_service_server::{PlanService, PlanServiceServer};
use caremesh_proto::policy::v1::{
    GetPlanVersionRequest, GetPlanVersionResponse, ListAccessRequest, ListAccessResponse, ListPlansRequest,
    ListPlansResponse,
};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};

/// Answers every call with the same plan version.
pub(crate) struct Bare(pub(crate) GetPlanVersionResponse);

#[tonic::async_trait]
impl PlanService for Bare {
    async fn list_plans(&self, _: Request<ListPlansRequest>) -> Result<Response<ListPlansResponse>, Status> {
        Ok(Response::new(ListPlansResponse::default()))
    }

    async fn get_plan_version(
        &self,
        _: Request<GetPlanVersionRequest>,
    ) -> Result<Response<GetPlanVersionResponse>, Status> {
        Ok(Response::new(self.0.clone()))
    }
}

#[tonic::async_trait]
impl AuditService for Bare {
    async fn list_access(
        &self,
        _: Request<ListAccessRequest>,
    ) -> Result<Response<ListAccessResponse>, Status> {
        Ok(Response::new(ListAccessResponse::default()))
    }
}

/// Serves until the process ends.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    answer: GetPlanVersionResponse,
) -> anyhow::Result<()> {
    let incoming = caremesh_mesh::tls::listen(listener, tls);
    let plans = PlanServiceServer::new(Bare(answer.clone()));
    let server = tonic::transport::Server::builder().add_service(plans);
    server.add_service(AuditServiceServer::new(Bare(answer))).serve_with_incoming(incoming).await?;
    Ok(())
}
