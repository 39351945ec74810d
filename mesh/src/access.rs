//! May they? Compares the caller with the method's rules in the contract: roles for persons, names for
//! services, and the purpose for both. It must not know records: how the caller stands to one is left in
//! the context (`granted`) for the serving service to resolve into a scope.

use http::HeaderMap;

use crate::context::CallContext;
use crate::identity::SpiffeId;
use crate::identity::metadata::{PURPOSE, purpose};
use crate::layer::{Around, Next, Request, Response, refuse};
use crate::policy::{AccessRule, MethodPolicy, Purpose, Relationship};
use crate::principal::Principal;
use crate::reason::CommonReason;
use crate::refusal::Refusal;

/// The layer.
#[derive(Debug, Default)]
pub struct Access;

impl Around for Access {
    async fn around<N: Next>(&self, request: &mut Request, next: N) -> Response {
        match decide(request) {
            Ok(()) => next.run(request).await,
            Err(refusal) => refuse(refusal),
        }
    }
}

fn decide(request: &Request) -> Result<(), Refusal> {
    let context = request.extensions().get::<CallContext>();
    let context = context.ok_or_else(|| Refusal::new(CommonReason::Internal))?;
    let purpose = stated_purpose(request.headers())?.unwrap_or_else(|| context.purpose());
    let granted = grant(context.method(), context.principal(), purpose)?;
    context.allow(granted, purpose);
    Ok(())
}

/// The relationships under which `principal` may make the call: those of every rule that matches.
///
/// # Errors
/// `CREDENTIALS_MISSING` when a person's token could have opened the method and there was none;
/// `ROLE_MISSING` otherwise.
pub fn grant(
    method: &MethodPolicy,
    principal: &Principal,
    purpose: Purpose,
) -> Result<Vec<Relationship>, Refusal> {
    if method.anyone {
        return Ok(vec![Relationship::Any]);
    }
    let asked_as_person = method.access.iter().any(|rule| names_role_of(rule, principal));
    let mut granted = Vec::new();
    for rule in method.access.iter().filter(|rule| rule.purposes.contains(&purpose)) {
        granted.extend(granted_by(rule, principal, asked_as_person));
    }
    granted.sort_unstable();
    granted.dedup();
    if granted.is_empty() { Err(refusal_for(method, principal)) } else { Ok(granted) }
}

/// While a person waits, and the method knows persons of that role, it is the person who asks: a service that
/// carries the token lends its own rights to nobody, or whoever can make it ask would see everybody's records.
/// A person whom the method does not know at all lends the service nothing either: a service that the rule names
/// then acts on its own certificate, and which records it needs is its own affair.
fn granted_by(rule: &AccessRule, principal: &Principal, asked_as_person: bool) -> Vec<Relationship> {
    if names_role_of(rule, principal) {
        return rule.relationships.clone();
    }
    let named = |workload: &SpiffeId| rule.services.iter().any(|name| name == workload.service());
    if !asked_as_person && principal.workload().is_some_and(named) {
        return vec![Relationship::Any];
    }
    Vec::new()
}

fn names_role_of(rule: &AccessRule, principal: &Principal) -> bool {
    rule.roles.iter().any(|role| principal.has_role(*role))
}

fn refusal_for(method: &MethodPolicy, principal: &Principal) -> Refusal {
    let for_persons = method.access.iter().any(|rule| !rule.roles.is_empty());
    let nobody = principal.workload().is_none();
    let reason = match principal.person() {
        None if for_persons || nobody => CommonReason::CredentialsMissing,
        _ => CommonReason::RoleMissing,
    };
    Refusal::new(reason)
}

/// The purpose the caller states; None when it states none.
///
/// # Errors
/// `FIELD_INVALID` naming the header, for a purpose that is not one of the three.
pub fn stated_purpose(headers: &HeaderMap) -> Result<Option<Purpose>, Refusal> {
    let Some(stated) = headers.get(PURPOSE) else { return Ok(None) };
    let purpose = purpose(stated.as_bytes()).map(Some);
    purpose.ok_or_else(|| {
        Refusal::new(CommonReason::FieldInvalid).field_explained(
            PURPOSE.as_str(),
            "purpose.known",
            "must be treatment, payment or operations",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Role;
    use crate::principal::Person;

    fn rule(roles: &[Role], relationships: &[Relationship], services: &[&str]) -> AccessRule {
        AccessRule {
            roles: roles.to_vec(),
            relationships: relationships.to_vec(),
            services: services.iter().map(|s| (*s).to_owned()).collect(),
            purposes: vec![Purpose::Payment],
        }
    }

    fn method(access: Vec<AccessRule>) -> MethodPolicy {
        MethodPolicy { access, ..MethodPolicy::of_process("svc-policy", "test", Purpose::Payment) }
    }

    fn person(roles: &[Role]) -> Principal {
        Principal::of_person(Person {
            issuer: "https://issuer.test".into(),
            subject: "s".to_owned(),
            person_id: None,
            roles: roles.to_vec(),
            organisation: None,
            token: None,
        })
    }

    fn service(name: &str) -> SpiffeId {
        SpiffeId::new("caremesh.local", name).expect("a name")
    }

    fn refused(method: &MethodPolicy, principal: &Principal, purpose: Purpose) -> &'static str {
        grant(method, principal, purpose).expect_err("refused").reason()
    }

    /// Members see their own, officers everything, claims may call by itself.
    fn mixed() -> MethodPolicy {
        method(vec![
            rule(&[Role::Member], &[Relationship::OwnFamily, Relationship::Own], &[]),
            rule(&[Role::ClaimsOfficer], &[Relationship::Any], &["svc-claims"]),
        ])
    }

    #[test]
    fn a_person_is_granted_the_relationships_of_every_rule_that_names_a_role_of_theirs() {
        let granted = |roles: &[Role]| grant(&mixed(), &person(roles), Purpose::Payment).ok();
        assert_eq!(granted(&[Role::Member]), Some(vec![Relationship::Own, Relationship::OwnFamily]));
        assert_eq!(granted(&[Role::ClaimsOfficer]), Some(vec![Relationship::Any]));
        assert_eq!(
            granted(&[Role::Member, Role::ClaimsOfficer]),
            Some(vec![Relationship::Any, Relationship::Own, Relationship::OwnFamily])
        );
        assert_eq!(granted(&[Role::Operator]), None);
    }

    #[test]
    fn a_service_is_granted_by_name_alone_and_beside_a_person_whom_the_method_does_not_know() {
        let alone = Principal::of_workload(service("svc-claims"));
        assert_eq!(grant(&mixed(), &alone, Purpose::Payment), Ok(vec![Relationship::Any]));
        let with_person = person(&[Role::Courier]).through(service("svc-claims"));
        assert_eq!(grant(&mixed(), &with_person, Purpose::Payment), Ok(vec![Relationship::Any]));
    }

    #[test]
    fn a_service_that_carries_a_persons_token_asks_as_that_person() {
        let member = person(&[Role::Member]).through(service("svc-claims"));
        let own = Ok(vec![Relationship::Own, Relationship::OwnFamily]);
        assert_eq!(grant(&mixed(), &member, Purpose::Payment), own);
        let officer = person(&[Role::ClaimsOfficer]).through(service("svc-claims"));
        assert_eq!(grant(&mixed(), &officer, Purpose::Payment), Ok(vec![Relationship::Any]));
    }

    #[test]
    fn a_purpose_that_is_not_the_persons_is_not_opened_by_the_services_name() {
        let wider = AccessRule {
            purposes: vec![Purpose::Payment, Purpose::Treatment],
            ..rule(&[], &[], &["svc-claims"])
        };
        let method = method(vec![rule(&[Role::Member], &[Relationship::Own], &[]), wider]);
        let alone = Principal::of_workload(service("svc-claims"));
        assert_eq!(grant(&method, &alone, Purpose::Treatment), Ok(vec![Relationship::Any]));
        let member = person(&[Role::Member]).through(service("svc-claims"));
        assert_eq!(refused(&method, &member, Purpose::Treatment), "ROLE_MISSING");
    }

    #[test]
    fn a_person_behind_another_service_has_only_their_own_rights() {
        let courier = person(&[Role::Courier]).through(service("gateway"));
        assert_eq!(refused(&mixed(), &courier, Purpose::Payment), "ROLE_MISSING");
    }

    #[test]
    fn without_a_person_the_answer_says_whether_a_token_would_have_helped() {
        let gateway = Principal::of_workload(service("gateway"));
        assert_eq!(refused(&mixed(), &gateway, Purpose::Payment), "CREDENTIALS_MISSING");
        assert_eq!(refused(&mixed(), &Principal::anonymous(), Purpose::Payment), "CREDENTIALS_MISSING");
        let inner = method(vec![rule(&[], &[], &["svc-claims"])]);
        assert_eq!(refused(&inner, &gateway, Purpose::Payment), "ROLE_MISSING");
        assert_eq!(refused(&inner, &Principal::anonymous(), Purpose::Payment), "CREDENTIALS_MISSING");
    }

    #[test]
    fn a_purpose_that_no_rule_allows_opens_nothing() {
        let member = person(&[Role::Member]);
        assert_eq!(refused(&mixed(), &member, Purpose::Treatment), "ROLE_MISSING");
    }

    #[test]
    fn an_empty_service_name_matches_no_rule() {
        let broken = method(vec![rule(&[], &[], &[""])]);
        assert_eq!(refused(&broken, &person(&[Role::Member]), Purpose::Payment), "ROLE_MISSING");
    }

    #[test]
    fn a_stated_purpose_is_one_of_three() {
        let mut headers = HeaderMap::new();
        assert_eq!(stated_purpose(&headers), Ok(None));
        headers.insert(PURPOSE, "treatment".parse().expect("a value"));
        assert_eq!(stated_purpose(&headers), Ok(Some(Purpose::Treatment)));
        headers.insert(PURPOSE, "marketing".parse().expect("a value"));
        assert_eq!(stated_purpose(&headers).expect_err("refused").reason(), "FIELD_INVALID");
    }
}
