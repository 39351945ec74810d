//! Contexts for tests that call a use case without a server.

use std::{sync::Arc, time::Duration};

use caremesh_kernel::{IdSource, SystemIds};
use caremesh_mesh::{
    CallContext, CallParts, Deadline, Facts, MethodPolicy, Person, Principal,
    identity::SpiffeId,
    policy::{Purpose, Relationship, Role},
};

use super::{TRUST_DOMAIN, TestPerson};

const LONG: Duration = Duration::from_secs(60);

/// The context of a call by `person`, who may see records under these relationships.
///
/// # Panics
/// When a role is none of the contract.
#[must_use]
pub fn context_of_person(person: &TestPerson, granted: &[Relationship]) -> CallContext {
    let roles = person.roles.iter().map(|name| role(name)).collect();
    context(
        Principal::of_person(Person {
            issuer: "https://issuer.test".into(),
            subject: person.subject.clone(),
            person_id: person.person_id,
            roles,
            organisation: person.organisation.clone(),
            token: None,
        }),
        granted,
    )
}

/// The context of a call by `service` on its own certificate, which may see every record.
///
/// # Panics
/// When the name is none a service can have.
#[must_use]
pub fn context_of_service(service: &str) -> CallContext {
    let id = SpiffeId::new(TRUST_DOMAIN, service).expect("a service's name");
    context(Principal::of_workload(id), &[Relationship::Any])
}

fn role(name: &str) -> Role {
    Role::from_str_name(&format!("ROLE_{}", name.to_ascii_uppercase()))
        .unwrap_or_else(|| panic!("the contract has no role `{name}`"))
}

fn context(principal: Principal, granted: &[Relationship]) -> CallContext {
    CallContext::new(CallParts {
        call_id: SystemIds.uuid().to_string(),
        method: Arc::new(MethodPolicy::of_process("test", "test", Purpose::Operations)),
        principal,
        purpose: Purpose::Operations,
        granted: granted.to_vec(),
        deadline: Deadline::after(LONG),
        trace_parent: None,
        on_behalf_of: None,
        episode_id: None,
        facts: Facts::default(),
    })
}
