//! What a deployment may decide about a store: where it is, how many connections, how long things may take.
//! Must not know which service it belongs to.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sqlx::postgres::PgConnectOptions;

use crate::Error;

/// Which database a store runs on. Code forks on this only inside this crate and a service's `migration/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One file, write-ahead log, one writer connection.
    Sqlite,
    /// A PostgreSQL server, 14 or newer.
    Postgres,
}

impl Kind {
    /// Value of the OpenTelemetry attribute `db.system.name`.
    #[must_use]
    pub fn system_name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgresql",
        }
    }

    /// The same in sea-orm's words.
    #[must_use]
    pub fn backend(self) -> sea_orm::DbBackend {
        match self {
            Self::Sqlite => sea_orm::DbBackend::Sqlite,
            Self::Postgres => sea_orm::DbBackend::Postgres,
        }
    }
}

/// Configuration of one store.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `sqlite:///absolute/file.db`, `sqlite:relative/file.db` or `postgres://user:password@host/database`.
    /// Secret, because it may hold a password.
    pub url: SecretString,
    /// Connections for reading, 1..=1000.
    #[serde(default = "default_read_connections")]
    pub read_connections: u32,
    /// Connections for writing, 1..=1000. SQLite always has one writer and ignores this.
    #[serde(default = "default_write_connections")]
    pub write_connections: u32,
    /// How long a caller may wait for a connection before it is told OVERLOADED, milliseconds, 1..=60,000.
    /// Default 500 on PostgreSQL; 2,500 on SQLite, where queueing for the one writer is the normal case.
    #[serde(default)]
    pub acquire_timeout_ms: Option<u64>,
    /// Longest single statement, milliseconds, 1..=600,000. PostgreSQL enforces it on the server.
    #[serde(default = "default_statement_timeout_ms")]
    pub statement_timeout_ms: u64,
    /// Longest silence inside an open transaction before PostgreSQL ends it, milliseconds, 1..=600,000.
    #[serde(default = "default_idle_in_transaction_ms")]
    pub idle_in_transaction_ms: u64,
    /// Longest owned transaction, milliseconds, 1..=600,000; the deadline of the call shortens it.
    #[serde(default = "default_transaction_limit_ms")]
    pub transaction_limit_ms: u64,
}

fn default_read_connections() -> u32 {
    8
}

fn default_write_connections() -> u32 {
    16
}

fn default_statement_timeout_ms() -> u64 {
    5_000
}

fn default_idle_in_transaction_ms() -> u64 {
    10_000
}

fn default_transaction_limit_ms() -> u64 {
    5_000
}

impl Config {
    /// The defaults for a database address.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: SecretString::from(url.into()),
            read_connections: default_read_connections(),
            write_connections: default_write_connections(),
            acquire_timeout_ms: None,
            statement_timeout_ms: default_statement_timeout_ms(),
            idle_in_transaction_ms: default_idle_in_transaction_ms(),
            transaction_limit_ms: default_transaction_limit_ms(),
        }
    }

    /// Which database the address names.
    ///
    /// # Errors
    /// [`Error::Config`] when the address starts with neither `sqlite:` nor `postgres:`/`postgresql:`.
    pub fn kind(&self) -> Result<Kind, Error> {
        match self.url.expose_secret().split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => Ok(Kind::Sqlite),
            Some("postgres" | "postgresql") => Ok(Kind::Postgres),
            _ => Err(Error::Config("url: must start with sqlite: or postgres:".to_owned())),
        }
    }

    /// Checks every value once, at start.
    ///
    /// # Errors
    /// [`Error::Config`] naming the value and its range.
    pub fn validate(&self) -> Result<(), Error> {
        if self.kind()? == Kind::Postgres && self.url.expose_secret().parse::<PgConnectOptions>().is_err() {
            return Err(Error::Config("url: must be postgres://user:password@host:port/database".to_owned()));
        }
        in_range("read_connections", u64::from(self.read_connections), 1_000)?;
        in_range("write_connections", u64::from(self.write_connections), 1_000)?;
        if let Some(acquire) = self.acquire_timeout_ms {
            in_range("acquire_timeout_ms", acquire, 60_000)?;
        }
        in_range("statement_timeout_ms", self.statement_timeout_ms, 600_000)?;
        in_range("idle_in_transaction_ms", self.idle_in_transaction_ms, 600_000)?;
        in_range("transaction_limit_ms", self.transaction_limit_ms, 600_000)
    }

    pub(crate) fn acquire_timeout(&self, kind: Kind) -> Duration {
        let default_ms = match kind {
            Kind::Sqlite => 2_500,
            Kind::Postgres => 500,
        };
        Duration::from_millis(self.acquire_timeout_ms.unwrap_or(default_ms))
    }

    pub(crate) fn statement_timeout(&self) -> Duration {
        Duration::from_millis(self.statement_timeout_ms)
    }

    pub(crate) fn transaction_limit(&self) -> Duration {
        Duration::from_millis(self.transaction_limit_ms)
    }
}

fn in_range(name: &str, value: u64, max: u64) -> Result<(), Error> {
    if (1..=max).contains(&value) {
        return Ok(());
    }
    Err(Error::Config(format!("{name}: must be between 1 and {max}, is {value}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_scheme_is_refused_without_repeating_the_address() {
        let error = Config::new("mysql://root:secret@h/d").validate().expect_err("mysql is not a store");
        assert_eq!(error.to_string(), "url: must start with sqlite: or postgres:");
    }

    #[test]
    fn a_malformed_address_is_refused_without_repeating_it() {
        let error = Config::new("postgres://u:hunter2@h:port/d").validate().expect_err("no such port");
        assert_eq!(error.to_string(), "url: must be postgres://user:password@host:port/database");
    }

    #[test]
    fn a_value_out_of_range_is_named_with_its_range() {
        let config = Config { write_connections: 0, ..Config::new("sqlite::memory:") };
        let error = config.validate().expect_err("no writer at all");
        assert_eq!(error.to_string(), "write_connections: must be between 1 and 1000, is 0");
    }

    #[test]
    fn a_password_in_the_address_is_not_printed() {
        let printed = format!("{:?}", Config::new("postgres://u:hunter2@h/d"));
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
