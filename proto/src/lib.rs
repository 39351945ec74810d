//! The contract as Rust: messages, clients, servers and validators, generated from `proto/caremesh/`.
//!
//! Knows nothing of the rest of the workspace. Generated types only parse; what they mean is decided
//! where they are converted (`mesh/src/wire.rs`, each service's `grpc/convert/`).

/// Shared types: money, dates, codes, contacts, paging.
pub mod r#type {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("caremesh.r#type.v1");
    }
}

/// The options that carry each method's and field's policy, and the common error reasons.
pub mod options {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("caremesh.options.v1");
    }
}

/// svc-policy: plans, policies, persons, eligibility, benefits.
pub mod policy {
    /// Version 1.
    #[expect(unused_qualifications, clippy::allow_attributes, reason = "generated code")]
    pub mod v1 {
        tonic::include_proto!("caremesh.policy.v1");
    }
}

/// svc-pharmacy: medicines and their search, prescriptions, stock, orders and delivery.
pub mod pharmacy {
    /// Version 1.
    #[expect(unused_qualifications, clippy::allow_attributes, reason = "generated code")]
    pub mod v1 {
        tonic::include_proto!("caremesh.pharmacy.v1");
    }
}

/// `impl Validate` for every message that has rules. The generated code names packages from their root.
#[expect(
    clippy::allow_attributes,
    clippy::borrow_deref_ref,
    clippy::collapsible_if,
    clippy::len_zero,
    reason = "generated code"
)]
mod validators {
    use crate as caremesh;

    include!(concat!(env!("OUT_DIR"), "/validate_impl.rs"));
}

/// `impl Debug` for every message with sensitive fields: their values are never shown, so that a
/// forgotten `?request` in a log line leaks nothing.
mod debug {
    use crate as caremesh;

    include!(concat!(env!("OUT_DIR"), "/debug_impl.rs"));
}

/// All of the contract as an encoded `FileDescriptorSet`, custom options and comments kept.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/caremesh.binpb"));
