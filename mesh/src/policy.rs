//! The contract's options as data: who may call a method, for how long, what it may answer, how it is
//! audited. Built once at start from a descriptor set; an incomplete contract is refused there. It must
//! not know any method by name.

mod infrastructure;
mod read;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

pub use caremesh_proto::options::v1::{
    AuditClass, Exposure, Purpose, Relationship, RetrySafety, Role, Sensitivity,
};

use crate::reason::{COMMON_DOMAIN, ReasonTable};

/// One way to be allowed. The rules of a method are alternatives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// Roles of persons; empty when the rule is for services only.
    pub roles: Vec<Role>,
    /// How such a person must stand to the record; the service resolves it into a scope.
    pub relationships: Vec<Relationship>,
    /// Services that may call on their own certificate, `svc-claims`.
    pub services: Vec<String>,
    /// For what the call may be made; never empty.
    pub purposes: Vec<Purpose>,
}

/// The policy of one method, complete: every field was said in the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodPolicy {
    /// `/caremesh.policy.v1.PolicyService/GetPolicy`: the path of its HTTP/2 requests.
    pub path: String,
    /// `caremesh.policy.v1.PolicyService`.
    pub service: String,
    /// The workload that serves it, `svc-policy`; empty for gRPC's own services.
    pub workload: String,
    /// `ErrorInfo.domain` of its own reasons, `policy.caremesh`.
    pub error_domain: String,
    /// Who may call; empty only when `anyone`.
    pub access: Vec<AccessRule>,
    /// No credentials are needed.
    pub anyone: bool,
    /// The longest a call may take; for a stream its maximum life. Never zero.
    pub deadline: Duration,
    /// Names of the reasons it may give besides the common ones.
    pub errors: BTreeSet<String>,
    /// What it touches.
    pub audit: AuditClass,
    /// The purpose recorded when the caller states none.
    pub default_purpose: Purpose,
    /// Whether a client may send it again.
    pub retry: RetrySafety,
    /// Whether the gateway forwards it.
    pub exposure: Exposure,
    /// Its request is a stream.
    pub streams_requests: bool,
    /// It answers with a stream.
    pub streams_answers: bool,
    /// Its request carries a `request_id`: it changes something.
    pub changes: bool,
}

impl MethodPolicy {
    /// The policy under which work runs that no caller asked for: outbox relays, process steps, expiry.
    /// `name` says which, `expire_holds`; it stands in audit events where a path would.
    #[must_use]
    pub fn of_process(service: &str, name: &str, purpose: Purpose) -> Self {
        Self {
            path: format!("/{service}/{name}"),
            service: service.to_owned(),
            workload: service.to_owned(),
            error_domain: COMMON_DOMAIN.to_owned(),
            access: Vec::new(),
            anyone: false,
            deadline: Duration::from_secs(60),
            errors: BTreeSet::new(),
            audit: AuditClass::Personal,
            default_purpose: purpose,
            retry: RetrySafety::Never,
            exposure: Exposure::Internal,
            streams_requests: false,
            streams_answers: false,
            changes: true,
        }
    }

    /// Whether the method may answer with this reason: one it declares in its own domain, or one that any
    /// call can give.
    #[must_use]
    pub fn declares(&self, domain: &str, reason: &str) -> bool {
        domain == COMMON_DOMAIN || (domain == self.error_domain && self.errors.contains(reason))
    }

    /// Whether gRPC itself owns the service (health, reflection) and not the contract.
    #[must_use]
    pub fn is_infrastructure(&self) -> bool {
        self.service.starts_with("grpc.")
    }
}

/// Who serves a service, and under which error domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePolicy {
    /// Full name, `caremesh.policy.v1.PolicyService`.
    pub name: String,
    /// `policy.caremesh`.
    pub error_domain: String,
    /// `svc-policy`.
    pub workload: String,
}

/// A contract whose every method has said everything.
#[derive(Clone, Debug, Default)]
pub struct ContractPolicy {
    methods: HashMap<String, Arc<MethodPolicy>>,
    services: Vec<ServicePolicy>,
    sensitivities: HashMap<String, Sensitivity>,
    reasons: ReasonTable,
}

/// What a contract leaves unsaid, all of it, so that one look is enough to mend it.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// The bytes are no descriptor set, or it does not hang together.
    #[error("the descriptor set cannot be read")]
    Unreadable(#[source] prost_reflect::DescriptorError),
    /// Each entry names the method, service, or value and the option that is missing or wrong.
    #[error("the contract is incomplete:\n  {}", .0.join("\n  "))]
    Incomplete(Vec<String>),
}

impl ContractPolicy {
    /// Reads a `FileDescriptorSet` whose custom options were kept.
    ///
    /// # Errors
    /// [`ContractError::Incomplete`] lists every method and option that is missing.
    pub fn from_descriptor_set(bytes: &[u8]) -> Result<Self, ContractError> {
        let pool = prost_reflect::DescriptorPool::decode(bytes).map_err(ContractError::Unreadable)?;
        Self::from_pool(&pool)
    }

    /// As [`ContractPolicy::from_descriptor_set`], from a pool (the gateway builds one over reflection).
    ///
    /// # Errors
    /// As there.
    pub fn from_pool(pool: &prost_reflect::DescriptorPool) -> Result<Self, ContractError> {
        read::contract(pool)
    }

    /// The reasons alone, for the table behind [`crate::reason::Reason`].
    pub(crate) fn reasons_of(bytes: &[u8]) -> Result<ReasonTable, ContractError> {
        let pool = prost_reflect::DescriptorPool::decode(bytes).map_err(ContractError::Unreadable)?;
        Ok(read::reasons(&pool))
    }

    /// The policy of a method by its path (`/package.Service/Method`).
    #[must_use]
    pub fn method(&self, path: &str) -> Option<&Arc<MethodPolicy>> {
        self.methods.get(path)
    }

    /// The part of the contract that these services make up, with gRPC's own.
    #[must_use]
    pub fn serving(mut self, services: &[String]) -> Self {
        self.methods.retain(|_, method| method.is_infrastructure() || services.contains(&method.service));
        self.services.retain(|service| services.contains(&service.name));
        self
    }

    /// All methods, in no order.
    pub fn methods(&self) -> impl Iterator<Item = &Arc<MethodPolicy>> {
        self.methods.values()
    }

    /// The services of the contract, in the order of its files.
    #[must_use]
    pub fn services(&self) -> &[ServicePolicy] {
        &self.services
    }

    /// What a field holds, by its full name (`caremesh.type.v1.Address.city`). None: it was not said.
    #[must_use]
    pub fn sensitivity(&self, field: &str) -> Option<Sensitivity> {
        self.sensitivities.get(field).copied()
    }

    /// Every reason that a call under this contract can give.
    #[must_use]
    pub fn reasons(&self) -> &ReasonTable {
        &self.reasons
    }
}

#[cfg(test)]
mod tests;
