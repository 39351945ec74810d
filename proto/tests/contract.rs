//! The contract as it was compiled: options survive, requests can be validated, rules bite.

use std::collections::BTreeSet;

use caremesh_proto::policy::v1 as policy;
use caremesh_proto::r#type::v1::{Date, DateRange, Money};
use prost_protovalidate::Validate;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};

fn pool() -> DescriptorPool {
    DescriptorPool::decode(caremesh_proto::FILE_DESCRIPTOR_SET).expect("the set decodes")
}

fn methods(pool: &DescriptorPool) -> Vec<MethodDescriptor> {
    pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

#[test]
fn every_method_keeps_its_policy_option() {
    let pool = pool();
    let option = pool.get_extension_by_name("caremesh.options.v1.method").expect("the option is there");
    for method in methods(&pool) {
        assert!(method.options().has_extension(&option), "{} has no policy", method.full_name());
    }
}

#[test]
fn every_request_message_is_the_request_of_one_method_only() {
    let pool = pool();
    let names: Vec<_> = methods(&pool).iter().map(|method| method.input().full_name().to_owned()).collect();
    let unique: BTreeSet<_> = names.iter().collect();
    assert_eq!(unique.len(), names.len());
}

#[test]
fn reason_values_carry_code_and_message() {
    let pool = pool();
    let option = pool.get_extension_by_name("caremesh.options.v1.reason").expect("the option is there");
    for name in ["caremesh.options.v1.CommonReason", "caremesh.policy.v1.PolicyReason"] {
        let reasons = pool.get_enum_by_name(name).expect("the enum is there");
        for value in reasons.values().filter(|value| value.number() != 0) {
            let policy = value.options().get_extension(&option).into_owned();
            let policy: &DynamicMessage = policy.as_message().expect("a message");
            assert!(policy.has_field_by_name("code"), "{} has no code", value.full_name());
            assert!(policy.has_field_by_name("message"), "{} has no message", value.full_name());
        }
    }
}

#[test]
fn a_broken_field_is_named_with_its_rule() {
    let request = policy::GetPolicyRequest { policy_id: "pol_short".into(), as_of: None };
    let error = request.validate().expect_err("too short");
    assert_eq!(error.violations().len(), 1);
    assert!(error.to_string().contains("policy_id"), "{error}");
}

#[test]
fn rules_of_nested_messages_are_applied() {
    let thirteenth = Date { year: 2026, month: 13, day: 1 };
    let range = DateRange { start: Some(thirteenth), end: None };
    assert!(range.validate().is_err());
    assert!(Money { currency_code: "inr".into(), minor_units: 1 }.validate().is_err());
    assert!(Money { currency_code: "INR".into(), minor_units: -1 }.validate().is_ok());
}

#[test]
fn an_optional_id_may_be_empty_but_not_wrong() {
    let request = |person_id: &str| policy::ListPoliciesRequest { person_id: person_id.into(), page: None };
    assert!(request("").validate().is_ok());
    assert!(request("mem_01h455vb4pex5vsknk084sn02q").validate().is_err());
}

#[test]
fn debug_never_shows_a_sensitive_field() {
    let profile = policy::PersonProfile {
        full_name: "Adaeze Canary".into(),
        birth_date: Some(Date { year: 1990, month: 2, day: 3 }),
        language_tag: "en-NG".into(),
        ..Default::default()
    };
    let shown = format!("{:?}", policy::CreatePersonRequest { profile: Some(profile), ..Default::default() });
    assert!(!shown.contains("Canary") && !shown.contains("1990"), "{shown}");
    assert!(shown.contains("en-NG") && shown.contains("[redacted]"), "{shown}");
}
