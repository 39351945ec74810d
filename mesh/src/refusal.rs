//! A refusal: one reason of the contract with the details a caller may see, and its way into a gRPC
//! status. It must not know any service's domain, and never carries personal or health data.

use std::collections::HashMap;
use std::time::Duration;

use prost::Message as _;
use prost_types::Any;
use tonic::{Code, Status};
use tonic_types::pb;

use crate::reason::{Reason, ReasonPolicy};

/// Why a call is refused. Cheap to return (one pointer); made with [`Refusal::new`] and the methods
/// that add detail, and turned into a [`Status`] with exactly one `ErrorInfo` at the edge.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal(Box<Parts>);

#[derive(Clone, Debug, PartialEq)]
struct Parts {
    reason: &'static ReasonPolicy,
    metadata: HashMap<String, String>,
    fields: Vec<pb::bad_request::FieldViolation>,
    preconditions: Vec<pb::precondition_failure::Violation>,
    retry_after: Option<Duration>,
    details: Vec<Any>,
}

impl Refusal {
    /// A refusal for `reason`, with the code and sentence that the contract gives it.
    #[must_use]
    pub fn new(reason: impl Reason) -> Self {
        Self(Box::new(Parts {
            reason: reason.policy(),
            metadata: HashMap::new(),
            fields: Vec::new(),
            preconditions: Vec::new(),
            retry_after: None,
            details: Vec::new(),
        }))
    }

    /// Adds a field that breaks a rule: `path` as in the request (`members[2].birth_date`), `rule` by its
    /// id (`string.min_len`, `date.real_day`). Neither may hold what the caller sent.
    #[must_use]
    pub fn field(self, path: impl Into<String>, rule: impl Into<String>) -> Self {
        self.field_explained(path, rule, "")
    }

    /// As [`Refusal::field`], with a fixed sentence that explains the rule.
    #[must_use]
    pub fn field_explained(
        mut self,
        path: impl Into<String>,
        rule: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        self.0.fields.push(pb::bad_request::FieldViolation {
            field: path.into(),
            description: description.into(),
            reason: rule.into(),
            localized_message: None,
        });
        self
    }

    /// Adds a state that forbids the transition: its kind (`POLICY_STATE`), the resource's id, and a
    /// fixed sentence.
    #[must_use]
    pub fn precondition(
        mut self,
        kind: impl Into<String>,
        subject: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        self.0.preconditions.push(pb::precondition_failure::Violation {
            r#type: kind.into(),
            subject: subject.into(),
            description: description.into(),
        });
        self
    }

    /// Adds a key and value to `ErrorInfo.metadata`: ids, codes and numbers only.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.metadata.insert(key.into(), value.into());
        self
    }

    /// Says when the caller may come back (`RetryInfo`).
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Adds a detail of a package's own message type.
    #[must_use]
    pub fn detail(mut self, detail: Any) -> Self {
        self.0.details.push(detail);
        self
    }

    /// The reason's name, `ROLE_MISSING`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        &self.0.reason.name
    }

    /// The reason's domain, `policy.caremesh`.
    #[must_use]
    pub fn domain(&self) -> &'static str {
        &self.0.reason.domain
    }

    /// The gRPC code that goes with the reason.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.reason.code
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.reason(), self.domain())
    }
}

impl std::error::Error for Refusal {}

impl Parts {
    /// Details in the order a reader wants them: what, then where, then when to come back.
    fn into_details(self) -> Vec<Any> {
        let mut details = vec![any(
            "google.rpc.ErrorInfo",
            &pb::ErrorInfo {
                reason: self.reason.name.clone(),
                domain: self.reason.domain.clone(),
                metadata: self.metadata,
            },
        )];
        if !self.fields.is_empty() {
            let bad_request = pb::BadRequest { field_violations: self.fields };
            details.push(any("google.rpc.BadRequest", &bad_request));
        }
        if !self.preconditions.is_empty() {
            let failure = pb::PreconditionFailure { violations: self.preconditions };
            details.push(any("google.rpc.PreconditionFailure", &failure));
        }
        if let Some(retry_delay) = self.retry_after.and_then(|d| d.try_into().ok()) {
            let retry = pb::RetryInfo { retry_delay: Some(retry_delay) };
            details.push(any("google.rpc.RetryInfo", &retry));
        }
        details.extend(self.details);
        details
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let reason = refusal.0.reason;
        let status = pb::Status {
            code: reason.code.into(),
            message: reason.message.clone(),
            details: refusal.0.into_details(),
        };
        Self::with_details(reason.code, &reason.message, status.encode_to_vec().into())
    }
}

/// Packs a message under its full protobuf name, the way every gRPC library unpacks details.
#[must_use]
pub fn any(full_name: &str, message: &impl prost::Message) -> Any {
    Any { type_url: format!("type.googleapis.com/{full_name}"), value: message.encode_to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::CommonReason;
    use tonic_types::StatusExt as _;

    #[test]
    fn a_refusal_becomes_a_status_with_one_error_info_and_its_details() {
        let refusal = Refusal::new(CommonReason::FieldInvalid)
            .field("members[0].birth_date", "date.real_day")
            .metadata("limit", "10")
            .precondition("POLICY_STATE", "pol_x", "The policy is lapsed.")
            .retry_after(Duration::from_millis(250))
            .detail(any("caremesh.test.Detail", &prost_types::Duration::default()));
        let status = Status::from(refusal);

        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "A field of the request breaks a rule.");
        let info = status.get_details_error_info().expect("ErrorInfo");
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("FIELD_INVALID", "caremesh"));
        assert_eq!(info.metadata["limit"], "10");
        let fields = status.get_details_bad_request().expect("BadRequest").field_violations;
        assert_eq!(fields[0].field, "members[0].birth_date");
        assert!(status.get_details_precondition_failure().is_some());
        let retry = status.get_details_retry_info().expect("RetryInfo");
        assert_eq!(retry.retry_delay, Some(Duration::from_millis(250)));

        let raw = pb::Status::decode(status.details()).expect("google.rpc.Status");
        let infos = raw.details.iter().filter(|d| d.type_url.ends_with("ErrorInfo"));
        assert_eq!(infos.count(), 1);
        assert!(raw.details.iter().any(|d| d.type_url.ends_with("caremesh.test.Detail")));
    }
}
