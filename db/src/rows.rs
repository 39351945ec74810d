//! Many rows in one parameter: a statement keeps one text however many rows it inserts, so that the prepared statement
//! cache of a connection holds and a batch has few forms. Must not know tables.

use crate::Kind;

/// A column of an insert and how it is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Column {
    /// Text, or null.
    Text(&'static str),
    /// 64-bit integer, or null.
    Integer(&'static str),
    /// Bytes, given as lower-case hexadecimal text.
    Bytes(&'static str),
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Self::Text(name) | Self::Integer(name) | Self::Bytes(name) => name,
        }
    }

    fn sqlite(self) -> String {
        match self {
            Self::Bytes(name) => format!("unhex(r.value ->> '{name}')"),
            Self::Text(name) | Self::Integer(name) => format!("r.value ->> '{name}'"),
        }
    }

    fn postgres(self) -> String {
        match self {
            Self::Bytes(name) => format!("decode(r.{name}, 'hex')"),
            Self::Text(name) | Self::Integer(name) => format!("r.{name}"),
        }
    }

    fn postgres_type(self) -> String {
        match self {
            Self::Integer(name) => format!("{name} bigint"),
            Self::Text(name) | Self::Bytes(name) => format!("{name} text"),
        }
    }
}

/// `INSERT INTO table (…) SELECT …` over a JSON array of objects in `$1`, in the order of the array.
pub(crate) fn insert(kind: Kind, table: &str, columns: &[Column]) -> String {
    let join = |each: &dyn Fn(Column) -> String| {
        columns.iter().map(|column| each(*column)).collect::<Vec<_>>().join(", ")
    };
    let names = join(&|column| column.name().to_owned());
    match kind {
        Kind::Sqlite => {
            let values = join(&Column::sqlite);
            format!("INSERT INTO {table} ({names}) SELECT {values} FROM json_each($1) AS r")
        }
        Kind::Postgres => {
            let (values, types) = (join(&Column::postgres), join(&Column::postgres_type));
            format!(
                "INSERT INTO {table} ({names}) SELECT {values} FROM json_to_recordset($1::json) AS r({types})"
            )
        }
    }
}
