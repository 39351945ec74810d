//! The reading side of another service's feed: each event takes effect once, in order, and one that cannot be handled is
//! set aside with everything after it of the same key. Must not know what events mean nor how they are fetched.

use std::sync::Arc;

use caremesh_mesh::CallContext;
use sea_orm::{ConnectionTrait, QueryResult, Statement, Value};

use super::{FeedEvent, event};
use crate::tx::Work;
use crate::{Batch, Db, Error, Expect, Tx};

/// Failures of one event before it is set aside.
const ATTEMPTS: i64 = 8;

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// Handled now; the cursor moved over it in the same transaction.
    Handled,
    /// The cursor had passed it before: a feed tells at least once.
    Known,
    /// Handling failed this many times; bring it again later.
    Failed(i64),
    /// Set aside as a dead letter; the cursor moved over it.
    Dead,
}

/// An event that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The event.
    pub event: FeedEvent,
    /// `FAILED`, or `BEHIND` for one that follows a dead letter of its key.
    pub reason: String,
}

/// A named reader of one feed. Its cursor lives in its own service's database.
#[derive(Debug, Clone)]
pub struct Consumer {
    db: Db,
    name: Arc<str>,
    source: Arc<str>,
}

impl Consumer {
    /// A consumer `name` (`claims.settlement`) of the feed of `source` (`svc-policy`).
    #[must_use]
    pub fn new(db: &Db, name: &str, source: &str) -> Self {
        Self { db: db.clone(), name: name.into(), source: source.into() }
    }

    /// Place of the last event that was handled or set aside; 0 at the beginning. Ask the feed for what comes after.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn cursor(&self, context: &CallContext) -> Result<i64, Error> {
        let sql = "SELECT position FROM feed_cursor WHERE consumer = $1 AND source = $2";
        let row = self.db.read(context).query_one_raw(self.statement(sql, [])).await?;
        row.map_or(Ok(0), |row| Ok(row.try_get_by_index(0)?))
    }

    /// Handles one event in a transaction that also moves the cursor. Bring events in the order of the feed.
    ///
    /// After eight failures the event becomes a dead letter, and so does every later one of its key at once, because its
    /// order must hold when somebody releases it.
    ///
    /// # Errors
    /// When the database fails; a failure of `handle` is an answer, [`Received::Failed`].
    pub async fn receive<E, F>(
        &self,
        context: &CallContext,
        event: &FeedEvent,
        handle: F,
    ) -> Result<Received, Error>
    where
        E: From<Error> + std::fmt::Display + Send + 'static,
        F: for<'t> Fn(&'t Tx, &'t FeedEvent) -> Work<'t, (), E> + Send + Sync + 'static,
    {
        let (event, handle) = (Arc::new(event.clone()), Arc::new(handle));
        let (this, taken) = (self.clone(), Arc::clone(&event));
        let handled: Result<Received, E> = self
            .db
            .write(context, move |tx| {
                let (this, event, handle) = (this.clone(), Arc::clone(&taken), Arc::clone(&handle));
                Box::pin(async move {
                    if this.position_in(tx).await? >= event.position {
                        return Ok(Received::Known);
                    }
                    if this.is_behind_in(tx, &event).await? {
                        this.set_aside_in(tx, &event, "BEHIND").await?;
                        return Ok(Received::Dead);
                    }
                    handle(tx, &event).await?;
                    tx.apply(this.advance(tx, event.position)).await?;
                    Ok(Received::Handled)
                })
            })
            .await;
        match handled {
            Ok(received) => Ok(received),
            Err(error) => {
                let (id, kind) = (event.id, &event.event_type);
                tracing::warn!(error = %error, event.id = %id, event.kind = %kind, "an event could not be handled");
                self.count_failure(context, event).await
            }
        }
    }

    /// Dead letters, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn dead_letters(&self, context: &CallContext, limit: u32) -> Result<Vec<DeadLetter>, Error> {
        let sql = "SELECT position, event_id, event_type, ordering_key, revision, payload, trace_parent, episode, \
             event_at, reason FROM dead_letter WHERE consumer = $1 AND source = $2 ORDER BY position LIMIT $3";
        let rows =
            self.db.read(context).query_all_raw(self.statement(sql, [i64::from(limit).into()])).await?;
        rows.iter().map(dead_letter).collect()
    }

    /// Handles a dead letter again, and removes it when that succeeds. Release those of one key in their order.
    ///
    /// # Errors
    /// What `handle` returned; the letter then stays.
    pub async fn release<E, F>(&self, context: &CallContext, letter: &DeadLetter, handle: F) -> Result<(), E>
    where
        E: From<Error> + Send + 'static,
        F: for<'t> Fn(&'t Tx, &'t FeedEvent) -> Work<'t, (), E> + Send + Sync + 'static,
    {
        let (this, event, handle) = (self.clone(), Arc::new(letter.event.clone()), Arc::new(handle));
        self.db
            .write(context, move |tx| {
                let (this, event, handle) = (this.clone(), Arc::clone(&event), Arc::clone(&handle));
                Box::pin(async move {
                    handle(tx, &event).await?;
                    let sql = "DELETE FROM dead_letter WHERE consumer = $1 AND source = $2 AND position = $3";
                    let mut batch = Batch::new();
                    batch.push("dead_letter", sql, this.values([event.position.into()]), Expect::Rows(1));
                    tx.apply(batch).await?;
                    Ok(())
                })
            })
            .await
    }

    async fn count_failure(&self, context: &CallContext, event: Arc<FeedEvent>) -> Result<Received, Error> {
        let this = self.clone();
        self.db
            .write(context, move |tx| {
                let (this, event) = (this.clone(), Arc::clone(&event));
                Box::pin(async move {
                    this.position_in(tx).await?;
                    let sql = "UPDATE feed_cursor SET attempts = attempts + 1 WHERE consumer = $1 AND source = $2 \
                         RETURNING attempts";
                    let row = tx.query_one_raw(this.statement(sql, [])).await?;
                    let attempts = row.ok_or(Error::Corrupt("feed_cursor"))?.try_get_by_index(0)?;
                    if attempts < ATTEMPTS {
                        return Ok(Received::Failed(attempts));
                    }
                    this.set_aside_in(tx, &event, "FAILED").await?;
                    metrics::counter!("caremesh_db_dead_letters_total").increment(1);
                    Ok(Received::Dead)
                })
            })
            .await
    }

    /// The cursor inside the transaction, made at 0 when it is not there; locks it against a second reader of this name.
    async fn position_in(&self, tx: &Tx) -> Result<i64, Error> {
        let sql = "INSERT INTO feed_cursor (consumer, source, position, attempts, updated_at) \
             VALUES ($1, $2, 0, 0, $3) \
             ON CONFLICT (consumer, source) DO UPDATE SET position = feed_cursor.position RETURNING position";
        let row = tx.query_one_raw(self.statement(sql, [tx.now().as_micros().into()])).await?;
        Ok(row.ok_or(Error::Corrupt("feed_cursor"))?.try_get_by_index(0)?)
    }

    async fn is_behind_in(&self, tx: &Tx, event: &FeedEvent) -> Result<bool, Error> {
        let sql =
            "SELECT 1 FROM dead_letter WHERE consumer = $1 AND source = $2 AND ordering_key = $3 LIMIT 1";
        let key = event.ordering_key.as_str().into();
        Ok(tx.query_one_raw(self.statement(sql, [key])).await?.is_some())
    }

    async fn set_aside_in(&self, tx: &Tx, event: &FeedEvent, reason: &str) -> Result<(), Error> {
        let sql = "INSERT INTO dead_letter (consumer, source, position, event_id, event_type, ordering_key, revision, \
             payload, trace_parent, episode, event_at, reason, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
        let values = self.values([
            event.position.into(),
            event.id.to_string().into(),
            event.event_type.as_str().into(),
            event.ordering_key.as_str().into(),
            event.revision.into(),
            event.payload.clone().into(),
            event.trace_parent.clone().into(),
            event.episode.map(|episode| episode.to_string()).into(),
            event.at.as_micros().into(),
            reason.into(),
            tx.now().as_micros().into(),
        ]);
        let mut batch = self.advance(tx, event.position);
        batch.push("dead_letter", sql, values, Expect::Rows(1));
        tx.apply(batch).await.map(|_| ())
    }

    fn advance(&self, tx: &Tx, position: i64) -> Batch {
        let sql = "UPDATE feed_cursor SET position = $3, attempts = 0, updated_at = $4 \
             WHERE consumer = $1 AND source = $2 AND position < $3";
        let mut batch = Batch::new();
        let values = self.values([position.into(), tx.now().as_micros().into()]);
        batch.push("feed_cursor", sql, values, Expect::Rows(1));
        batch
    }

    fn values(&self, more: impl IntoIterator<Item = Value>) -> Vec<Value> {
        [Value::from(&*self.name), Value::from(&*self.source)].into_iter().chain(more).collect()
    }

    fn statement(&self, sql: &str, more: impl IntoIterator<Item = Value>) -> Statement {
        Statement::from_sql_and_values(self.db.kind().backend(), sql, self.values(more))
    }
}

fn dead_letter(row: &QueryResult) -> Result<DeadLetter, Error> {
    Ok(DeadLetter { event: event(row)?, reason: row.try_get_by_index(9)? })
}
