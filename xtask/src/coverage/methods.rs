//! What each service and method declares: access, deadline, errors, audit, retry, exposure; and what its
//! request must carry for it.

use std::collections::BTreeSet;

use prost_reflect::prost_types::method_options::IdempotencyLevel;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MessageDescriptor, MethodDescriptor};

use super::{enum_name, option, reasons, services};
use crate::findings::Findings;

const PAGE_REQUEST: &str = "caremesh.type.v1.PageRequest";
const PAGE_INFO: &str = "caremesh.type.v1.PageInfo";

/// Reports what a service or method leaves unsaid.
pub(crate) fn check(contract: &DescriptorPool, findings: &mut Findings) {
    let reasons = known_reasons(contract);
    for service in services(contract) {
        check_service(contract, &service, findings);
        for method in service.methods() {
            let place = method.full_name().to_owned();
            let policy = option(contract, &method.options(), "method");
            match policy.as_ref().and_then(|policy| policy.as_message()) {
                Some(policy) => check_policy(&place, policy, &reasons, findings),
                None => findings.fault(&place, "has no (caremesh.options.v1.method)"),
            }
            check_messages(&method, findings);
        }
    }
}

fn known_reasons(contract: &DescriptorPool) -> BTreeSet<String> {
    let own = reasons::enums(contract).into_iter().filter(|found| found.name() != "CommonReason");
    own.flat_map(|found| reasons::of(&found)).map(|reason| reason.name).collect()
}

fn check_service(
    contract: &DescriptorPool,
    service: &prost_reflect::ServiceDescriptor,
    findings: &mut Findings,
) {
    let policy = option(contract, &service.options(), "service");
    let policy = policy.as_ref().and_then(|policy| policy.as_message());
    for field in ["error_domain", "workload"] {
        if policy.is_none_or(|policy| text(policy, field).is_empty()) {
            findings.fault(service.full_name(), format!("says no {field}"));
        }
    }
}

fn check_policy(place: &str, policy: &DynamicMessage, reasons: &BTreeSet<String>, findings: &mut Findings) {
    check_access(place, policy, findings);
    let deadline = policy.has_field_by_name("deadline").then(|| message(policy, "deadline")).flatten();
    if deadline.is_none_or(|it| is_zero(&it, "seconds") && is_zero(&it, "nanos")) {
        findings.fault(place, "has no deadline");
    }
    let audit = message(policy, "audit");
    for field in ["class", "default_purpose"] {
        if audit.as_ref().and_then(|audit| enum_name(audit, field)).is_none() {
            findings.fault(place, format!("its audit says no {field}"));
        }
    }
    for field in ["retry", "exposure"] {
        if enum_name(policy, field).is_none() {
            findings.fault(place, format!("says no {field}"));
        }
    }
    for error in errors(policy).iter().filter(|error| !reasons.contains(*error)) {
        findings.fault(place, format!("declares the error {error}, which is no reason of its package"));
    }
}

/// The reasons a method declares besides the common ones.
pub(crate) fn errors(policy: &DynamicMessage) -> Vec<String> {
    let said = policy.get_field_by_name("errors");
    let list = said.as_ref().and_then(|said| said.as_list()).unwrap_or_default();
    list.iter().filter_map(|error| error.as_str().map(str::to_owned)).collect()
}

/// Whether a method needs no credentials.
pub(crate) fn is_public(policy: &DynamicMessage) -> bool {
    policy.get_field_by_name("anyone").is_some_and(|it| it.as_bool() == Some(true))
}

fn check_access(place: &str, policy: &DynamicMessage, findings: &mut Findings) {
    let said = policy.get_field_by_name("access");
    let rules = said.as_ref().and_then(|said| said.as_list()).unwrap_or_default();
    if rules.is_empty() != is_public(policy) {
        findings.fault(place, "says neither who may call nor that anyone may, or says both");
    }
    for rule in rules.iter().filter_map(|rule| rule.as_message()) {
        if is_empty(rule, "roles") && is_empty(rule, "services") {
            findings.fault(place, "an access rule is for nobody: no roles, no services");
        }
        if is_empty(rule, "roles") != is_empty(rule, "relationships") {
            findings.fault(place, "an access rule has roles without relationships, or the reverse");
        }
        if is_empty(rule, "purposes") {
            findings.fault(place, "an access rule has no purpose");
        }
    }
}

fn check_messages(method: &MethodDescriptor, findings: &mut Findings) {
    let (place, request) = (method.full_name(), method.input());
    if request.fields().any(|field| field.name() == "state") {
        findings.fault(request.full_name(), "`state` is output only: a transition is an RPC of its own");
    }
    if changes(method) {
        check_request_id(place, &request, findings);
    }
    if method.name().starts_with("List") {
        let pages = |message: &MessageDescriptor, page: &str| {
            message
                .fields()
                .any(|field| matches!(field.kind(), Kind::Message(kind) if kind.full_name() == page))
        };
        let is_feed = request.get_field_by_name("cursor").is_some();
        let is_paged = pages(&request, PAGE_REQUEST) && pages(&method.output(), PAGE_INFO);
        if !is_feed && !is_paged {
            findings.fault(place, "is a list without paging");
        }
    }
}

fn check_request_id(place: &str, request: &MessageDescriptor, findings: &mut Findings) {
    let Some(field) = request.get_field_by_name("request_id") else {
        return findings.fault(place, "changes something and its request has no request_id");
    };
    let rules = request.parent_pool().get_extension_by_name("buf.validate.field");
    let rules = rules.map(|extension| field.options().get_extension(&extension).into_owned());
    let rules = rules.as_ref().and_then(|rules| rules.as_message());
    let is_uuid =
        rules.and_then(|rules| message(rules, "string")).is_some_and(|it| it.has_field_by_name("uuid"));
    if !is_uuid {
        findings.fault(field.full_name(), "is not demanded to be a UUID");
    }
}

/// A method changes something unless the contract says that it has no side effects.
pub(crate) fn changes(method: &MethodDescriptor) -> bool {
    let options = method.options();
    let level = options.get_field_by_name("idempotency_level").and_then(|level| level.as_enum_number());
    level != Some(IdempotencyLevel::NoSideEffects as i32)
}

fn message(of: &DynamicMessage, field: &str) -> Option<DynamicMessage> {
    of.get_field_by_name(field)?.as_message().cloned()
}

fn text(of: &DynamicMessage, field: &str) -> String {
    of.get_field_by_name(field).and_then(|it| it.as_str().map(str::to_owned)).unwrap_or_default()
}

fn is_empty(of: &DynamicMessage, field: &str) -> bool {
    of.get_field_by_name(field).is_none_or(|it| it.as_list().is_none_or(<[_]>::is_empty))
}

fn is_zero(of: &DynamicMessage, field: &str) -> bool {
    of.get_field_by_name(field).is_none_or(|it| it.as_i64().or(it.as_i32().map(i64::from)) == Some(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::tests::draft;

    const SERVICE: &str = "option (caremesh.options.v1.service) = {error_domain: \"d\" workload: \"w\"};";
    const POLICY: [&str; 6] = [
        "access: {roles: ROLE_MEMBER relationships: RELATIONSHIP_OWN purposes: PURPOSE_PAYMENT}",
        "deadline: {seconds: 5}",
        "errors: \"SOLD_OUT\"",
        "audit: {class: AUDIT_CLASS_NONE default_purpose: PURPOSE_PAYMENT}",
        "retry: RETRY_SAFETY_SAFE",
        "exposure: EXPOSURE_EDGE",
    ];
    const REQUEST_ID: &str = "string request_id = 1 [(buf.validate.field).string.uuid = true];";

    struct Draft<'a> {
        service: &'a str,
        method: &'a str,
        level: &'a str,
        policy: String,
        request: &'a str,
        response: &'a str,
    }

    impl Default for Draft<'_> {
        fn default() -> Self {
            let (method, level) = ("Buy", "IDEMPOTENT");
            Self {
                service: SERVICE,
                method,
                level,
                policy: POLICY.join(" "),
                request: REQUEST_ID,
                response: "",
            }
        }
    }

    impl Draft<'_> {
        fn faults(&self) -> Vec<String> {
            let Self { service, method, level, policy, request, response } = self;
            let contract = draft(&format!(
                "enum DraftReason {{ DRAFT_REASON_UNSPECIFIED = 0; DRAFT_REASON_SOLD_OUT = 1
                 [(caremesh.options.v1.reason) = {{code: STATUS_CODE_ABORTED message: \"Sold out.\"}}]; }}
                 service Drafts {{ {service} rpc {method}(Request) returns (Response) {{
                 option idempotency_level = {level}; option (caremesh.options.v1.method) = {{ {policy} }}; }} }}
                 message Request {{ {request} }} message Response {{ {response} }}"
            ));
            let mut findings = Findings::default();
            check(&contract, &mut findings);
            let own = findings.faults().iter().filter(|fault| fault.starts_with("caremesh.draft"));
            own.map(|fault| fault.split_once(": ").unwrap().1.to_owned()).collect()
        }
    }

    fn faults_with_policy(policy: String) -> Vec<String> {
        Draft { policy, ..Draft::default() }.faults()
    }

    fn faults_without(field: &str) -> Vec<String> {
        let said: Vec<&str> = POLICY.iter().filter(|said| !said.starts_with(field)).copied().collect();
        faults_with_policy(said.join(" "))
    }

    #[test]
    fn a_method_that_says_everything_passes() {
        assert_eq!(Draft::default().faults(), [""; 0]);
    }

    #[test]
    fn each_thing_left_unsaid_fails() {
        for (field, fault) in [
            ("access", "says neither who may call nor that anyone may, or says both"),
            ("deadline", "has no deadline"),
            ("audit", "its audit says no class"),
            ("retry", "says no retry"),
            ("exposure", "says no exposure"),
        ] {
            assert_eq!(faults_without(field)[0], fault);
        }
    }

    #[test]
    fn a_deadline_of_nothing_is_none() {
        let policy = POLICY.join(" ").replace("seconds: 5", "seconds: 0");
        assert_eq!(faults_with_policy(policy), ["has no deadline"]);
    }

    #[test]
    fn an_unknown_error_fails() {
        let found = faults_with_policy(POLICY.join(" ").replace("SOLD_OUT", "SOLD_IN"));
        assert_eq!(found, ["declares the error SOLD_IN, which is no reason of its package"]);
    }

    #[test]
    fn half_an_access_rule_fails() {
        for (rule, fault) in [
            ("purposes: PURPOSE_PAYMENT", "an access rule is for nobody: no roles, no services"),
            (
                "roles: ROLE_MEMBER purposes: PURPOSE_PAYMENT",
                "an access rule has roles without relationships, or the reverse",
            ),
            ("services: \"svc-claims\"", "an access rule has no purpose"),
        ] {
            let policy = POLICY.join(" ").replace(POLICY[0], &format!("access: {{ {rule} }}"));
            assert_eq!(faults_with_policy(policy), [fault]);
        }
    }

    #[test]
    fn a_service_without_domain_or_workload_fails() {
        let found = Draft { service: "", ..Draft::default() }.faults();
        assert_eq!(found, ["says no error_domain", "says no workload"]);
    }

    #[test]
    fn a_changing_method_without_request_id_fails() {
        let found = Draft { request: "", ..Draft::default() }.faults();
        assert_eq!(found, ["changes something and its request has no request_id"]);
        assert_eq!(Draft { request: "", level: "NO_SIDE_EFFECTS", ..Draft::default() }.faults(), [""; 0]);
        let found = Draft { request: "string request_id = 1;", ..Draft::default() }.faults();
        assert_eq!(found, ["is not demanded to be a UUID"]);
    }

    #[test]
    fn a_list_without_paging_fails() {
        let list = Draft { method: "ListThings", level: "NO_SIDE_EFFECTS", request: "", ..Draft::default() };
        assert_eq!(list.faults(), ["is a list without paging"]);
        let paged = Draft {
            request: "caremesh.type.v1.PageRequest page = 1;",
            response: "caremesh.type.v1.PageInfo page = 2;",
            ..list
        };
        assert_eq!(paged.faults(), [""; 0]);
    }

    #[test]
    fn state_in_a_request_fails() {
        let found =
            Draft { request: "string state = 1;", level: "NO_SIDE_EFFECTS", ..Draft::default() }.faults();
        assert_eq!(found, ["`state` is output only: a transition is an RPC of its own"]);
    }
}
