//! Policies of gRPC's own services. Their protos are not ours, so they can carry no options; what the
//! contract says for every other method is said here for them, and nowhere else.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{AccessRule, AuditClass, Exposure, MethodPolicy, Purpose, Relationship, RetrySafety, Role};
use crate::reason::COMMON_DOMAIN;

const HEALTH: &str = "grpc.health.v1.Health";
const REFLECTION: [&str; 2] =
    ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];
/// A stream of reflection requests is a person at a terminal, or the gateway at start.
const REFLECTION_LIFE: Duration = Duration::from_secs(60);
const CHECK_DEADLINE: Duration = Duration::from_secs(5);
/// A watcher comes back after this; connections are renewed more often anyway.
const WATCH_LIFE: Duration = Duration::from_secs(3600);

/// Health is for anyone; reflection shows the contract to operators and to the gateway.
pub(super) fn methods() -> Vec<MethodPolicy> {
    let mut methods = vec![
        open(HEALTH, "Check", CHECK_DEADLINE, false),
        open(HEALTH, "List", CHECK_DEADLINE, false),
        open(HEALTH, "Watch", WATCH_LIFE, true),
    ];
    methods.extend(REFLECTION.map(reflection));
    methods
}

/// Whether the service is one of gRPC's own, whose methods need no options.
pub(super) fn owns(service: &str) -> bool {
    service == HEALTH || REFLECTION.contains(&service)
}

fn reflection(service: &str) -> MethodPolicy {
    let rule = AccessRule {
        roles: vec![Role::Operator],
        relationships: vec![Relationship::Any],
        services: vec!["gateway".to_owned()],
        purposes: vec![Purpose::Operations],
    };
    MethodPolicy {
        anyone: false,
        access: vec![rule],
        ..open(service, "ServerReflectionInfo", REFLECTION_LIFE, true)
    }
}

fn open(service: &str, name: &str, deadline: Duration, streams_answers: bool) -> MethodPolicy {
    MethodPolicy {
        path: format!("/{service}/{name}"),
        service: service.to_owned(),
        workload: String::new(),
        error_domain: COMMON_DOMAIN.to_owned(),
        access: Vec::new(),
        anyone: true,
        deadline,
        errors: BTreeSet::new(),
        audit: AuditClass::None,
        default_purpose: Purpose::Operations,
        retry: RetrySafety::Safe,
        exposure: Exposure::Internal,
        // Only reflection is a stream of questions, and it answers with one too.
        streams_requests: streams_answers,
        streams_answers,
        changes: false,
    }
}
