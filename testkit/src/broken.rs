//! Every rule of every request, broken once and sent: a handler that forgets to validate is found by the contract
//! itself. Must not know any method by name.

use anyhow::{Context as _, ensure};
use caremesh_mesh::MethodPolicy;
use prost_reflect::prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, Value,
};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::contract::raw::{call, reason_of};
use crate::contract::{methods_of, person_with, usual_rules};
use crate::mesh::{CallerChannel, Server, TestMesh};

/// Sends each method of these services its request with one broken field at a time, from a caller whom the contract
/// lets in. Gives the number of requests sent.
///
/// # Errors
/// Names the method and the field whose broken value was not refused as `FIELD_INVALID`, or whose rule nothing here
/// can break.
pub async fn every_rule_is_enforced(
    mesh: &TestMesh,
    server: &Server,
    services: &[&str],
) -> anyhow::Result<usize> {
    let contract = DescriptorPool::decode(caremesh_proto::FILE_DESCRIPTOR_SET)?;
    let mut sent = 0;
    for method in methods_of(services)? {
        let caller = allowed_caller(mesh, server, &method)?;
        let request = request_of(&contract, &method).with_context(|| format!("no method {}", method.path))?;
        for field in request.fields().filter(|field| rules(field).is_some()) {
            let message = broken(&request, &field)
                .with_context(|| format!("{}: no way to break its rule is known", field.full_name()))?;
            is_refused(caller.clone(), &method.path, &field, &message).await?;
            sent += 1;
        }
    }
    Ok(sent)
}

async fn is_refused(
    caller: CallerChannel,
    path: &str,
    field: &FieldDescriptor,
    message: &DynamicMessage,
) -> anyhow::Result<()> {
    let at = format!("{path}: a broken `{}`", field.name());
    let answer = call(caller, path, message.encode_to_vec()).await;
    let status = answer.err().with_context(|| format!("{at} was accepted"))?;
    let (code, reason) = (status.code(), reason_of(&status));
    ensure!(
        code == Code::InvalidArgument && reason == "FIELD_INVALID",
        "{at} was answered with {code:?} {reason}"
    );
    let named = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    let names_it = named.iter().any(|violation| violation.field.starts_with(field.name()));
    ensure!(names_it, "{at} was refused without naming it");
    Ok(())
}

fn request_of(contract: &DescriptorPool, method: &MethodPolicy) -> Option<MessageDescriptor> {
    let service = contract.get_service_by_name(&method.service)?;
    let name = method.path.rsplit('/').next();
    let found: Option<MethodDescriptor> = service.methods().find(|found| Some(found.name()) == name);
    found.map(|found| found.input())
}

/// The first caller that the contract lets in.
fn allowed_caller(mesh: &TestMesh, server: &Server, method: &MethodPolicy) -> anyhow::Result<CallerChannel> {
    if method.anyone {
        return mesh.nobody(server);
    }
    let rule = usual_rules(method).next().context("no rule for its default purpose")?;
    match (rule.roles.first(), rule.services.first()) {
        (Some(role), _) => mesh.person(server, &person_with(*role)),
        (None, Some(service)) => mesh.service(server, service),
        (None, None) => anyhow::bail!("a rule for nobody"),
    }
}

/// The method's request with nothing in it but this field, broken.
fn broken(request: &MessageDescriptor, field: &FieldDescriptor) -> Option<DynamicMessage> {
    let mut message = DynamicMessage::new(request.clone());
    if let Some(value) = broken_value(field)? {
        message.set_field(field, value);
    }
    Some(message)
}

/// A value that breaks the field's rule; `Some(None)`: leave it out.
fn broken_value(field: &FieldDescriptor) -> Option<Option<Value>> {
    let rules = rules(field)?;
    if let Some(rules) = of_kind(&rules, "repeated") {
        return broken_list(field, &rules);
    }
    if is_true(&rules, "required") {
        return Some(None);
    }
    broken_scalar(&field.kind(), &rules).map(Some)
}

fn broken_list(field: &FieldDescriptor, rules: &DynamicMessage) -> Option<Option<Value>> {
    if number(rules, "min_items").is_some_and(|least| least > 0) {
        return Some(None);
    }
    if let Some(item) = of_kind(rules, "items").and_then(|rules| broken_scalar(&field.kind(), &rules)) {
        return Some(Some(Value::List(vec![item])));
    }
    let most = usize::try_from(number(rules, "max_items")?).ok()?;
    let item = match field.kind() {
        Kind::Message(message) => Value::Message(DynamicMessage::new(message)),
        kind => Value::default_value(&kind),
    };
    Some(Some(Value::List(vec![item; most + 1])))
}

fn broken_scalar(kind: &Kind, rules: &DynamicMessage) -> Option<Value> {
    match kind {
        Kind::String => of_kind(rules, "string").and_then(|rules| broken_text(&rules)),
        Kind::Bytes => of_kind(rules, "bytes").and_then(|rules| {
            let most = number(&rules, "max_len").or(number(&rules, "len"))?;
            Some(Value::Bytes(vec![0; usize::try_from(most).ok()? + 1].into()))
        }),
        Kind::Int32 => {
            of_kind(rules, "int32").and_then(|rules| Some(Value::I32(i32::try_from(beyond(&rules)?).ok()?)))
        }
        Kind::Int64 => of_kind(rules, "int64").and_then(|rules| Some(Value::I64(beyond(&rules)?))),
        Kind::Enum(_) => of_kind(rules, "enum")
            .and_then(|rules| is_true(&rules, "defined_only").then_some(Value::EnumNumber(i32::MAX))),
        _ => None,
    }
}

/// No rule of ours lets such a text pass: not a UUID, not an id, not a code, and longer than allowed.
fn broken_text(rules: &DynamicMessage) -> Option<Value> {
    let most = number(rules, "max_len").or(number(rules, "len")).unwrap_or(0);
    Some(Value::String("!".repeat(usize::try_from(most).ok()? + 1)))
}

/// One step outside a range.
fn beyond(rules: &DynamicMessage) -> Option<i64> {
    let below = number(rules, "gte").and_then(|least| least.checked_sub(1)).or(number(rules, "gt"));
    below.or_else(|| number(rules, "lte").and_then(|most| most.checked_add(1))).or(number(rules, "lt"))
}

/// The field's rules, if there are any besides `ignore`, which only says when the others count.
fn rules(field: &FieldDescriptor) -> Option<DynamicMessage> {
    let extension = field.parent_message().parent_pool().get_extension_by_name("buf.validate.field")?;
    let rules = field.options().get_extension(&extension).as_message()?.clone();
    let any = rules.fields().any(|(rule, _)| rule.name() != "ignore");
    any.then_some(rules)
}

fn of_kind(rules: &DynamicMessage, kind: &str) -> Option<DynamicMessage> {
    let set = rules.has_field_by_name(kind);
    set.then(|| rules.get_field_by_name(kind)?.as_message().cloned())?
}

fn is_true(message: &DynamicMessage, field: &str) -> bool {
    message.get_field_by_name(field).is_some_and(|value| value.as_bool() == Some(true))
}

fn number(rules: &DynamicMessage, field: &str) -> Option<i64> {
    let value = rules.has_field_by_name(field).then(|| rules.get_field_by_name(field))??;
    let signed = value.as_i64().or(value.as_i32().map(i64::from));
    signed.or_else(|| value.as_u64().and_then(|value| i64::try_from(value).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_of_every_request_can_be_broken() {
        let contract = DescriptorPool::decode(caremesh_proto::FILE_DESCRIPTOR_SET).unwrap();
        let ours = contract.all_messages().filter(|message| {
            message.package_name().starts_with("caremesh.") && message.name().ends_with("Request")
        });
        for request in ours {
            for field in request.fields().filter(|field| rules(field).is_some()) {
                assert!(broken(&request, &field).is_some(), "{}", field.full_name());
            }
        }
    }
}
