//! The few words in which the two databases differ, so that every statement is written once. Lists of any length go
//! into one parameter as JSON: a statement keeps one text, and a connection's prepared statements stay few.

use caremesh_db::Kind;
use sea_orm::{ConnectionTrait, Statement, Value};
use serde::Serialize;

/// Type of a column of a list parameter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    /// Text, or null.
    Text(&'static str),
    /// A 64-bit integer, or null.
    Number(&'static str),
}

impl Column {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text(name) | Self::Number(name) => name,
        }
    }

    fn postgres(self) -> String {
        match self {
            Self::Text(name) => format!("{name} text"),
            Self::Number(name) => format!("{name} bigint"),
        }
    }
}

/// The list in a parameter as a table called `alias`.
pub(super) fn list(kind: Kind, parameter: &str, alias: &str, columns: &[Column]) -> String {
    match kind {
        Kind::Postgres => {
            let columns = columns.iter().map(|column| column.postgres()).collect::<Vec<_>>().join(", ");
            format!("json_to_recordset({parameter}::json) AS {alias}({columns})")
        }
        Kind::Sqlite => {
            let columns = columns.iter().map(|column| format!("value ->> '{0}' AS {0}", column.name()));
            format!(
                "(SELECT {} FROM json_each({parameter})) AS {alias}",
                columns.collect::<Vec<_>>().join(", ")
            )
        }
    }
}

/// `INSERT INTO table (…) SELECT … FROM` the list in `$1`.
pub(super) fn insert(kind: Kind, table: &str, columns: &[Column]) -> String {
    let names = columns.iter().map(|column| column.name()).collect::<Vec<_>>().join(", ");
    format!("INSERT INTO {table} ({names}) SELECT {names} FROM {}", list(kind, "$1", "r", columns))
}

/// A list parameter.
pub(super) fn json<T: Serialize>(rows: &[T]) -> Value {
    // Rows are plain structs of texts and numbers: serde_json has nothing to refuse.
    Value::from(serde_json::to_string(rows).unwrap_or_default())
}

/// A statement for the database of a connection.
pub(super) fn statement<C: ConnectionTrait>(connection: &C, sql: &str, values: Vec<Value>) -> Statement {
    Statement::from_sql_and_values(connection.get_database_backend(), sql, values)
}
