//! A span per statement that says which kind of operation ran on which kind of database, and how it ended.
//! Must not know SQL beyond its first word: literals and table contents never enter a span.

use std::future::Future;

use sea_orm::DbErr;
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::{Error, Kind};

/// Runs a statement inside a client span of the current trace.
pub(crate) async fn statement<T>(
    kind: Kind,
    sql: &str,
    work: impl Future<Output = Result<T, DbErr>>,
) -> Result<T, DbErr> {
    let operation = operation(sql);
    let span = tracing::info_span!(
        "db.query",
        otel.name = operation,
        otel.kind = "client",
        otel.status_code = Empty,
        db.system.name = kind.system_name(),
        db.operation.name = operation,
        "error.type" = Empty,
    );
    let outcome = work.instrument(span.clone()).await;
    if let Err(error) = &outcome {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", class(&Error::from(error.clone())));
    }
    outcome
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
