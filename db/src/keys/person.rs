//! A data key per person and service. What it sealed can be read as long as it exists, and never again after it was
//! destroyed: that is how a person is erased from places that cannot be rewritten. Must not know which fields it seals.
//!
//! The store of these keys is its own database with its own, shorter-lived backups. A key is read once and then kept in
//! memory for five minutes at most, so a destroyed one is gone from every replica within that time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use caremesh_kernel::PersonId;
use caremesh_mesh::CallContext;
use moka::sync::Cache;
use sea_orm::{ConnectionTrait, QueryResult, Statement, Value};
use serde_json::json;
use zeroize::Zeroizing;

use super::provider::{KeyProvider, Wrapped, random_key};
use super::seal::{SealingKey, framed};
use crate::{Batch, Db, Error, Expect, Kind};

/// Persons whose keys may be in memory at a time.
const CACHED: u64 = 10_000;
/// How long a key may be in memory.
const CACHED_FOR: Duration = Duration::from_secs(300);
/// Layout of a sealed field: this byte, four bytes of key version, then nonce ‖ ciphertext ‖ tag.
const FORMAT: u8 = 1;
const HEADER_LEN: usize = 5;

/// Where a field is stored. A sealed value opens only there: it cannot be moved to another row or column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Table.
    pub table: &'a str,
    /// Column.
    pub column: &'a str,
    /// Id of the row.
    pub row: &'a str,
}

impl Field<'_> {
    fn context(&self, version: u32) -> Vec<u8> {
        let version = version.to_be_bytes();
        framed(&[self.table.as_bytes(), self.column.as_bytes(), self.row.as_bytes(), &version])
    }
}

/// A person's key in memory. A cheap clone; wiped with its last clone.
#[derive(Clone)]
pub struct PersonKey(Arc<BTreeMap<u32, SealingKey>>);

impl std::fmt::Debug for PersonKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("PersonKey").field("versions", &self.0.len()).finish_non_exhaustive()
    }
}

impl PersonKey {
    /// Seals a field with the newest version of the key.
    ///
    /// # Errors
    /// [`Error::Sealed`] when the cipher refuses.
    pub fn seal(&self, field: Field<'_>, plain: &[u8]) -> Result<Vec<u8>, Error> {
        let (version, key) = self.0.last_key_value().ok_or(Error::KeyDestroyed)?;
        let mut sealed = vec![FORMAT];
        sealed.extend_from_slice(&version.to_be_bytes());
        sealed.append(&mut key.seal(&field.context(*version), plain)?);
        Ok(sealed)
    }

    /// Opens a field.
    ///
    /// # Errors
    /// [`Error::KeyDestroyed`] when it was sealed with a version that is gone; [`Error::Sealed`] when it was changed, or
    /// stored elsewhere.
    pub fn open(&self, field: Field<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (header, body) = sealed.split_at_checked(HEADER_LEN).ok_or(Error::Sealed)?;
        let (FORMAT, Ok(version)) = (header[0], header[1..].try_into()) else { return Err(Error::Sealed) };
        let version = u32::from_be_bytes(version);
        self.0.get(&version).ok_or(Error::KeyDestroyed)?.open(&field.context(version), body)
    }
}

/// The keys of the persons that one service knows. A cheap clone.
#[derive(Clone)]
pub struct PersonKeys {
    db: Db,
    provider: Arc<dyn KeyProvider>,
    service: Arc<str>,
    cache: Cache<PersonId, PersonKey>,
}

impl std::fmt::Debug for PersonKeys {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("PersonKeys").field("service", &self.service).finish_non_exhaustive()
    }
}

impl PersonKeys {
    /// The keys of `service` in the key store `db`, whose schema is [`crate::migration::keys`].
    #[must_use]
    pub fn new(db: &Db, provider: Arc<dyn KeyProvider>, service: &str) -> Self {
        let cache = Cache::builder().max_capacity(CACHED).time_to_live(CACHED_FOR).build();
        Self { db: db.clone(), provider, service: service.into(), cache }
    }

    /// The person's key, made on first use.
    ///
    /// # Errors
    /// [`Error::KeyDestroyed`] for an erased person; otherwise when the key store or the provider fails.
    pub async fn key(&self, context: &CallContext, person: PersonId) -> Result<PersonKey, Error> {
        if let Some(key) = self.find(context, person).await? {
            return Ok(key);
        }
        self.make(context, person).await?;
        // Somebody else's may have been first, and an erased person gets none: what is stored counts.
        self.find(context, person).await?.ok_or(Error::KeyDestroyed)
    }

    /// The person's key, if there is one. At most one query, none when it is in memory.
    ///
    /// # Errors
    /// When the key store or the provider fails.
    pub async fn find(&self, context: &CallContext, person: PersonId) -> Result<Option<PersonKey>, Error> {
        Ok(self.find_many(context, &[person]).await?.remove(&person))
    }

    /// The keys of several persons with one query at most; persons without a key are left out.
    ///
    /// # Errors
    /// When the key store or the provider fails.
    pub async fn find_many(
        &self,
        context: &CallContext,
        persons: &[PersonId],
    ) -> Result<HashMap<PersonId, PersonKey>, Error> {
        let cached = persons.iter().filter_map(|person| Some((*person, self.cache.get(person)?)));
        let mut found: HashMap<PersonId, PersonKey> = cached.collect();
        let missing: Vec<PersonId> =
            persons.iter().filter(|person| !found.contains_key(person)).copied().collect();
        if missing.is_empty() {
            return Ok(found);
        }
        for (person, key) in self.load(context, &missing).await? {
            self.cache.insert(person, key.clone());
            found.insert(person, key);
        }
        Ok(found)
    }

    /// Adds a version of the person's key, which seals from now on; older versions still open.
    ///
    /// # Errors
    /// [`Error::KeyDestroyed`] when the person has no key; otherwise when the key store or the provider fails.
    pub async fn rotate(&self, context: &CallContext, person: PersonId) -> Result<PersonKey, Error> {
        self.cache.invalidate(&person);
        let key = self.find(context, person).await?.ok_or(Error::KeyDestroyed)?;
        let newest = key.0.keys().last().copied().unwrap_or_default();
        self.store(context, person, newest + 1).await?;
        self.cache.invalidate(&person);
        self.find(context, person).await?.ok_or(Error::KeyDestroyed)
    }

    /// Destroys the person's key in this service for ever and remembers it on the erasure list.
    ///
    /// # Errors
    /// When the key store fails; the key may then still exist, so do it again.
    pub async fn destroy(&self, context: &CallContext, person: PersonId) -> Result<(), Error> {
        self.replay_erasures(context, &[person]).await
    }

    /// Persons on the erasure list: kept outside with each backup, and replayed after a restore.
    ///
    /// # Errors
    /// When the key store cannot be read.
    pub async fn erasures(&self, context: &CallContext) -> Result<Vec<PersonId>, Error> {
        let sql = "SELECT person FROM erasure ORDER BY erased_at, person";
        let rows = self.db.read(context).query_all_raw(self.statement(sql, [])).await?;
        rows.iter().map(person_of).collect()
    }

    /// Destroys the keys of these persons, again if need be: after a restore of an older backup.
    ///
    /// # Errors
    /// When the key store fails.
    pub async fn replay_erasures(&self, context: &CallContext, persons: &[PersonId]) -> Result<(), Error> {
        let erased: Arc<str> = json!(persons).to_string().into();
        let this = self.clone();
        self.db
            .write(&context.apart(), move |tx| {
                let (this, erased) = (this.clone(), Arc::clone(&erased));
                Box::pin(async move {
                    let mut batch = Batch::new();
                    let ids = this.listed("$1");
                    let now = tx.now().as_micros();
                    let remember = format!(
                        "INSERT INTO erasure (person, erased_at) SELECT listed.id, $2 FROM {ids} WHERE true \
                         ON CONFLICT (person) DO NOTHING"
                    );
                    batch.push("erasure", remember, vec![(&*erased).into(), now.into()], Expect::Any);
                    let destroy =
                        format!("DELETE FROM data_key WHERE person IN (SELECT listed.id FROM {ids})");
                    batch.push("data_key", destroy, vec![(&*erased).into()], Expect::Any);
                    tx.apply(batch).await
                })
            })
            .await?;
        persons.iter().for_each(|person| self.cache.invalidate(person));
        self.scrub().await
    }

    /// Wraps at most `limit` keys anew whose key-encryption key is no longer the current one; returns how many. Call again
    /// until it returns 0, then the old key-encryption key may go.
    ///
    /// # Errors
    /// When the key store or the provider fails.
    pub async fn rewrap(&self, context: &CallContext, limit: u32) -> Result<u64, Error> {
        let sql =
            "SELECT person, version, kek, wrapped FROM data_key WHERE service = $1 AND kek <> $2 LIMIT $3";
        let values = [Value::from(&*self.service), self.provider.current().into(), i64::from(limit).into()];
        let rows = self.db.read(context).query_all_raw(self.statement(sql, values)).await?;
        let mut batch = Batch::new();
        for row in &rows {
            let (person, version, old) = wrapped_of(row)?;
            let bound = self.bound(person, version);
            let new = self.provider.wrap(&bound, &self.provider.unwrap(&bound, &old).await?).await?;
            let update = "UPDATE data_key SET kek = $4, wrapped = $5 \
                 WHERE person = $1 AND service = $2 AND version = $3 AND kek = $6";
            let key = [person.to_string().into(), Value::from(&*self.service), i64::from(version).into()];
            let values = key.into_iter().chain([new.kek.into(), new.bytes.into(), old.kek.into()]).collect();
            // One that was destroyed or wrapped anew meanwhile changes no row, and shall not come back.
            batch.push("data_key", update, values, Expect::Any);
        }
        let counts = self
            .db
            .write(&context.apart(), move |tx| {
                let batch = batch.clone();
                Box::pin(tx.apply(batch))
            })
            .await?;
        Ok(counts.into_iter().sum())
    }

    /// How many keys of this service are not wrapped with the current key-encryption key, and how many there are.
    ///
    /// # Errors
    /// When the key store cannot be read.
    pub async fn outdated(&self, context: &CallContext) -> Result<(i64, i64), Error> {
        let sql = "SELECT CAST(COALESCE(SUM(CASE WHEN kek <> $2 THEN 1 ELSE 0 END), 0) AS BIGINT), count(*) \
             FROM data_key WHERE service = $1";
        let values = [Value::from(&*self.service), self.provider.current().into()];
        let row = self.db.read(context).query_one_raw(self.statement(sql, values)).await?;
        let row = row.ok_or(Error::Corrupt("a count without a row"))?;
        Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))
    }

    async fn load(
        &self,
        context: &CallContext,
        persons: &[PersonId],
    ) -> Result<HashMap<PersonId, PersonKey>, Error> {
        let sql = format!(
            "SELECT person, version, kek, wrapped FROM data_key WHERE service = $1 \
             AND person IN (SELECT listed.id FROM {}) \
             AND NOT EXISTS (SELECT 1 FROM erasure WHERE erasure.person = data_key.person)",
            self.listed("$2")
        );
        let values = [Value::from(&*self.service), json!(persons).to_string().into()];
        let rows = self.db.read(context).query_all_raw(self.statement(&sql, values)).await?;
        let mut versions: HashMap<PersonId, BTreeMap<u32, SealingKey>> = HashMap::new();
        for row in &rows {
            let (person, version, wrapped) = wrapped_of(row)?;
            let bytes = self.provider.unwrap(&self.bound(person, version), &wrapped).await?;
            versions.entry(person).or_default().insert(version, SealingKey::new(&bytes)?);
        }
        Ok(versions.into_iter().map(|(person, keys)| (person, PersonKey(Arc::new(keys)))).collect())
    }

    async fn make(&self, context: &CallContext, person: PersonId) -> Result<(), Error> {
        self.store(context, person, 1).await
    }

    async fn store(&self, context: &CallContext, person: PersonId, version: u32) -> Result<(), Error> {
        let wrapped = self.provider.wrap(&self.bound(person, version), &random_key()?).await?;
        let sql = "INSERT INTO data_key (person, service, version, kek, wrapped, created_at) \
             SELECT CAST($1 AS TEXT), $2, $3, $4, $5, $6 WHERE NOT EXISTS (SELECT 1 FROM erasure WHERE person = $1) \
             ON CONFLICT (person, service, version) DO NOTHING";
        let (person, service) = (person.to_string(), Arc::clone(&self.service));
        self.db
            .write(&context.apart(), move |tx| {
                let (person, service, wrapped) = (person.clone(), Arc::clone(&service), wrapped.clone());
                Box::pin(async move {
                    let now = tx.now().as_micros();
                    let key: [Value; 3] = [person.into(), Value::from(&*service), i64::from(version).into()];
                    let stored: [Value; 3] = [wrapped.kek.into(), wrapped.bytes.into(), now.into()];
                    let mut batch = Batch::new();
                    batch.push("data_key", sql, key.into_iter().chain(stored).collect(), Expect::Any);
                    tx.apply(batch).await.map(|_| ())
                })
            })
            .await
    }

    /// A wrapped key opens only as the key of its person, service and version.
    fn bound(&self, person: PersonId, version: u32) -> Vec<u8> {
        let (person, version) = (person.to_string(), version.to_be_bytes());
        framed(&[b"data_key", person.as_bytes(), self.service.as_bytes(), &version])
    }

    /// A deleted row stays in the files until its page is cleaned: do that now.
    async fn scrub(&self) -> Result<(), Error> {
        let clean = match self.db.kind() {
            Kind::Sqlite => "PRAGMA wal_checkpoint(TRUNCATE)",
            Kind::Postgres => "VACUUM data_key",
        };
        self.db.inner.write.execute_unprepared(clean).await?;
        Ok(())
    }

    /// A table `listed(id)` of the JSON array of texts in a parameter.
    fn listed(&self, parameter: &str) -> String {
        match self.db.kind() {
            Kind::Sqlite => format!("(SELECT value AS id FROM json_each({parameter})) AS listed"),
            Kind::Postgres => {
                format!("(SELECT value AS id FROM jsonb_array_elements_text({parameter}::jsonb)) AS listed")
            }
        }
    }

    fn statement(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
        Statement::from_sql_and_values(self.db.kind().backend(), sql, values)
    }
}

fn person_of(row: &QueryResult) -> Result<PersonId, Error> {
    let text: String = row.try_get_by_index(0)?;
    text.parse().map_err(|_| Error::Corrupt("id of a person in the key store"))
}

fn wrapped_of(row: &QueryResult) -> Result<(PersonId, u32, Wrapped), Error> {
    let version: i64 = row.try_get_by_index(1)?;
    let version = u32::try_from(version).map_err(|_| Error::Corrupt("version of a data key"))?;
    let wrapped = Wrapped { kek: row.try_get_by_index(2)?, bytes: row.try_get_by_index(3)? };
    Ok((person_of(row)?, version, wrapped))
}
