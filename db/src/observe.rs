//! A span per statement that says which kind of operation ran on which kind of database, and how it ended.
//! Must not know SQL beyond its first word: literals and table contents never enter a span.

use std::future::Future;

use caremesh_mesh::telemetry::CallScope;
use sea_orm::DbErr;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use crate::{Error, Kind};

/// Runs a statement inside a client span of the current trace.
pub(crate) async fn statement<T>(
    kind: Kind,
    sql: &str,
    work: impl Future<Output = Result<T, DbErr>>,
) -> Result<T, DbErr> {
    let span = span(kind, operation(sql));
    let outcome = work.instrument(span.clone()).await;
    if let Err(error) = &outcome {
        failed(&span, &Error::from(error.clone()));
    }
    outcome
}

/// [`statement`] for work whose operation is known and whose error is this crate's own.
pub(crate) async fn named<T>(
    kind: Kind,
    operation: &'static str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let span = span(kind, operation);
    let outcome = work.instrument(span.clone()).await;
    if let Err(error) = &outcome {
        failed(&span, error);
    }
    outcome
}

fn failed(span: &Span, error: &Error) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", class(error));
}

fn span(kind: Kind, operation: &'static str) -> Span {
    let span = tracing::info_span!(
        "db.query",
        otel.name = operation,
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = kind.system_name(),
        db.operation.name = operation,
        caremesh.service = Empty,
        "error.type" = Empty,
    );
    name_service(&span);
    span
}

/// Says whose statement it is: several services share a process, and its name.
pub(crate) fn name_service(span: &Span) {
    if span.is_disabled() {
        return;
    }
    if let Some(scope) = CallScope::current() {
        span.record("caremesh.service", scope.service());
    }
}

/// The first word of a statement, out of a closed list.
fn operation(sql: &str) -> &'static str {
    let word = sql.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    const KNOWN: [&str; 6] = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "CREATE"];
    KNOWN.into_iter().find(|known| word.eq_ignore_ascii_case(known)).unwrap_or("EXECUTE")
}

/// A word per kind of failure, for `error.type`.
pub(crate) fn class(error: &Error) -> &'static str {
    match error {
        Error::Overloaded => "overloaded",
        Error::Unreachable(_) => "unreachable",
        Error::Draining => "draining",
        Error::OutOfTime => "out_of_time",
        Error::Contended => "contended",
        Error::Stale { .. } => "stale",
        Error::Duplicate { .. } => "duplicate",
        Error::Constraint { .. } => "constraint",
        Error::RequestIdReused => "request_id_reused",
        Error::RequestInProgress => "request_in_progress",
        Error::KeyDestroyed => "key_destroyed",
        Error::Sealed => "sealed",
        Error::Schema(_) => "schema",
        Error::Config(_) => "config",
        Error::Corrupt(_) => "corrupt",
        Error::Panicked => "panicked",
        Error::Refused(_) => "refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_a_word_of_a_closed_list() {
        assert_eq!(operation("  select 'secret'"), "SELECT");
        assert_eq!(operation("WITH s0 AS (INSERT …"), "WITH");
        assert_eq!(operation("ada@example.org"), "EXECUTE");
    }
}
