//! The reading side of errors: what a `Status` from another service says, as reason and details.
//! It never shows the text of a status, which only the far side can vouch for.

use std::collections::HashMap;
use std::time::Duration;

use prost::Message as _;
use prost_types::Any;
use tonic::{Code, Status};
use tonic_types::pb;

use crate::reason::Reason;

/// What a status says besides its code. Unknown details are kept as they came.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The gRPC code.
    pub code: Code,
    /// `ErrorInfo.reason`; empty when the status had no `ErrorInfo` (a proxy, a broken connection).
    pub reason: String,
    /// `ErrorInfo.domain`; empty as above.
    pub domain: String,
    /// `ErrorInfo.metadata`.
    pub metadata: HashMap<String, String>,
    /// `BadRequest`: (field path, rule id).
    pub fields: Vec<(String, String)>,
    /// `RetryInfo.retry_delay`: do not come back earlier.
    pub retry_after: Option<Duration>,
    /// Every other detail.
    pub details: Vec<Any>,
}

impl Answer {
    /// Reads a status. What cannot be decoded is left out: a bad detail must not hide the code.
    #[must_use]
    pub fn of(status: &Status) -> Self {
        let mut answer = Self::bare(status.code());
        let details = pb::Status::decode(status.details()).unwrap_or_default().details;
        for detail in details {
            answer.take(detail);
        }
        answer
    }

    /// Whether it is this reason of this domain.
    #[must_use]
    pub fn is(&self, reason: impl Reason) -> bool {
        let policy = reason.policy();
        self.reason == policy.name && self.domain == policy.domain
    }

    /// The first detail with this full protobuf name, decoded.
    #[must_use]
    pub fn detail<M: prost::Message + Default>(&self, full_name: &str) -> Option<M> {
        let found = self.details.iter().find(|d| name_of(d) == full_name)?;
        M::decode(found.value.as_slice()).ok()
    }

    fn bare(code: Code) -> Self {
        Self {
            code,
            reason: String::new(),
            domain: String::new(),
            metadata: HashMap::new(),
            fields: Vec::new(),
            retry_after: None,
            details: Vec::new(),
        }
    }

    fn take(&mut self, detail: Any) {
        match name_of(&detail) {
            "google.rpc.ErrorInfo" => self.take_info(&detail),
            "google.rpc.BadRequest" => self.take_fields(&detail),
            "google.rpc.RetryInfo" => self.take_retry(&detail),
            _ => self.details.push(detail),
        }
    }

    fn take_info(&mut self, detail: &Any) {
        let Ok(info) = pb::ErrorInfo::decode(detail.value.as_slice()) else { return };
        self.reason = info.reason;
        self.domain = info.domain;
        self.metadata = info.metadata;
    }

    fn take_fields(&mut self, detail: &Any) {
        let Ok(request) = pb::BadRequest::decode(detail.value.as_slice()) else { return };
        let pairs = request.field_violations.into_iter().map(|v| (v.field, v.reason));
        self.fields.extend(pairs);
    }

    fn take_retry(&mut self, detail: &Any) {
        let Ok(retry) = pb::RetryInfo::decode(detail.value.as_slice()) else { return };
        self.retry_after = retry.retry_delay.and_then(|d| d.try_into().ok());
    }
}

fn name_of(detail: &Any) -> &str {
    detail.type_url.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::CommonReason;
    use crate::refusal::{Refusal, any};

    #[test]
    fn an_answer_gives_back_what_the_refusal_said() {
        let own = prost_types::Duration { seconds: 7, nanos: 0 };
        let status = Status::from(
            Refusal::new(CommonReason::Overloaded)
                .retry_after(Duration::from_secs(2))
                .field("page.page_size", "int32.gte")
                .metadata("limit", "64")
                .detail(any("caremesh.test.Seven", &own)),
        );
        let answer = Answer::of(&status);
        assert!(answer.is(CommonReason::Overloaded));
        assert!(!answer.is(CommonReason::Deadline));
        assert_eq!(answer.code, Code::ResourceExhausted);
        assert_eq!(answer.retry_after, Some(Duration::from_secs(2)));
        assert_eq!(answer.fields, vec![("page.page_size".into(), "int32.gte".into())]);
        assert_eq!(answer.metadata["limit"], "64");
        assert_eq!(answer.detail::<prost_types::Duration>("caremesh.test.Seven"), Some(own));
    }

    #[test]
    fn a_status_without_or_with_broken_details_keeps_its_code() {
        let broken = Status::with_details(Code::Unavailable, "x", vec![0xff, 0xff, 1].into());
        for status in [Status::unavailable("proxy"), broken] {
            let answer = Answer::of(&status);
            assert_eq!(answer.code, Code::Unavailable);
            assert_eq!(answer.reason, "");
        }
    }
}
