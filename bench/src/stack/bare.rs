//! The peer: a tonic server as its documentation shows it, with TLS and nothing else.

use std::sync::Arc;

use caremesh_proto::policy::v1::plan_service_server::{PlanService, PlanServiceServer};
use caremesh_proto::policy::v1::{
    GetPlanVersionRequest, GetPlanVersionResponse, ListPlansRequest, ListPlansResponse,
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

/// Serves until the process ends.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    answer: GetPlanVersionResponse,
) -> anyhow::Result<()> {
    let incoming = caremesh_mesh::tls::listen(listener, tls);
    let service = PlanServiceServer::new(Bare(answer));
    tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming).await?;
    Ok(())
}
