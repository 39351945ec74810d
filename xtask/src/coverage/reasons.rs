//! The reasons of errors: one enum a package, every value with a code and a fixed sentence.

use prost_reflect::{DescriptorPool, DynamicMessage, EnumDescriptor, EnumValueDescriptor};

use super::{OURS, enum_name, option, services};
use crate::findings::Findings;

/// A reason as callers see it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    /// `ErrorInfo.reason`: the value's name without the enum's prefix.
    pub(crate) name: String,
    /// The value's whole name in the contract.
    pub(crate) value_name: String,
    /// The gRPC code, `NOT_FOUND`.
    pub(crate) code: String,
    /// The sentence that goes with it.
    pub(crate) message: String,
}

/// The enums that hold reasons, the common one first.
pub(crate) fn enums(contract: &DescriptorPool) -> Vec<EnumDescriptor> {
    let ours = contract.all_enums().filter(|found| found.package_name().starts_with(OURS));
    let mut found: Vec<_> =
        ours.filter(|found| found.values().any(|value| policy(&value).is_some())).collect();
    found.sort_by_key(|found| (found.name() != "CommonReason", found.full_name().to_owned()));
    found
}

/// The reasons of one enum, in the order of the contract.
pub(crate) fn of(reasons: &EnumDescriptor) -> Vec<Reason> {
    let prefix = prefix(reasons);
    let said = reasons.values().filter_map(|value| Some((value.name().to_owned(), policy(&value)?)));
    said.map(|(value_name, policy)| Reason {
        name: value_name.strip_prefix(&prefix).unwrap_or(&value_name).to_owned(),
        code: enum_name(&policy, "code").unwrap_or_default().replace("STATUS_CODE_", ""),
        message: policy
            .get_field_by_name("message")
            .and_then(|it| it.as_str().map(str::to_owned))
            .unwrap_or_default(),
        value_name,
    })
    .collect()
}

/// Reports values of a reason enum that say too little, and packages with errors but no reasons.
pub(crate) fn check(contract: &DescriptorPool, findings: &mut Findings) {
    let enums = enums(contract);
    for value in enums.iter().flat_map(EnumDescriptor::values).filter(|value| value.number() != 0) {
        check_value(&value, findings);
    }
    for service in services(contract) {
        if !enums.iter().any(|found| found.package_name() == service.package_name()) {
            findings.fault(service.full_name(), "its package has no enum of reasons");
        }
    }
}

fn check_value(value: &EnumValueDescriptor, findings: &mut Findings) {
    let Some(policy) = policy(value) else {
        return findings.fault(value.full_name(), "has no (caremesh.options.v1.reason)");
    };
    if enum_name(&policy, "code").is_none() {
        findings.fault(value.full_name(), "its reason has no code");
    }
    let message = policy.get_field_by_name("message");
    if !message.is_some_and(|it| it.as_str().is_some_and(|it| it.ends_with('.'))) {
        findings.fault(value.full_name(), "its reason has no message that is a sentence");
    }
}

/// `POLICY_REASON_` of `PolicyReason`.
fn prefix(reasons: &EnumDescriptor) -> String {
    let zero = reasons.default_value();
    zero.name().strip_suffix("UNSPECIFIED").unwrap_or_default().to_owned()
}

fn policy(value: &EnumValueDescriptor) -> Option<DynamicMessage> {
    let said = option(value.parent_pool(), &value.options(), "reason")?;
    said.as_message().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::tests::draft;

    fn faults(values: &str) -> Vec<String> {
        let contract = draft(&format!(
            "enum DraftReason {{ DRAFT_REASON_UNSPECIFIED = 0; DRAFT_REASON_GOOD = 1 [(caremesh.options.v1.reason) =
             {{code: STATUS_CODE_ABORTED message: \"Good.\"}}]; {values} }} service Drafts {{}}"
        ));
        let mut findings = Findings::default();
        check(&contract, &mut findings);
        findings.faults().to_vec()
    }

    #[test]
    fn a_whole_reason_passes_and_is_read() {
        assert_eq!(faults(""), [""; 0]);
        let contract = draft(
            "enum DraftReason { DRAFT_REASON_UNSPECIFIED = 0; DRAFT_REASON_TERM_CLOSED = 1
             [(caremesh.options.v1.reason) = {code: STATUS_CODE_ABORTED message: \"Closed.\"}]; }",
        );
        let draft = contract.get_enum_by_name("caremesh.draft.v1.DraftReason").unwrap();
        let [reason] = &of(&draft)[..] else { panic!("one reason") };
        assert_eq!((reason.name.as_str(), reason.code.as_str()), ("TERM_CLOSED", "ABORTED"));
    }

    #[test]
    fn a_value_without_a_policy_fails() {
        assert_eq!(faults("DRAFT_REASON_BAD = 2;").len(), 1);
    }

    #[test]
    fn a_policy_without_code_or_sentence_fails() {
        assert_eq!(
            faults("DRAFT_REASON_BAD = 2 [(caremesh.options.v1.reason) = {message: \"Bad.\"}];").len(),
            1
        );
        let unsaid = "DRAFT_REASON_BAD = 2 [(caremesh.options.v1.reason) = {code: STATUS_CODE_ABORTED message: \"bad\"}];";
        assert_eq!(faults(unsaid).len(), 1);
    }

    #[test]
    fn a_service_without_reasons_fails() {
        let mut findings = Findings::default();
        check(&draft("service Drafts {}"), &mut findings);
        assert_eq!(findings.faults(), ["caremesh.draft.v1.Drafts: its package has no enum of reasons"]);
    }
}
