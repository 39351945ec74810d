//! The few words in which the two databases differ, so that every statement is written once. Lists of any length go
//! into one parameter as JSON: a statement keeps one text, and a connection's prepared statements stay few. Must not know
//! tables.

use sea_orm::{ConnectionTrait, Statement, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Kind};

/// A column of a list parameter and how it is stored.
#[derive(Clone, Copy, Debug)]
pub enum Column {
    /// Text, or null.
    Text(&'static str),
    /// A 64-bit integer, or null.
    Number(&'static str),
    /// Bytes, given as lower-case hexadecimal text.
    Bytes(&'static str),
}

impl Column {
    /// Its name, in the list and in the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text(name) | Self::Number(name) | Self::Bytes(name) => name,
        }
    }

    fn postgres(self) -> String {
        match self {
            Self::Number(name) => format!("{name} bigint"),
            Self::Text(name) | Self::Bytes(name) => format!("{name} text"),
        }
    }

    fn stored(self, kind: Kind, alias: &str) -> String {
        let given = format!("{alias}.{}", self.name());
        if matches!(self, Self::Bytes(_)) { bytes_of(kind, &given) } else { given }
    }
}

/// The list in a parameter as a table called `alias`; bytes are still hexadecimal text in it ([`bytes_of`]).
#[must_use]
pub fn list(kind: Kind, parameter: &str, alias: &str, columns: &[Column]) -> String {
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

/// Ids as one parameter: an array literal on PostgreSQL, whose planner expects few of them and looks each up, where of a
/// JSON list it expects a hundred and reads the whole table; a JSON list on SQLite.
#[must_use]
pub fn ids<T: std::fmt::Display>(kind: Kind, ids: &[T]) -> Value {
    let quote = if kind == Kind::Postgres { "" } else { "\"" };
    let items = ids.iter().map(|id| format!("{quote}{id}{quote}")).collect::<Vec<_>>().join(",");
    Value::from(if kind == Kind::Postgres { format!("{{{items}}}") } else { format!("[{items}]") })
}

/// The ids in a parameter as a query with the one column `id`.
#[must_use]
pub fn each_id(kind: Kind, parameter: &str) -> String {
    match kind {
        Kind::Postgres => format!("SELECT unnest({parameter}::text[]) AS id"),
        Kind::Sqlite => format!("SELECT value AS id FROM json_each({parameter})"),
    }
}

/// Whether a column is one of the ids that a query gives.
#[must_use]
pub fn among(kind: Kind, column: &str, query: &str) -> String {
    match kind {
        Kind::Postgres => format!("{column} = ANY (ARRAY({query}))"),
        Kind::Sqlite => format!("{column} IN ({query})"),
    }
}

/// `INSERT INTO table (…) SELECT … FROM` the list in `$1`, in its order.
#[must_use]
pub fn insert(kind: Kind, table: &str, columns: &[Column]) -> String {
    let names = columns.iter().map(|column| column.name()).collect::<Vec<_>>().join(", ");
    let values = columns.iter().map(|column| column.stored(kind, "r")).collect::<Vec<_>>().join(", ");
    format!("INSERT INTO {table} ({names}) SELECT {values} FROM {}", list(kind, "$1", "r", columns))
}

/// A JSON object of pairs of name and expression, as text.
#[must_use]
pub fn object(kind: Kind, pairs: &[(&str, &str)]) -> String {
    let body = pairs.iter().map(|(name, value)| format!("'{name}', {value}")).collect::<Vec<_>>().join(", ");
    match kind {
        Kind::Postgres => format!("json_build_object({body})::text"),
        Kind::Sqlite => format!("json_object({body})"),
    }
}

/// A list parameter.
#[must_use]
pub fn json<T: Serialize>(rows: &[T]) -> Value {
    // Rows are plain structs of texts and numbers: serde_json has nothing to refuse.
    Value::from(serde_json::to_string(rows).unwrap_or_default())
}

/// A statement for the database of a connection.
#[must_use]
pub fn statement<C: ConnectionTrait>(connection: &C, sql: &str, values: Vec<Value>) -> Statement {
    Statement::from_sql_and_values(connection.get_database_backend(), sql, values)
}

/// Rows of several shapes in one answer: each a tag and a JSON object.
///
/// # Errors
/// When the database cannot be read.
pub async fn tagged<C: ConnectionTrait>(
    connection: &C,
    sql: &str,
    values: Vec<Value>,
) -> Result<Vec<(String, String)>, Error> {
    let rows = connection.query_all_raw(statement(connection, sql, values)).await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).collect()
}

/// A JSON object of a statement as a row.
///
/// # Errors
/// [`Error::Corrupt`] when it has another shape.
pub fn parse<T: DeserializeOwned>(body: &str) -> Result<T, Error> {
    serde_json::from_str(body).map_err(|_| Error::Corrupt("a row is not what its table says"))
}

/// Bytes inside a JSON object, as lower-case hexadecimal text.
#[must_use]
pub fn hex_of(kind: Kind, column: &str) -> String {
    match kind {
        Kind::Postgres => format!("encode({column}, 'hex')"),
        Kind::Sqlite => format!("lower(hex({column}))"),
    }
}

/// Bytes out of hexadecimal text in a list parameter.
#[must_use]
pub fn bytes_of(kind: Kind, text: &str) -> String {
    match kind {
        Kind::Postgres => format!("decode({text}, 'hex')"),
        Kind::Sqlite => format!("unhex({text})"),
    }
}
