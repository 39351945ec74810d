//! Reads the options out of a descriptor pool and collects everything that is missing. prost's own
//! descriptor types drop custom options, so this goes through prost-reflect.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use caremesh_proto::options::v1 as wire;
use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, MethodDescriptor, ReflectMessage,
    ServiceDescriptor, Value,
};
use tonic::Code;

use super::{
    AccessRule, AuditClass, ContractError, ContractPolicy, Exposure, MethodPolicy, Purpose, Relationship,
    RetrySafety, Role, Sensitivity, ServicePolicy, infrastructure,
};
use crate::reason::{COMMON_DOMAIN, ReasonPolicy, ReasonTable};

const METHOD_OPTION: &str = "caremesh.options.v1.method";
const SERVICE_OPTION: &str = "caremesh.options.v1.service";
const REASON_OPTION: &str = "caremesh.options.v1.reason";
const SENSITIVITY_OPTION: &str = "caremesh.options.v1.sensitivity";
/// Package of the reasons that any call can give.
const COMMON_PACKAGE: &str = "caremesh.options.v1";

/// Everything the pool says; or everything it fails to say.
pub(super) fn contract(pool: &DescriptorPool) -> Result<ContractPolicy, ContractError> {
    let mut missing = Vec::new();
    let reasons = reasons(pool);
    missing_reasons(pool, &mut missing);
    let mut policy = ContractPolicy { reasons, ..ContractPolicy::default() };
    for method in infrastructure::methods() {
        policy.methods.insert(method.path.clone(), Arc::new(method));
    }
    for service in pool.services().filter(|s| !infrastructure::owns(s.full_name())) {
        let said = service_policy(&service, &mut missing);
        for method in service.methods() {
            let read = method_policy(&method, &said, &policy.reasons, &mut missing);
            policy.methods.insert(read.path.clone(), Arc::new(read));
        }
        policy.services.push(said);
    }
    policy.sensitivities = sensitivities(pool);
    if missing.is_empty() { Ok(policy) } else { Err(ContractError::Incomplete(missing)) }
}

/// Every value of every enum that has the `reason` option.
pub(super) fn reasons(pool: &DescriptorPool) -> ReasonTable {
    let mut table = ReasonTable::default();
    for descriptor in pool.all_enums() {
        let domain = domain_of_package(pool, descriptor.package_name());
        for value in descriptor.values() {
            let said = extension(&value.options(), REASON_OPTION).and_then(decoded);
            let Some(said): Option<wire::ReasonPolicy> = said else { continue };
            let reason = ReasonPolicy {
                name: without_prefix(&descriptor, value.name()),
                domain: domain.clone(),
                code: Code::from_i32(said.code),
                message: said.message,
            };
            table.insert(descriptor.full_name(), value.number(), reason);
        }
    }
    table
}

/// A reason enum is one with the option on any value; then each value but the zero must have it whole.
fn missing_reasons(pool: &DescriptorPool, missing: &mut Vec<String>) {
    for descriptor in pool.all_enums() {
        let said: Vec<_> = descriptor
            .values()
            .filter(|value| value.number() != 0)
            .map(|value| {
                let option = extension(&value.options(), REASON_OPTION).and_then(decoded);
                (value.name().to_owned(), option)
            })
            .collect();
        if said.iter().all(|(_, option): &(_, Option<wire::ReasonPolicy>)| option.is_none()) {
            continue;
        }
        for (name, option) in said {
            let complete = option.is_some_and(|o| o.code != 0 && !o.message.is_empty());
            if !complete {
                missing.push(format!("{}.{name}: reason (code and message)", descriptor.full_name()));
            }
        }
    }
}

fn service_policy(service: &ServiceDescriptor, missing: &mut Vec<String>) -> ServicePolicy {
    let said: wire::ServicePolicy =
        extension(&service.options(), SERVICE_OPTION).and_then(decoded).unwrap_or_default();
    let mut demand = |there: bool, option: &str| {
        if !there {
            missing.push(format!("{}: service.{option}", service.full_name()));
        }
    };
    demand(!said.error_domain.is_empty(), "error_domain");
    demand(!said.workload.is_empty(), "workload");
    ServicePolicy {
        name: service.full_name().to_owned(),
        error_domain: said.error_domain,
        workload: said.workload,
    }
}

fn method_policy(
    method: &MethodDescriptor,
    service: &ServicePolicy,
    reasons: &ReasonTable,
    missing: &mut Vec<String>,
) -> MethodPolicy {
    let said: wire::MethodPolicy =
        extension(&method.options(), METHOD_OPTION).and_then(decoded).unwrap_or_default();
    let path = format!("/{}/{}", service.name, method.name());
    let wrong = wrong_in(&said, service, reasons);
    missing.extend(wrong.into_iter().map(|option| format!("{path}: method.{option}")));
    let audit = said.audit.unwrap_or_default();
    MethodPolicy {
        path,
        service: service.name.clone(),
        workload: service.workload.clone(),
        error_domain: service.error_domain.clone(),
        access: said.access.iter().map(access_rule).collect(),
        anyone: said.anyone,
        deadline: duration(said.deadline.as_ref()),
        errors: said.errors.iter().cloned().collect::<BTreeSet<_>>(),
        audit: audit.class(),
        default_purpose: audit.default_purpose(),
        retry: RetrySafety::try_from(said.retry).unwrap_or_default(),
        exposure: Exposure::try_from(said.exposure).unwrap_or_default(),
        streams_requests: method.is_client_streaming(),
        streams_answers: method.is_server_streaming(),
        changes: method.input().get_field_by_name("request_id").is_some(),
    }
}

/// The options of a method that are missing or that mean nothing, by name.
fn wrong_in(said: &wire::MethodPolicy, service: &ServicePolicy, reasons: &ReasonTable) -> Vec<String> {
    let audit = said.audit.unwrap_or_default();
    let mut wrong = Vec::new();
    let mut demand = |there: bool, option: &str| {
        if !there {
            wrong.push(option.to_owned());
        }
    };
    demand(said.anyone || !said.access.is_empty(), "access (or anyone)");
    demand(!said.anyone || said.access.is_empty(), "access (none when anyone)");
    demand(!duration(said.deadline.as_ref()).is_zero(), "deadline");
    demand(audit.class() != AuditClass::Unspecified, "audit.class");
    demand(audit.default_purpose() != Purpose::Unspecified, "audit.default_purpose");
    demand(said.retry() != RetrySafety::Unspecified, "retry");
    demand(said.exposure() != Exposure::Unspecified, "exposure");
    wrong.extend(said.access.iter().enumerate().flat_map(wrong_in_rule));
    let unknown = said.errors.iter().filter(|name| reasons.by_name(&service.error_domain, name).is_none());
    wrong.extend(unknown.map(|name| format!("errors ({name} is no reason of {})", service.error_domain)));
    wrong
}

fn wrong_in_rule((index, rule): (usize, &wire::AccessRule)) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut demand = |there: bool, field: &str| {
        if !there {
            wrong.push(format!("access[{index}].{field}"));
        }
    };
    demand(!rule.roles.is_empty() || !rule.services.is_empty(), "roles (or services)");
    demand(rule.roles.is_empty() == rule.relationships.is_empty(), "relationships (with roles)");
    demand(!rule.purposes.is_empty(), "purposes");
    demand(rule.roles().all(|r| r != Role::Unspecified), "roles (unspecified)");
    demand(rule.purposes().all(|p| p != Purpose::Unspecified), "purposes (unspecified)");
    let related = rule.relationships().all(|r| r != Relationship::Unspecified);
    demand(related, "relationships (unspecified)");
    wrong
}

fn access_rule(rule: &wire::AccessRule) -> AccessRule {
    AccessRule {
        roles: rule.roles().collect(),
        relationships: rule.relationships().collect(),
        services: rule.services.clone(),
        purposes: rule.purposes().collect(),
    }
}

fn sensitivities(pool: &DescriptorPool) -> HashMap<String, Sensitivity> {
    let fields = pool.all_messages().flat_map(|m| m.fields().collect::<Vec<_>>());
    fields.filter_map(|field| Some((field.full_name().to_owned(), sensitivity(&field)?))).collect()
}

fn sensitivity(field: &FieldDescriptor) -> Option<Sensitivity> {
    let number = extension(&field.options(), SENSITIVITY_OPTION)?.as_enum_number()?;
    Sensitivity::try_from(number).ok().filter(|said| *said != Sensitivity::Unspecified)
}

/// The reasons of a package belong to the error domain of its services.
fn domain_of_package(pool: &DescriptorPool, package: &str) -> String {
    if package == COMMON_PACKAGE {
        return COMMON_DOMAIN.to_owned();
    }
    pool.services()
        .filter(|service| service.package_name() == package)
        .find_map(|service| extension(&service.options(), SERVICE_OPTION).and_then(decoded))
        .map(|said: wire::ServicePolicy| said.error_domain)
        .unwrap_or_default()
}

fn extension(options: &DynamicMessage, name: &str) -> Option<Value> {
    let pool = options.descriptor().parent_pool().clone();
    let descriptor = pool.get_extension_by_name(name)?;
    options.has_extension(&descriptor).then(|| options.get_extension(&descriptor).into_owned())
}

fn decoded<M: prost::Message + Default>(value: Value) -> Option<M> {
    value.as_message()?.transcode_to().ok()
}

/// Zero for what is absent, negative or out of range: all of them are refused alike.
fn duration(said: Option<&prost_types::Duration>) -> Duration {
    said.and_then(|d| Duration::try_from(*d).ok()).unwrap_or_default()
}

/// `POLICY_REASON_LAPSED` of enum `PolicyReason` is `LAPSED`.
fn without_prefix(descriptor: &EnumDescriptor, value: &str) -> String {
    let prefix = upper_snake(descriptor.name());
    value.strip_prefix(&format!("{prefix}_")).unwrap_or(value).to_owned()
}

fn upper_snake(camel: &str) -> String {
    let mut snake = String::with_capacity(camel.len() + 4);
    for (index, letter) in camel.chars().enumerate() {
        if index > 0 && letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_uppercase());
    }
    snake
}
