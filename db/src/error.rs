//! Why a store could not do what was asked: only distinctions that a caller acts upon.
//! Must not know gRPC; services map these kinds to reasons in their `grpc/error.rs`.

use std::sync::Arc;

use sea_orm::{DbErr, RuntimeErr};

/// What went wrong in a store.
///
/// `Display` is a fixed sentence per kind and never holds a value of a row, so it may be logged. The driver's own error is
/// kept as `source` for a log at the boundary; it never goes to a caller.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection became free within the acquire timeout: answer OVERLOADED (RESOURCE_EXHAUSTED with RetryInfo).
    #[error("no database connection became free in time")]
    Overloaded,
    /// The database cannot be reached or went away: answer DEPENDENCY_DOWN (UNAVAILABLE).
    #[error("the database cannot be reached")]
    Unreachable(#[source] DbErr),
    /// The service is shutting down and takes no new writes: answer DEPENDENCY_DOWN (UNAVAILABLE).
    #[error("the store is draining and takes no new writes")]
    Draining,
    /// The deadline of the call or the limit of a transaction passed; nothing of this attempt was committed unless the
    /// commit itself was on its way: answer DEADLINE_EXCEEDED.
    #[error("the transaction ran out of time")]
    OutOfTime,
    /// Serialisation failures, deadlocks or a busy SQLite file outlasted the bounded retries: answer OVERLOADED.
    #[error("the transaction kept colliding with others")]
    Contended,
    /// A statement of a [`crate::Batch`] changed another number of rows than it expected: somebody was faster, or the
    /// caller read a version that is gone. Nothing was committed: answer STALE_VERSION (ABORTED).
    #[error("statement {statement} changed {changed} rows, expected {expected}")]
    Stale {
        /// Label that the caller gave the statement.
        statement: &'static str,
        /// Rows it changed.
        changed: u64,
        /// Rows it had to change.
        expected: u64,
    },
    /// A unique key refused a row.
    #[error("unique key {constraint} refused the row")]
    Duplicate {
        /// Constraint (PostgreSQL) or `table.column` list (SQLite).
        constraint: String,
    },
    /// A CHECK, exclusion, foreign key or raised trigger refused the change.
    #[error("constraint {constraint} refused the change")]
    Constraint {
        /// Constraint or trigger message as the schema names it.
        constraint: String,
    },
    /// The same request_id came before with another body: answer REQUEST_ID_REUSED (INVALID_ARGUMENT).
    #[error("the request_id was used before with another body")]
    RequestIdReused,
    /// The same request_id is being worked on at this moment: answer REQUEST_IN_PROGRESS (ABORTED).
    #[error("a request with this request_id is still running")]
    RequestInProgress,
    /// The key of this person was destroyed, so the field cannot be read any more.
    #[error("the data key was destroyed or never existed")]
    KeyDestroyed,
    /// Encryption or decryption failed: a changed field, a field moved to another row, or a wrong key.
    #[error("a protected field could not be opened")]
    Sealed,
    /// The schema of the database is not the one of this release.
    #[error("schema mismatch: {0}")]
    Schema(String),
    /// A configuration value is wrong; names the value and the rule.
    #[error("{0}")]
    Config(String),
    /// A row or a stored value does not have the shape that this release wrote.
    #[error("stored data has an unexpected shape: {0}")]
    Corrupt(&'static str),
    /// The work inside a transaction panicked; it was rolled back.
    #[error("the work inside the transaction panicked")]
    Panicked,
    /// Anything else the database refused: a defect of ours.
    #[error("the database refused a statement")]
    Refused(#[source] DbErr),
}

impl Error {
    /// An error of a statement that went to sqlx directly.
    pub(crate) fn from_driver(error: sqlx::Error) -> Self {
        DbErr::Exec(RuntimeErr::SqlxError(Arc::new(error))).into()
    }

    /// Whether a fresh attempt of the whole transaction can succeed (40001, 40P01, a busy SQLite file).
    pub(crate) fn is_transient(error: &DbErr) -> bool {
        let Some(code) = database_code(error) else { return false };
        // SQLite extended codes keep the primary code in the low byte: 5 = BUSY, 6 = LOCKED.
        matches!(code.as_str(), "40001" | "40P01" | "5" | "6" | "261" | "262" | "517" | "773")
    }
}

/// How a statement that met the call's deadline looks to sea-orm, whose errors are a closed list.
const OUT_OF_TIME: &str = "caremesh: out of time";

pub(crate) fn out_of_time() -> DbErr {
    DbErr::Custom(OUT_OF_TIME.to_owned())
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        match &error {
            DbErr::Custom(text) if text == OUT_OF_TIME => Self::OutOfTime,
            DbErr::ConnectionAcquire(sea_orm::ConnAcquireErr::Timeout) => Self::Overloaded,
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => Self::Unreachable(error),
            DbErr::Exec(RuntimeErr::SqlxError(source)) | DbErr::Query(RuntimeErr::SqlxError(source)) => {
                from_sqlx(&Arc::clone(source), error)
            }
            _ => Self::Refused(error),
        }
    }
}

fn from_sqlx(source: &sqlx::Error, error: DbErr) -> Error {
    match source {
        sqlx::Error::PoolTimedOut => Error::Overloaded,
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            Error::Unreachable(error)
        }
        sqlx::Error::Database(database) => from_database(database.as_ref(), error),
        _ => Error::Refused(error),
    }
}

fn from_database(database: &dyn sqlx::error::DatabaseError, error: DbErr) -> Error {
    use sqlx::error::ErrorKind;
    let code = database.code().unwrap_or_default();
    match code.as_ref() {
        // query_canceled is what statement_timeout raises, lock_not_available what lock_timeout raises.
        "57014" | "55P03" => return Error::OutOfTime,
        // admin shutdown, crash shutdown, cannot connect now, idle-in-transaction timeout.
        "57P01" | "57P02" | "57P03" | "25P03" => return Error::Unreachable(error),
        "40001" | "40P01" | "5" | "6" | "261" | "262" | "517" | "773" => return Error::Contended,
        _ => {}
    }
    match database.kind() {
        ErrorKind::UniqueViolation => Error::Duplicate { constraint: constraint_of(database) },
        ErrorKind::ForeignKeyViolation | ErrorKind::CheckViolation | ErrorKind::NotNullViolation => {
            Error::Constraint { constraint: constraint_of(database) }
        }
        // 23P01 = exclusion violation, P0001 = RAISE in a trigger, 1811 = RAISE in a SQLite trigger.
        _ if matches!(code.as_ref(), "23P01" | "P0001" | "1811") => {
            Error::Constraint { constraint: constraint_of(database) }
        }
        _ => Error::Refused(error),
    }
}

/// The schema's own name for what refused. SQLite puts it only into its message ("UNIQUE constraint failed: t.a, t.b"),
/// which names columns and never values.
fn constraint_of(database: &dyn sqlx::error::DatabaseError) -> String {
    if let Some(name) = database.constraint() {
        return name.to_owned();
    }
    let message = database.message();
    message.rsplit_once("failed: ").map_or(message, |(_, names)| names).to_owned()
}

fn database_code(error: &DbErr) -> Option<String> {
    let (DbErr::Exec(RuntimeErr::SqlxError(source)) | DbErr::Query(RuntimeErr::SqlxError(source))) = error
    else {
        return None;
    };
    let sqlx::Error::Database(database) = source.as_ref() else { return None };
    database.code().map(|code| code.into_owned())
}
