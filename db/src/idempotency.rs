//! The same request_id gives the same effect once and the same answer always. The row is written in the business
//! transaction, so there is no moment with the effect and without the row. Must not know what requests ask for.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use caremesh_mesh::CallContext;
use futures::future::BoxFuture;
use prost::Message;
use sea_orm::{ConnectionTrait, Statement};

use crate::keys::{Secrets, framed};
use crate::own::Terms;
use crate::tx::Work;
use crate::{Batch, Db, Error, Expect, Tx};

/// How long a row is kept: 30 days in microseconds. Money is guarded for ever by the ledger's own unique key.
pub const KEPT_MICROS: i64 = 30 * 24 * 3_600 * 1_000_000;

/// What a changing call answers, and which record it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered<T> {
    /// Id of the record that was changed.
    pub resource: String,
    /// Its version after the change.
    pub version: i64,
    /// The answer.
    pub answer: T,
}

/// A repeated request whose first answer is about to be given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Id of the record that the first call changed.
    pub resource: String,
    /// Its version after that change.
    pub version: i64,
}

/// Who intends what, under which name: known before the transaction begins.
#[derive(Debug, Clone)]
pub(crate) struct Intent {
    caller: String,
    method: String,
    request_id: String,
    body_mac: Vec<u8>,
    secrets: Secrets,
}

type Key = (String, String, String);

/// Intents being worked on in this process.
#[derive(Debug, Default)]
pub(crate) struct Running(Mutex<HashSet<Key>>);

/// Takes an intent out of [`Running`] when its transaction is over, whoever still waits for it.
pub(crate) struct Turn {
    db: Db,
    key: Key,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut running = self.db.inner.running.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.remove(&self.key);
    }
}

impl Db {
    /// [`Db::write`] for a call that carries a request_id: `work` takes effect at most once per (caller, method,
    /// request_id), and its answer is kept, encrypted, for 30 days.
    ///
    /// Nothing is looked up beforehand: the row is a statement of the business transaction, and only when that fails is the
    /// stored answer read. Let `work` call [`Tx::answer`] before its last [`Tx::apply`], and the row costs no round trip.
    ///
    /// A repetition calls `on_replay` first, which checks access to the record anew and reports it as touched; only when it
    /// agrees is the first answer given again.
    ///
    /// # Errors
    /// What `work` or `on_replay` returned; [`Error::RequestIdReused`] for another body under the same id;
    /// [`Error::RequestInProgress`] while the first call is running; otherwise as [`Db::write`].
    pub async fn idempotent<R, T, E, F, C>(
        &self,
        context: &CallContext,
        request_id: &str,
        request: &R,
        work: F,
        on_replay: C,
    ) -> Result<T, E>
    where
        R: Message,
        T: Message + Default + 'static,
        E: From<Error> + Send + 'static,
        F: for<'t> Fn(&'t Tx) -> Work<'t, Answered<T>, E> + Send + Sync + 'static,
        C: for<'c> FnOnce(&'c CallContext, Replay) -> BoxFuture<'c, Result<(), E>> + Send,
    {
        let intent = Arc::new(self.intent(context, request_id, request)?);
        let turn = self.take_turn(&intent)?;
        let terms = Terms { intent: Some(Arc::clone(&intent)), _turn: Some(turn) };
        let failed = match self.write_under(context, terms, answering(work)).await {
            Ok(answered) => return Ok(answered.answer),
            Err(error) => error,
        };
        let Some(stored) = self.find_answer(context, &intent).await? else { return Err(failed) };
        if stored.body_mac != intent.body_mac {
            return Err(Error::RequestIdReused.into());
        }
        on_replay(context, Replay { resource: stored.resource, version: stored.version }).await?;
        metrics::counter!("caremesh_db_replays_total").increment(1);
        let plain = intent.secrets.open_answer(&intent.seal_context(), &stored.sealed_answer)?;
        Ok(T::decode(plain.as_slice()).map_err(|_| Error::Corrupt("stored answer"))?)
    }

    fn intent<R: Message>(
        &self,
        context: &CallContext,
        request_id: &str,
        request: &R,
    ) -> Result<Intent, Error> {
        let secrets = self.inner.parts.secrets.clone();
        let secrets = secrets.ok_or_else(|| Error::Config("secrets: needed for request ids".to_owned()))?;
        // An issuer's subject may be somebody's name, so the caller is kept as a keyed hash.
        let caller = hex::encode(secrets.request_mac(&[context.principal().caller_key().as_bytes()]));
        let method = context.method().path.clone();
        let body_mac = secrets.request_mac(&[method.as_bytes(), &request.encode_to_vec()]);
        Ok(Intent { caller, method, request_id: request_id.to_owned(), body_mac, secrets })
    }

    /// Whether the body is another one is not asked here: a first call that is refused leaves its id free, so only a stored
    /// answer can say that the id was used.
    fn take_turn(&self, intent: &Intent) -> Result<Turn, Error> {
        let mut running = self.inner.running.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = intent.key();
        if !running.insert(key.clone()) {
            return Err(Error::RequestInProgress);
        }
        Ok(Turn { db: self.clone(), key })
    }

    /// On the read pool: the transaction is over, and a first call on another replica has committed before ours was refused.
    async fn find_answer(&self, context: &CallContext, intent: &Intent) -> Result<Option<Stored>, Error> {
        let values =
            [intent.caller.as_str().into(), intent.method.as_str().into(), intent.request_id.as_str().into()];
        let statement = Statement::from_sql_and_values(self.kind().backend(), FIND, values);
        let Some(row) = self.read(context).query_one_raw(statement).await? else { return Ok(None) };
        Ok(Some(Stored {
            body_mac: row.try_get_by_index(0)?,
            resource: row.try_get_by_index(1)?,
            version: row.try_get_by_index(2)?,
            sealed_answer: row.try_get_by_index(3)?,
        }))
    }

    /// Removes at most `limit` rows older than 30 days; returns how many. Call again while it returns `limit`.
    ///
    /// # Errors
    /// As [`Db::write`].
    pub async fn purge_idempotency(&self, context: &CallContext, limit: u32) -> Result<u64, Error> {
        self.write(context, move |tx| {
            Box::pin(async move {
                let oldest = tx.now().as_micros() - KEPT_MICROS;
                let values = [oldest.into(), i64::from(limit).into()];
                let statement = Statement::from_sql_and_values(tx.kind().backend(), PURGE, values);
                Ok::<_, Error>(tx.execute_raw(statement).await?.rows_affected())
            })
        })
        .await
    }
}

const FIND: &str = "SELECT body_hmac, resource_id, resource_version, answer FROM idempotency \
     WHERE caller = $1 AND method = $2 AND request_id = $3";

const INSERT: &str = "INSERT INTO idempotency \
     (caller, method, request_id, body_hmac, resource_id, resource_version, answer, created_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

const PURGE: &str = "DELETE FROM idempotency WHERE (caller, method, request_id) IN \
     (SELECT caller, method, request_id FROM idempotency WHERE created_at < $1 ORDER BY created_at LIMIT $2)";

struct Stored {
    body_mac: Vec<u8>,
    resource: String,
    version: i64,
    sealed_answer: Vec<u8>,
}

/// Writes the row after `work` when `work` has not done so itself.
fn answering<T, E, F>(work: F) -> impl for<'t> Fn(&'t Tx) -> Work<'t, Answered<T>, E> + Send + Sync + 'static
where
    T: Message + 'static,
    E: From<Error> + Send + 'static,
    F: for<'t> Fn(&'t Tx) -> Work<'t, Answered<T>, E> + Send + Sync + 'static,
{
    move |tx| {
        let working = work(tx);
        Box::pin(async move {
            let answered = working.await?;
            if !tx.has_answered() {
                tx.answer(&answered)?;
            }
            Ok(answered)
        })
    }
}

impl Intent {
    fn key(&self) -> Key {
        (self.caller.clone(), self.method.clone(), self.request_id.clone())
    }

    /// A sealed answer opens only as the answer to its own request.
    fn seal_context(&self) -> Vec<u8> {
        framed(&[b"idempotency", self.caller.as_bytes(), self.method.as_bytes(), self.request_id.as_bytes()])
    }

    fn row<T: Message>(&self, answered: &Answered<T>, now_micros: i64) -> Result<Batch, Error> {
        let sealed = self.secrets.seal_answer(&self.seal_context(), &answered.answer.encode_to_vec())?;
        let values = vec![
            self.caller.as_str().into(),
            self.method.as_str().into(),
            self.request_id.as_str().into(),
            self.body_mac.clone().into(),
            answered.resource.as_str().into(),
            answered.version.into(),
            sealed.into(),
            now_micros.into(),
        ];
        let mut batch = Batch::new();
        batch.push("idempotency", INSERT, values, Expect::Rows(1));
        Ok(batch)
    }
}

impl Tx {
    /// Makes the answer part of the next [`Tx::apply`]. Only inside [`Db::idempotent`], and once.
    ///
    /// # Errors
    /// [`Error::Config`] outside [`Db::idempotent`].
    pub fn answer<T: Message>(&self, answered: &Answered<T>) -> Result<(), Error> {
        let intent =
            self.intent().ok_or_else(|| Error::Config("answer() outside of idempotent()".to_owned()))?;
        self.defer(intent.row(answered, self.now().as_micros())?);
        self.set_answered();
        Ok(())
    }
}
