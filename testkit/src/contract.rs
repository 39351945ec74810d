//! Tests that the contract writes itself: whatever it says of a method is tried on a real server. Must not know any
//! method by name, so that a new one is tried without a new test.

mod access;
pub(crate) mod raw;

pub use crate::broken::every_rule_is_enforced;
pub use access::access_matrix_holds;
#[cfg(test)]
pub(crate) use access::expect;

use caremesh_mesh::policy::{AccessRule, Role};
use caremesh_mesh::{ContractPolicy, MethodPolicy};

use crate::identity::TestPerson;

/// The methods of these services (`caremesh.policy.v1.PlanService`).
pub(crate) fn methods_of(services: &[&str]) -> anyhow::Result<Vec<MethodPolicy>> {
    let contract = ContractPolicy::from_descriptor_set(caremesh_proto::FILE_DESCRIPTOR_SET)?;
    let served = contract.methods().filter(|method| services.contains(&method.service.as_str()));
    let methods: Vec<_> = served.map(|method| MethodPolicy::clone(method)).collect();
    anyhow::ensure!(!methods.is_empty(), "the contract has none of {services:?}");
    Ok(methods)
}

/// The rules that hold for a caller who states no purpose.
pub(crate) fn usual_rules(method: &MethodPolicy) -> impl Iterator<Item = &AccessRule> {
    method.access.iter().filter(|rule| rule.purposes.contains(&method.default_purpose))
}

/// A person with this role, and no record.
pub(crate) fn person_with(role: Role) -> TestPerson {
    let name = role.as_str_name().trim_start_matches("ROLE_").to_lowercase();
    TestPerson::new(&format!("matrix-{name}"), &[&name])
}
