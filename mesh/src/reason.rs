//! Error reasons: each is a value of a reason enum of the contract, and its options say which gRPC code
//! and which fixed sentence go with it. Nothing here knows what any single reason means.

use std::collections::HashMap;
use std::sync::LazyLock;

pub use caremesh_proto::options::v1::CommonReason;
pub use caremesh_proto::pharmacy::v1::PharmacyReason;
pub use caremesh_proto::policy::v1::PolicyReason;
use tonic::Code;

use crate::policy::ContractPolicy;

/// `ErrorInfo.domain` of the reasons that any service can give (`CommonReason`).
pub const COMMON_DOMAIN: &str = "caremesh";

/// What a reason means to the caller: read from the `reason` option of its enum value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReasonPolicy {
    /// `ErrorInfo.reason`: the value's name without the enum's prefix, `POLICY_LAPSED`.
    pub name: String,
    /// `ErrorInfo.domain`: `policy.caremesh`, or [`COMMON_DOMAIN`].
    pub domain: String,
    /// The gRPC code that always goes with it.
    pub code: Code,
    /// The sentence the caller sees. Fixed, without any data.
    pub message: String,
}

/// A value of a reason enum of the contract. Implemented for the generated enums by
/// [`reason_enum!`](crate::reason_enum).
pub trait Reason: Copy + Send + Sync + 'static {
    /// Full protobuf name of the enum, `caremesh.policy.v1.PolicyReason`.
    const ENUM: &'static str;

    /// Number of the value in that enum.
    fn number(self) -> i32;

    /// Code, sentence and domain of this reason, as the contract says.
    fn policy(self) -> &'static ReasonPolicy {
        REASONS.by_number(Self::ENUM, self.number()).unwrap_or_else(|| undeclared())
    }
}

/// Implements [`Reason`] for a generated enum: `reason_enum!(PolicyReason, "caremesh.policy.v1.PolicyReason")`.
#[macro_export]
macro_rules! reason_enum {
    ($type:ty, $name:literal) => {
        impl $crate::reason::Reason for $type {
            const ENUM: &'static str = $name;

            fn number(self) -> i32 {
                self as i32
            }
        }
    };
}

// Here, because neither the trait nor the enums belong to the crate of a service.
reason_enum!(CommonReason, "caremesh.options.v1.CommonReason");
reason_enum!(PharmacyReason, "caremesh.pharmacy.v1.PharmacyReason");
reason_enum!(PolicyReason, "caremesh.policy.v1.PolicyReason");

/// The reasons of the compiled-in contract. A contract without them cannot be built: the tests of the
/// contract crate and of `policy.rs` fail first.
static REASONS: LazyLock<ReasonTable> =
    LazyLock::new(|| ContractPolicy::reasons_of(caremesh_proto::FILE_DESCRIPTOR_SET).unwrap_or_default());

/// A zero value, or one without options, is a fault of ours and is answered as one.
fn undeclared() -> &'static ReasonPolicy {
    static INTERNAL: LazyLock<ReasonPolicy> = LazyLock::new(|| ReasonPolicy {
        name: "INTERNAL".to_owned(),
        domain: COMMON_DOMAIN.to_owned(),
        code: Code::Internal,
        message: "Something went wrong on our side.".to_owned(),
    });
    &INTERNAL
}

/// Every reason of a contract.
#[derive(Clone, Debug, Default)]
pub struct ReasonTable {
    by_number: HashMap<(String, i32), ReasonPolicy>,
}

impl ReasonTable {
    /// Adds the reason of value `number` of the enum with full name `enum_name`.
    pub(crate) fn insert(&mut self, enum_name: &str, number: i32, reason: ReasonPolicy) {
        self.by_number.insert((enum_name.to_owned(), number), reason);
    }

    /// The reason of a value, if its enum is in the contract and the value has the option.
    #[must_use]
    pub fn by_number(&self, enum_name: &str, number: i32) -> Option<&ReasonPolicy> {
        // The tuple key wants an owned String; reasons are looked up on the error path only.
        self.by_number.get(&(enum_name.to_owned(), number))
    }

    /// Full names of the enums, in order, each once.
    #[must_use]
    pub fn enums(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.by_number.keys().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The reason called `name` in `domain`.
    #[must_use]
    pub fn by_name(&self, domain: &str, name: &str) -> Option<&ReasonPolicy> {
        self.iter().find(|reason| reason.domain == domain && reason.name == name)
    }

    /// All reasons, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &ReasonPolicy> {
        self.by_number.values()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_number.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_reasons_carry_code_sentence_and_domain_of_the_contract() {
        let reason = CommonReason::StaleVersion.policy();
        assert_eq!(reason.name, "STALE_VERSION");
        assert_eq!(reason.domain, COMMON_DOMAIN);
        assert_eq!(reason.code, Code::Aborted);
        assert_eq!(reason.message, "The resource has changed since it was read.");
    }

    #[test]
    fn every_reason_enum_of_the_contract_can_be_refused_with() {
        assert_eq!(REASONS.enums(), [CommonReason::ENUM, PharmacyReason::ENUM, PolicyReason::ENUM]);
        assert_eq!(PolicyReason::PlanNotOnSale.policy().domain, "policy.caremesh");
    }

    #[test]
    fn the_zero_value_is_answered_as_a_fault_of_ours() {
        assert_eq!(CommonReason::Unspecified.policy().code, Code::Internal);
    }

    #[test]
    fn every_common_reason_has_its_own_entry() {
        let named = (1..=17).filter_map(|n| CommonReason::try_from(n).ok());
        for reason in named {
            let full = reason.as_str_name();
            assert_eq!(format!("COMMON_REASON_{}", reason.policy().name), full);
        }
    }
}
