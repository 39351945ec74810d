//! Every rule of every request, broken once and sent: a handler that forgets to validate is found by the contract
//! itself. Must not know any method by name.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use bytes::{Buf as _, BufMut as _};
use prost_reflect::prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MethodDescriptor, Value,
};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::identity::TestPerson;
use crate::mesh::{CallerChannel, Server, TestMesh};

/// Sends each method of `services` its request with one broken field at a time, from a caller whom the contract lets
/// in. Gives the number of requests sent.
///
/// # Errors
/// Names the method and the field whose broken value was not refused as `FIELD_INVALID`, or whose rule cannot be
/// broken here.
pub async fn every_rule_is_enforced(
    mesh: &TestMesh,
    server: &Server,
    services: &[&str],
) -> anyhow::Result<usize> {
    let contract = DescriptorPool::decode(caremesh_proto::FILE_DESCRIPTOR_SET)?;
    let mut sent = 0;
    for service in services {
        let service =
            contract.get_service_by_name(service).with_context(|| format!("no service {service}"))?;
        for method in service.methods() {
            let mut caller = Grpc::new(allowed_caller(mesh, server, &method)?);
            for field in method.input().fields().filter(|field| rules(field).is_some()) {
                let message = broken(&method, &field)
                    .with_context(|| format!("{}: no way to break its rule is known", field.full_name()))?;
                refuses(&mut caller, &method, &field, message).await?;
                sent += 1;
            }
        }
    }
    Ok(sent)
}

async fn refuses(
    caller: &mut Grpc<CallerChannel>,
    method: &MethodDescriptor,
    field: &FieldDescriptor,
    message: DynamicMessage,
) -> anyhow::Result<()> {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name()).parse()?;
    caller.ready().await?;
    let answer = caller.unary(Request::new(message.encode_to_vec()), path, Raw).await;
    let at = format!("{}: a broken `{}`", method.full_name(), field.name());
    let status = answer.err().with_context(|| format!("{at} was accepted"))?;
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    ensure!(
        status.code() == Code::InvalidArgument && reason == "FIELD_INVALID",
        "{at} was answered with {:?} {reason}",
        status.code()
    );
    let named = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    let names_it = named.iter().any(|violation| violation.field.starts_with(field.name()));
    ensure!(names_it, "{at} was refused without naming it");
    Ok(())
}

/// The first caller that the contract lets in.
fn allowed_caller(
    mesh: &TestMesh,
    server: &Server,
    method: &MethodDescriptor,
) -> anyhow::Result<CallerChannel> {
    let policy = option(&method.options(), method.parent_pool(), "caremesh.options.v1.method");
    let policy = policy.with_context(|| format!("{} has no policy", method.full_name()))?;
    let Some(rule) = list(&policy, "access").first().and_then(Value::as_message).cloned() else {
        return mesh.nobody(server);
    };
    match list(&rule, "roles").first().and_then(Value::as_enum_number) {
        Some(number) => mesh.person(server, &TestPerson::new("allowed", &[&role_name(&rule, number)?])),
        None => {
            let services = list(&rule, "services");
            let name = services.first().and_then(Value::as_str).context("a rule for nobody")?;
            mesh.service(server, name)
        }
    }
}

/// `member` of `ROLE_MEMBER`.
fn role_name(rule: &DynamicMessage, number: i32) -> anyhow::Result<String> {
    let kind = rule.get_field_by_name("roles").and(descriptor_of(rule, "roles")).context("roles")?.kind();
    let role = kind.as_enum().and_then(|roles: &EnumDescriptor| roles.get_value(number)).context("a role")?;
    Ok(role.name().trim_start_matches("ROLE_").to_lowercase())
}

/// The method's request with nothing in it but this field, broken.
fn broken(method: &MethodDescriptor, field: &FieldDescriptor) -> Option<DynamicMessage> {
    let mut message = DynamicMessage::new(method.input());
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

fn rules(field: &FieldDescriptor) -> Option<DynamicMessage> {
    let rules = option(&field.options(), field.parent_message().parent_pool(), "buf.validate.field")?;
    let said: BTreeSet<_> = rules.fields().map(|(field, _)| field.name().to_owned()).collect();
    // `ignore` alone says when other rules do not count.
    said.iter().any(|name| name != "ignore").then_some(rules)
}

fn option(options: &DynamicMessage, pool: &DescriptorPool, name: &str) -> Option<DynamicMessage> {
    let extension = pool.get_extension_by_name(name)?;
    options.has_extension(&extension).then(|| options.get_extension(&extension).as_message().cloned())?
}

fn descriptor_of(message: &DynamicMessage, field: &str) -> Option<FieldDescriptor> {
    prost_reflect::ReflectMessage::descriptor(message).get_field_by_name(field)
}

fn of_kind(rules: &DynamicMessage, kind: &str) -> Option<DynamicMessage> {
    let set = rules.has_field_by_name(kind);
    set.then(|| rules.get_field_by_name(kind)?.as_message().cloned())?
}

fn list(message: &DynamicMessage, field: &str) -> Vec<Value> {
    let value = message.get_field_by_name(field);
    value.and_then(|value| value.as_list().map(<[Value]>::to_vec)).unwrap_or_default()
}

fn is_true(message: &DynamicMessage, field: &str) -> bool {
    message.get_field_by_name(field).is_some_and(|value| value.as_bool() == Some(true))
}

fn number(rules: &DynamicMessage, field: &str) -> Option<i64> {
    let value = rules.has_field_by_name(field).then(|| rules.get_field_by_name(field))??;
    let signed = value.as_i64().or(value.as_i32().map(i64::from));
    signed.or_else(|| value.as_u64().and_then(|value| i64::try_from(value).ok()))
}

/// Sends and takes bytes as they are.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; from.remaining()];
        from.copy_to_slice(&mut bytes);
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_of_every_request_can_be_broken() {
        let contract = DescriptorPool::decode(caremesh_proto::FILE_DESCRIPTOR_SET).unwrap();
        let ours = contract.services().filter(|service| service.package_name().starts_with("caremesh."));
        for method in ours.flat_map(|service| service.methods().collect::<Vec<_>>()) {
            for field in method.input().fields().filter(|field| rules(field).is_some()) {
                assert!(broken(&method, &field).is_some(), "{}", field.full_name());
            }
        }
    }
}
