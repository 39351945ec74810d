//! Several data-changing statements as one round trip: a posting must not pay a network trip per row it touches.
//! Must not know tables; statements bring their SQL.
//!
//! On PostgreSQL the statements become the CTEs of one statement. They all see the same snapshot, so no statement sees what
//! another one of the batch changed, and no row may be changed by two of them. On SQLite, where a statement costs no trip,
//! they run one after the other. Write every batch so that both readings give the same result.

use std::borrow::Cow;

use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};

use crate::Error;

/// How many rows a statement has to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Exactly this many; anything else is [`Error::Stale`] and rolls the transaction back.
    Rows(u64),
    /// Any number.
    Any,
}

#[derive(Debug, Clone)]
struct Part {
    label: &'static str,
    sql: String,
    values: Vec<Value>,
    expect: Expect,
}

/// Data-changing statements that succeed or fail together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    parts: Vec<Part>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds INSERT, UPDATE or DELETE text with placeholders `$1`, `$2`, … on both databases and no RETURNING clause.
    ///
    /// `label` names the statement in [`Error::Stale`]: a fixed word, never data.
    pub fn push(
        &mut self,
        label: &'static str,
        sql: impl Into<String>,
        values: Vec<Value>,
        expect: Expect,
    ) -> &mut Self {
        self.parts.push(Part { label, sql: sql.into(), values, expect });
        self
    }

    /// Adds a statement that sea-query or sea-orm built for the backend of this transaction. A `?` placeholder of SQLite is
    /// bound by its place, as sea-query means it.
    pub fn push_built(&mut self, label: &'static str, statement: Statement, expect: Expect) -> &mut Self {
        let values = statement.values.map(|values| values.0).unwrap_or_default();
        self.push(label, statement.sql, values, expect)
    }

    /// Takes over all statements of `other`, after the own ones.
    pub fn append(&mut self, mut other: Self) -> &mut Self {
        self.parts.append(&mut other.parts);
        self
    }

    /// Number of statements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Runs the batch and returns the rows changed, one count per statement in their order.
    ///
    /// # Errors
    /// [`Error::Stale`] when a count is not the expected one; what the database refused otherwise.
    pub(crate) async fn run_on<C: ConnectionTrait>(&self, connection: &C) -> Result<Vec<u64>, Error> {
        if self.parts.is_empty() {
            return Ok(Vec::new());
        }
        match connection.get_database_backend() {
            DbBackend::Postgres => self.run_as_one(connection).await,
            _ => self.run_in_turn(connection).await,
        }
    }

    async fn run_in_turn<C: ConnectionTrait>(&self, connection: &C) -> Result<Vec<u64>, Error> {
        let mut counts = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let statement = Statement::from_sql_and_values(DbBackend::Sqlite, &part.sql, part.values.clone());
            let changed = connection.execute_raw(statement).await?.rows_affected();
            part.check(changed)?;
            counts.push(changed);
        }
        Ok(counts)
    }

    async fn run_as_one<C: ConnectionTrait>(&self, connection: &C) -> Result<Vec<u64>, Error> {
        let row =
            connection.query_one_raw(self.as_one()).await?.ok_or(Error::Corrupt("batch without counts"))?;
        let mut counts = Vec::with_capacity(self.parts.len());
        for (index, part) in self.parts.iter().enumerate() {
            let changed: i64 = row.try_get_by_index(index)?;
            let changed = u64::try_from(changed).map_err(|_| Error::Corrupt("negative count"))?;
            part.check(changed)?;
            counts.push(changed);
        }
        Ok(counts)
    }

    /// `WITH s0 AS (… RETURNING 1), s1 AS (…) SELECT (SELECT count(*) FROM s0), …`
    fn as_one(&self) -> Statement {
        let mut ctes = Vec::with_capacity(self.parts.len());
        let mut counts = Vec::with_capacity(self.parts.len());
        let mut values = Vec::new();
        for (index, part) in self.parts.iter().enumerate() {
            ctes.push(format!("s{index} AS ({} RETURNING 1)", renumber(&part.sql, values.len())));
            counts.push(format!("(SELECT count(*) FROM s{index})"));
            values.extend(part.values.iter().cloned());
        }
        let sql = format!("WITH {} SELECT {}", ctes.join(", "), counts.join(", "));
        Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
    }
}

impl Part {
    fn check(&self, changed: u64) -> Result<(), Error> {
        match self.expect {
            Expect::Rows(expected) if expected != changed => {
                Err(Error::Stale { statement: self.label, changed, expected })
            }
            _ => Ok(()),
        }
    }
}

/// Raises every `$n` by `offset`, except inside quotes: a quoted `'$1'` is text.
fn renumber(sql: &str, offset: usize) -> String {
    let mut out = String::with_capacity(sql.len() + 16);
    let mut rest = sql;
    while let Some(at) = rest.find(['$', '\'', '"']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let (piece, after) = if from.starts_with('$') { parameter(from, offset) } else { quoted(from) };
        out.push_str(&piece);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The placeholder that a text begins with, raised, and what follows it.
fn parameter(text: &str, offset: usize) -> (Cow<'_, str>, &str) {
    let end = text[1..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |digits| digits + 1);
    let (own, after) = text.split_at(end);
    let raised = own[1..].parse::<usize>().map(|number| format!("${}", number + offset));
    (raised.map_or(Cow::Borrowed(own), Cow::Owned), after)
}

/// The quoted text that a text begins with, as it is, and what follows it.
fn quoted(text: &str) -> (Cow<'_, str>, &str) {
    let (open, inside) = text.split_at(1);
    let end = inside.find(open).map_or(text.len(), |close| close + 2);
    let (own, after) = text.split_at(end);
    (Cow::Borrowed(own), after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_renumbered_across_statements_but_not_inside_quotes() {
        let mut batch = Batch::new();
        batch.push("one", "INSERT INTO a VALUES ($1, $2)", vec![1.into(), 2.into()], Expect::Rows(1));
        batch.push(
            "two",
            "UPDATE b SET x = $2, note = 'costs $1', \"$1\" = 0 WHERE y = $1",
            vec![3.into(), 4.into()],
            Expect::Any,
        );
        let statement = batch.as_one();
        assert_eq!(
            statement.sql,
            "WITH s0 AS (INSERT INTO a VALUES ($1, $2) RETURNING 1), \
             s1 AS (UPDATE b SET x = $4, note = 'costs $1', \"$1\" = 0 WHERE y = $3 RETURNING 1) \
             SELECT (SELECT count(*) FROM s0), (SELECT count(*) FROM s1)"
        );
        assert_eq!(statement.values.expect("values").0.len(), 4);
    }

    #[test]
    fn a_count_that_differs_names_the_statement() {
        let part = Part { label: "account", sql: String::new(), values: Vec::new(), expect: Expect::Rows(2) };
        let error = part.check(1).expect_err("one row is not two");
        assert_eq!(error.to_string(), "statement account changed 1 rows, expected 2");
        assert!(part.check(2).is_ok());
    }
}
