//! Who calls: a person, a workload, or a workload on behalf of a person. How that was proven is the
//! identity layer's business; this must not know tokens' formats or certificates.

use std::sync::Arc;

use caremesh_kernel::PersonId;
use futures::future::BoxFuture;
use http::HeaderMap;
use secrecy::SecretString;

use crate::identity::SpiffeId;
use crate::policy::Role;
use crate::refusal::Refusal;
use crate::tls::Peer;

/// Who makes a call. A cheap clone.
#[derive(Clone, Debug, Default)]
pub struct Principal {
    person: Option<Arc<Person>>,
    workload: Option<SpiffeId>,
}

/// A person whose token was verified at this hop.
#[derive(Clone, Debug)]
pub struct Person {
    /// Who vouches for the person (`iss`): two issuers may give the same subject to two people.
    pub issuer: Arc<str>,
    /// The issuer's stable, opaque name for the person (`sub`). Not for logs.
    pub subject: String,
    /// The person's record in svc-policy, once there is one.
    pub person_id: Option<PersonId>,
    /// What the person is to the platform.
    pub roles: Vec<Role>,
    /// The organisation of staff and partners (`org_…`).
    pub organisation: Option<String>,
    /// The token itself, to be sent on to the next hop and to nothing else.
    pub token: Option<Arc<SecretString>>,
}

impl Person {
    /// Who the person is among the persons of all issuers. One text for one person: an issuer's URL has no
    /// fragment (OpenID Connect Core 2), so the first `#` ends it.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}#{}", self.issuer, self.subject)
    }
}

impl Principal {
    /// Nobody: neither token nor certificate.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// A person, without a workload in between.
    #[must_use]
    pub fn of_person(person: Person) -> Self {
        Self { person: Some(Arc::new(person)), workload: None }
    }

    /// A workload acting for itself.
    #[must_use]
    pub fn of_workload(workload: SpiffeId) -> Self {
        Self { person: None, workload: Some(workload) }
    }

    /// The same caller, come through this workload.
    #[must_use]
    pub fn through(mut self, workload: SpiffeId) -> Self {
        self.workload = Some(workload);
        self
    }

    /// The person on whose behalf the call is made.
    #[must_use]
    pub fn person(&self) -> Option<&Person> {
        self.person.as_deref()
    }

    /// The workload at the other end of the connection.
    #[must_use]
    pub fn workload(&self) -> Option<&SpiffeId> {
        self.workload.as_ref()
    }

    /// The person's record, if the caller is a person who has one.
    #[must_use]
    pub fn person_id(&self) -> Option<PersonId> {
        self.person()?.person_id
    }

    /// Whether the person holds the role. A workload holds none.
    #[must_use]
    pub fn has_role(&self, role: Role) -> bool {
        self.person().is_some_and(|person| person.roles.contains(&role))
    }

    /// Name of the calling service; empty when none.
    #[must_use]
    pub fn service(&self) -> &str {
        self.workload().map_or("", SpiffeId::service)
    }

    /// The owner of the intent, under which request ids are kept: a partner's organisation, an issuer's
    /// person, or the service itself. Never a token, a certificate or an address: those change between
    /// a call and its repetition.
    #[must_use]
    pub fn caller_key(&self) -> String {
        let Some(person) = self.person() else {
            return match self.workload() {
                Some(workload) => format!("service:{}", workload.service()),
                None => "anonymous".to_owned(),
            };
        };
        match &person.organisation {
            Some(organisation) if person.roles.contains(&Role::Partner) => {
                format!("organisation:{organisation}")
            }
            _ => format!("person:{}", person.key()),
        }
    }
}

/// What a call shows of its caller: its headers, and who is at the other end of its connection.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    /// The token is among them.
    pub headers: &'a HeaderMap,
    /// None only where nobody accepted a connection.
    pub peer: Option<&'a Peer>,
}

impl<'a> Credentials<'a> {
    /// Those of a request as the accept loop hands it over.
    #[must_use]
    pub fn of<B>(request: &'a http::Request<B>) -> Self {
        Self { headers: request.headers(), peer: request.extensions().get() }
    }
}

/// Finds out who makes a call. No credentials at all is [`Principal::anonymous`], bad ones are a refusal.
pub trait Authenticator: Send + Sync + 'static {
    /// The caller, when that can be told without waiting: nearly always, because tokens are remembered. None: ask
    /// [`Authenticator::authenticate`].
    fn known(&self, _credentials: Credentials<'_>) -> Option<Principal> {
        None
    }

    /// The caller with these credentials.
    fn authenticate<'a>(&'a self, credentials: Credentials<'a>) -> BoxFuture<'a, Result<Principal, Refusal>>;
}

impl dyn Authenticator {
    /// The caller with these credentials, asked in the cheapest way. The identity layer does so once per call.
    ///
    /// # Errors
    /// As [`Authenticator::authenticate`].
    pub async fn caller(&self, credentials: Credentials<'_>) -> Result<Principal, Refusal> {
        match self.known(credentials) {
            Some(principal) => Ok(principal),
            None => self.authenticate(credentials).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(roles: Vec<Role>, organisation: Option<&str>) -> Principal {
        person_of("https://one.example", roles, organisation)
    }

    fn person_of(issuer: &str, roles: Vec<Role>, organisation: Option<&str>) -> Principal {
        Principal::of_person(Person {
            issuer: issuer.into(),
            subject: "sub-1".to_owned(),
            person_id: None,
            roles,
            organisation: organisation.map(str::to_owned),
            token: Some(Arc::new(SecretString::from("header.body.signature"))),
        })
    }

    fn claims() -> SpiffeId {
        SpiffeId::new("caremesh.local", "svc-claims").expect("a name")
    }

    #[test]
    fn the_owner_of_an_intent_is_the_person_the_partner_or_the_service() {
        let ada = "person:https://one.example#sub-1";
        assert_eq!(person(vec![Role::Member], None).caller_key(), ada);
        assert_eq!(person(vec![Role::Member], None).through(claims()).caller_key(), ada);
        assert_eq!(person(vec![Role::Partner], Some("org_1")).caller_key(), "organisation:org_1");
        assert_eq!(person(vec![Role::ClaimsOfficer], Some("org_1")).caller_key(), ada);
        assert_eq!(Principal::of_workload(claims()).caller_key(), "service:svc-claims");
    }

    #[test]
    fn the_same_subject_of_two_issuers_is_two_owners() {
        let keys = ["https://one.example", "https://two.example"]
            .map(|issuer| person_of(issuer, vec![Role::Member], None).caller_key());
        assert_ne!(keys[0], keys[1]);
    }

    #[test]
    fn debug_output_of_a_principal_hides_the_token() {
        let shown = format!("{:?}", person(vec![Role::Member], None));
        assert!(!shown.contains("signature"), "{shown}");
    }

    #[test]
    fn a_workload_holds_no_role() {
        assert!(!Principal::of_workload(claims()).has_role(Role::Operator));
    }
}
