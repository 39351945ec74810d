//! A contract that says everything is read; one that leaves anything unsaid is refused with a full list.

use super::*;
use crate::testing::descriptor_set;

const HEAD: &str = r#"
syntax = "proto3";
package caremesh.probe.v1;
import "caremesh/options/v1/options.proto";
"#;

/// `{method}` is replaced by the options of the one method.
const BODY: &str = r#"
message AskRequest {
  string request_id = 1 [(caremesh.options.v1.sensitivity) = SENSITIVITY_NONE];
  string name = 2 [(caremesh.options.v1.sensitivity) = SENSITIVITY_PERSONAL];
  string unsaid = 3;
}
message AskResponse {}
enum ProbeReason {
  PROBE_REASON_UNSPECIFIED = 0;
  PROBE_REASON_LAPSED = 1 [(caremesh.options.v1.reason) = {
    code: STATUS_CODE_FAILED_PRECONDITION message: "It has lapsed."
  }];
}
service ProbeService {
  option (caremesh.options.v1.service) = { error_domain: "probe.caremesh" workload: "svc-probe" };
  rpc Ask(AskRequest) returns (stream AskResponse) { {method} }
}
"#;

const WHOLE: &str = r#"option (caremesh.options.v1.method) = {
  access: { roles: [ROLE_MEMBER] relationships: [RELATIONSHIP_OWN, RELATIONSHIP_OWN_FAMILY]
            services: ["svc-claims"] purposes: [PURPOSE_PAYMENT] }
  deadline: { seconds: 2 nanos: 500000000 }
  errors: ["LAPSED"]
  audit: { class: AUDIT_CLASS_HEALTH default_purpose: PURPOSE_PAYMENT }
  retry: RETRY_SAFETY_SAFE
  exposure: EXPOSURE_EDGE
};"#;

const PATH: &str = "/caremesh.probe.v1.ProbeService/Ask";

fn read(options: &str) -> Result<ContractPolicy, ContractError> {
    let source = format!("{HEAD}{}", BODY.replace("{method}", options));
    ContractPolicy::from_descriptor_set(&descriptor_set(&source))
}

fn missing(options: &str) -> Vec<String> {
    match read(options) {
        Err(ContractError::Incomplete(missing)) => missing,
        other => panic!("expected an incomplete contract, got {other:?}"),
    }
}

#[test]
fn a_whole_contract_is_read_with_every_option() {
    let contract = read(WHOLE).expect("whole");
    let ask = contract.method(PATH).expect("the method");
    assert_eq!(ask.deadline, Duration::from_millis(2_500));
    assert_eq!(ask.access[0].roles, [Role::Member]);
    assert_eq!(ask.access[0].relationships, [Relationship::Own, Relationship::OwnFamily]);
    assert_eq!(ask.access[0].services, ["svc-claims"]);
    assert_eq!(ask.access[0].purposes, [Purpose::Payment]);
    assert_eq!(ask.audit, AuditClass::Health);
    assert_eq!((ask.retry, ask.exposure), (RetrySafety::Safe, Exposure::Edge));
    assert_eq!((ask.error_domain.as_str(), ask.workload.as_str()), ("probe.caremesh", "svc-probe"));
    assert!(ask.streams_answers && ask.changes && !ask.anyone);
    assert!(ask.declares("probe.caremesh", "LAPSED"));
    assert!(ask.declares("caremesh", "OVERLOADED"));
    assert!(!ask.declares("probe.caremesh", "OVERLOADED"));
}

#[test]
fn fields_say_what_they_hold_and_silence_is_not_none() {
    let contract = read(WHOLE).expect("whole");
    let of = |field: &str| contract.sensitivity(&format!("caremesh.probe.v1.AskRequest.{field}"));
    assert_eq!(of("name"), Some(Sensitivity::Personal));
    assert_eq!(of("request_id"), Some(Sensitivity::None));
    assert_eq!(of("unsaid"), None);
}

#[test]
fn reasons_are_read_with_their_domain() {
    let contract = read(WHOLE).expect("whole");
    let lapsed = contract.reasons().by_name("probe.caremesh", "LAPSED").expect("the reason");
    assert_eq!(lapsed.code, tonic::Code::FailedPrecondition);
    assert_eq!(lapsed.message, "It has lapsed.");
    assert!(contract.reasons().by_name("caremesh", "OVERLOADED").is_some());
}

#[test]
fn a_method_that_says_nothing_is_refused_with_all_that_is_missing() {
    let missing = missing("");
    for option in
        ["access (or anyone)", "deadline", "audit.class", "audit.default_purpose", "retry", "exposure"]
    {
        let line = format!("{PATH}: method.{option}");
        assert!(missing.contains(&line), "{line} not in {missing:?}");
    }
}

#[test]
fn each_option_that_is_left_out_is_named_alone() {
    for (part, option) in [
        ("deadline: { seconds: 2 nanos: 500000000 }", "deadline"),
        ("class: AUDIT_CLASS_HEALTH", "audit.class"),
        ("default_purpose: PURPOSE_PAYMENT", "audit.default_purpose"),
        ("retry: RETRY_SAFETY_SAFE", "retry"),
        ("exposure: EXPOSURE_EDGE", "exposure"),
        ("purposes: [PURPOSE_PAYMENT]", "access[0].purposes"),
        (
            "relationships: [RELATIONSHIP_OWN, RELATIONSHIP_OWN_FAMILY]",
            "access[0].relationships (with roles)",
        ),
    ] {
        assert!(WHOLE.contains(part));
        assert_eq!(missing(&WHOLE.replace(part, "")), [format!("{PATH}: method.{option}")]);
    }
}

#[test]
fn a_declared_error_must_be_a_reason_of_the_package() {
    let missing = missing(&WHOLE.replace("\"LAPSED\"", "\"GONE\""));
    assert_eq!(missing, [format!("{PATH}: method.errors (GONE is no reason of probe.caremesh)")]);
}

#[test]
fn a_reason_without_code_or_sentence_is_refused_by_name() {
    let body = BODY
        .replace("{method}", WHOLE)
        .replace("PROBE_REASON_LAPSED = 1", "PROBE_REASON_BARE = 2; PROBE_REASON_LAPSED = 1");
    let refused = ContractPolicy::from_descriptor_set(&descriptor_set(&format!("{HEAD}{body}")));
    let text = refused.expect_err("refused").to_string();
    assert!(text.contains("ProbeReason.PROBE_REASON_BARE: reason"), "{text}");
}

#[test]
fn a_service_must_name_its_domain_and_workload() {
    let body = BODY.replace("{method}", WHOLE).replace("workload: \"svc-probe\"", "");
    let refused = ContractPolicy::from_descriptor_set(&descriptor_set(&format!("{HEAD}{body}")));
    let text = refused.expect_err("refused").to_string();
    assert!(text.contains("caremesh.probe.v1.ProbeService: service.workload"), "{text}");
}

#[test]
fn the_compiled_in_contract_is_whole() {
    ContractPolicy::from_descriptor_set(caremesh_proto::FILE_DESCRIPTOR_SET).expect("whole");
}

#[test]
fn reflection_is_for_operators_and_the_gateway_and_health_for_anyone() {
    let contract = read(WHOLE).expect("whole");
    let check = contract.method("/grpc.health.v1.Health/Check").expect("health");
    let reflect = contract.method("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
    assert!(check.anyone && check.is_infrastructure());
    let rules = &reflect.expect("reflection").access;
    assert_eq!(
        (rules[0].roles.as_slice(), rules[0].services[0].as_str()),
        (&[Role::Operator][..], "gateway")
    );
}
