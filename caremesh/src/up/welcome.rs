//! What `up` says when it is ready: where to look and what to try.
//! Must not know how any of it works.

use std::time::Duration;

use anyhow::Result;
use caremesh_mesh::tls::LocalCa;

use crate::data::DataFolder;
use crate::endpoints::Endpoints;
use crate::terminal::print_line;

/// Prints it to stdout. The first line is what scripts wait for.
///
/// # Errors
/// When stdout is closed.
pub(super) fn print(
    endpoints: &Endpoints,
    folder: &DataFolder,
    authority: &LocalCa,
    took: Duration,
) -> Result<()> {
    let data = folder.root().display();
    let authority = authority.certificate_path().display().to_string();
    let gateway = endpoints.gateway.trim_start_matches("https://");
    let grpcurl = format!("grpcurl -cacert {authority}");
    let token = format!("$(caremesh token --as ngozi --data {data})");
    print_line(&format!("Caremesh is ready after {} ms. Demo data, this machine only.", took.as_millis()))?;
    print_line(&format!(
        "
  gateway   {}   gRPC and grpc-web over TLS; its certificate is signed by {authority}
  sign-in   {}   choose a demo person, no password
  data      {data}   remove it to start afresh

Try:
  {grpcurl} {gateway} list
  {grpcurl} -d '{{\"jurisdiction_code\": \"NG\"}}' {gateway} caremesh.policy.v1.PlanService/ListPlans
  {grpcurl} -H \"authorization: Bearer {token}\" {gateway} caremesh.policy.v1.PolicyService/ListPolicies

Ctrl-C stops it.",
        endpoints.gateway, endpoints.issuer
    ))?;
    Ok(())
}
