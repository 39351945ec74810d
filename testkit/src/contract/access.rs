//! The whole matrix of who may call what: every role and every service against every method, as the contract says.

use std::collections::BTreeSet;

use anyhow::ensure;
use caremesh_mesh::MethodPolicy;
use caremesh_mesh::policy::Role;

use super::raw::{call, reason_of};
use super::{methods_of, person_with, usual_rules};
use crate::mesh::{CallerChannel, Server, TestMesh};

/// A service that no rule names.
const STRANGER: &str = "svc-stranger";
/// Reasons by which the layers refuse a caller, whatever the request.
const REFUSED: [&str; 2] = ["ROLE_MISSING", "CREDENTIALS_MISSING"];

/// Calls every method of these services as nobody, as each role and as each service, with an empty request. Gives
/// the number of calls.
///
/// # Errors
/// Names the method and the caller that was let in, or kept out, against the contract.
pub async fn access_matrix_holds(
    mesh: &TestMesh,
    server: &Server,
    services: &[&str],
) -> anyhow::Result<usize> {
    let methods = methods_of(services)?;
    let mut tried = 0;
    for method in &methods {
        expect(method, "nobody", mesh.nobody(server)?, method.anyone).await?;
        for role in every_role() {
            let may = method.anyone || usual_rules(method).any(|rule| rule.roles.contains(&role));
            let caller = mesh.person(server, &person_with(role))?;
            expect(method, role.as_str_name(), caller, may).await?;
            tried += 1;
        }
        for service in services_named(&methods) {
            let may = method.anyone || usual_rules(method).any(|rule| rule.services.contains(&service));
            expect(method, &service, mesh.service(server, &service)?, may).await?;
            tried += 1;
        }
        tried += 1;
    }
    Ok(tried)
}

pub(crate) async fn expect(
    method: &MethodPolicy,
    who: &str,
    caller: CallerChannel,
    may: bool,
) -> anyhow::Result<()> {
    let answer = call(caller, &method.path, Vec::new()).await;
    // Who is let in is refused later, for what the empty request lacks: by another reason.
    let refused = answer.as_ref().is_err_and(|status| REFUSED.contains(&reason_of(status).as_str()));
    let said = answer
        .map_or_else(|status| format!("{:?} {}", status.code(), reason_of(&status)), |_| "OK".to_owned());
    ensure!(refused != may, "{} called by {who}: may is {may}, the answer was {said}", method.path);
    Ok(())
}

fn every_role() -> impl Iterator<Item = Role> {
    (1..).map_while(|number| Role::try_from(number).ok())
}

fn services_named(methods: &[MethodPolicy]) -> BTreeSet<String> {
    let named = methods.iter().flat_map(|method| &method.access).flat_map(|rule| &rule.services);
    named.cloned().chain([STRANGER.to_owned()]).collect()
}
