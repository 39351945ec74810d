//! The context of one call: who, what, how long, for what purpose, and whom it touched. First argument
//! of every use case and finder. It must not know any domain, store or transport.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use caremesh_kernel::{EpisodeId, PersonId};
use uuid::Uuid;

use crate::deadline::Deadline;
use crate::identity::SpiffeId;
use crate::policy::{MethodPolicy, Purpose, Relationship};
use crate::principal::Principal;
use crate::telemetry::TraceParent;

/// What was done to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Shown to the caller, or used for an answer.
    Read,
    /// Made.
    Created,
    /// Changed.
    Changed,
    /// Erased or closed for ever.
    Removed,
}

impl Action {
    /// Its name in audit events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Removed => "removed",
        }
    }
}

/// One record of one person that a call touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// The person the record is about; None for a record of nobody.
    pub person: Option<PersonId>,
    /// The record's id (`pol_…`), never its content.
    pub resource: String,
    /// What was done to it.
    pub action: Action,
}

impl Touched {
    /// `resource`, about `person`, was read.
    #[must_use]
    pub fn read(person: impl Into<Option<PersonId>>, resource: impl ToString) -> Self {
        Self::new(person, resource, Action::Read)
    }

    /// `resource`, about `person`, was touched by `action`.
    #[must_use]
    pub fn new(person: impl Into<Option<PersonId>>, resource: impl ToString, action: Action) -> Self {
        Self { person: person.into(), resource: resource.to_string(), action }
    }
}

/// Holds what a call has touched until somebody commits it: the use case's transaction for a write, the
/// audit layer for a read. Shared between the layer and the context.
#[derive(Clone, Debug, Default)]
pub struct Facts(Arc<Mutex<FactsState>>);

#[derive(Debug, Default)]
struct FactsState {
    pending: Vec<Touched>,
    reported: bool,
}

impl Facts {
    /// Adds a fact.
    pub fn add(&self, fact: Touched) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.reported = true;
        state.pending.push(fact);
    }

    /// Takes the facts nobody has committed yet. Who takes them must commit them.
    #[must_use]
    pub fn take(&self) -> Vec<Touched> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.pending)
    }

    /// Whether anything was ever reported, taken or not.
    #[must_use]
    pub fn any_reported(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).reported
    }
}

/// What a call is made of; see [`CallContext::new`].
#[derive(Clone, Debug)]
pub struct CallParts {
    /// Id of this one call in logs and audit, minted by the server. Not the `request_id`.
    pub call_id: String,
    /// The called method's policy.
    pub method: Arc<MethodPolicy>,
    /// Who calls.
    pub principal: Principal,
    /// For what.
    pub purpose: Purpose,
    /// The relationships under which the caller may see records: those of every rule that matched.
    pub granted: Vec<Relationship>,
    /// When the answer is due.
    pub deadline: Deadline,
    /// The span of the call, to be kept in outbox and process rows.
    pub trace_parent: Option<TraceParent>,
    /// The person a step concerns that runs without that person's token: audited, never authority.
    pub on_behalf_of: Option<PersonId>,
    /// The care episode the call belongs to.
    pub episode_id: Option<EpisodeId>,
    /// Where touched records are reported.
    pub facts: Facts,
}

/// The context of one call. A cheap clone, so that it can enter an owned transaction.
#[derive(Clone, Debug)]
pub struct CallContext(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    parts: CallParts,
    /// What access has decided, beside the parts that it was not known with: a second copy of them all for these two
    /// would be half the cost of the layers that make it.
    access: OnceLock<(Vec<Relationship>, Purpose)>,
}

impl CallContext {
    /// A context of these parts. The server stack makes one per call; tests and workers make their own.
    #[must_use]
    pub fn new(parts: CallParts) -> Self {
        Self(Arc::new(Shared { parts, access: OnceLock::new() }))
    }

    /// The context of work that no caller waits for: `name` (`expire_holds`) of the service that is
    /// `workload`. Its principal is the service itself; a person it concerns is data, never authority.
    #[must_use]
    pub fn for_process(
        workload: SpiffeId,
        name: &str,
        purpose: Purpose,
        call_id: Uuid,
        deadline: Deadline,
    ) -> Self {
        Self::new(CallParts {
            call_id: call_id.to_string(),
            method: Arc::new(MethodPolicy::of_process(workload.service(), name, purpose)),
            principal: Principal::of_workload(workload),
            purpose,
            granted: vec![Relationship::Any],
            deadline,
            trace_parent: None,
            on_behalf_of: None,
            episode_id: None,
            facts: Facts::default(),
        })
    }

    /// The call is allowed under these relationships for this purpose. Only access says so, and once.
    pub(crate) fn allow(&self, granted: Vec<Relationship>, purpose: Purpose) {
        let first = self.0.access.set((granted, purpose));
        debug_assert!(first.is_ok(), "access is decided once");
    }

    fn parts(&self) -> CallParts {
        CallParts { granted: self.granted().to_vec(), purpose: self.purpose(), ..self.0.parts.clone() }
    }

    /// The same call, continued under the trace that a stored row carries.
    #[must_use]
    pub fn with_trace_parent(&self, trace_parent: Option<String>) -> Self {
        Self::new(CallParts { trace_parent: trace_parent.map(Into::into), ..self.parts() })
    }

    /// The same call, made for this person: who a stored row names.
    #[must_use]
    pub fn with_on_behalf_of(&self, on_behalf_of: Option<PersonId>) -> Self {
        Self::new(CallParts { on_behalf_of, ..self.parts() })
    }

    /// The same call, asking another service for this purpose: the question "whose family is this" is one of payment, also
    /// within a call made for operations. What this call itself is audited for does not change.
    #[must_use]
    pub fn asking_for(&self, purpose: Purpose) -> Self {
        Self::new(CallParts { purpose, ..self.parts() })
    }

    /// The same call with facts of its own: for work whose facts are to be written down by themselves, or, in a store that
    /// keeps no audit trail, not taken there.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self::new(CallParts { facts: Facts::default(), ..self.parts() })
    }

    /// The same call, joined to an episode (one that was just minted, or a stored row's).
    #[must_use]
    pub fn with_episode(&self, episode_id: Option<EpisodeId>) -> Self {
        Self::new(CallParts { episode_id, ..self.parts() })
    }

    /// Who calls.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.0.parts.principal
    }

    /// Id of this one call in logs and audit.
    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.0.parts.call_id
    }

    /// The called method's policy.
    #[must_use]
    pub fn method(&self) -> &MethodPolicy {
        &self.0.parts.method
    }

    /// For what the data is used.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.0.access.get().map_or(self.0.parts.purpose, |(_, purpose)| *purpose)
    }

    /// The relationships under which this caller may see records: to be resolved into a scope.
    #[must_use]
    pub fn granted(&self) -> &[Relationship] {
        self.0.access.get().map_or(&self.0.parts.granted, |(granted, _)| granted)
    }

    /// When the answer is due.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.0.parts.deadline
    }

    /// W3C `traceparent` of the call, for rows that are worked on later.
    #[must_use]
    pub fn trace_parent(&self) -> Option<String> {
        self.0.parts.trace_parent.as_ref().map(TraceParent::to_text)
    }

    /// The person a step concerns that runs without that person's token. Data, never authority.
    #[must_use]
    pub fn on_behalf_of(&self) -> Option<PersonId> {
        self.0.parts.on_behalf_of
    }

    /// The care episode the call belongs to, if the caller named one.
    #[must_use]
    pub fn episode_id(&self) -> Option<EpisodeId> {
        self.0.parts.episode_id
    }

    /// Reports a record that this call has touched. Say it before the answer goes out.
    pub fn touched(&self, fact: Touched) {
        self.0.parts.facts.add(fact);
    }

    /// Where this call's touched records are held.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.0.parts.facts
    }

    /// Takes what was reported so far, to commit it in the transaction of the change itself.
    #[must_use]
    pub fn take_touched(&self) -> Vec<Touched> {
        self.0.parts.facts.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn context() -> CallContext {
        let deadline = Deadline::after(Duration::from_secs(1));
        CallContext::for_process(
            SpiffeId::new("caremesh.local", "svc-policy").expect("a name"),
            "expire_holds",
            Purpose::Operations,
            Uuid::from_u128(7),
            deadline,
        )
    }

    #[tokio::test]
    async fn facts_reported_on_a_clone_are_taken_once() {
        let context = context();
        context.clone().touched(Touched::read(None, "pol_1"));
        assert_eq!(context.take_touched(), vec![Touched::read(None, "pol_1")]);
        assert!(context.take_touched().is_empty());
    }

    #[tokio::test]
    async fn a_process_acts_as_its_own_service() {
        let context = context().with_trace_parent(Some("00-1-2-01".to_owned()));
        assert_eq!(context.principal().caller_key(), "service:svc-policy");
        assert_eq!(context.method().path, "/svc-policy/expire_holds");
        assert_eq!(context.trace_parent().as_deref(), Some("00-1-2-01"));
        assert_eq!(context.granted(), [Relationship::Any]);
    }
}
