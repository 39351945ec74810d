//! Statements outside a transaction, on the read pool and within the deadline of the call.
//! Must not know what is read.

use std::future::Future;

use async_trait::async_trait;
use caremesh_mesh::{CallContext, Deadline};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, Statement};

use crate::error::out_of_time;
use crate::{Db, Kind, observe};

/// Is told now and then how much of a long work is done, and how much there is.
pub type Progress<'a> = &'a (dyn Fn(i64, i64) + Send + Sync);

/// The read pool as one call may use it: every statement ends with the call's deadline. A reader cannot write; the
/// connections refuse it.
#[derive(Debug)]
pub struct Reader {
    pool: DatabaseConnection,
    kind: Kind,
    deadline: Deadline,
}

impl Db {
    /// The read pool for this call. Each statement sees what is committed when it starts.
    #[must_use]
    pub fn read(&self, context: &CallContext) -> Reader {
        self.read_until(context.deadline())
    }

    /// The read pool for work of this crate that has no call, bounded all the same.
    pub(crate) fn read_until(&self, deadline: Deadline) -> Reader {
        Reader { pool: self.inner.read.clone(), kind: self.inner.kind, deadline }
    }
}

impl Reader {
    /// Which database is read.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Dropping a read that is on its way is harmless: there is no transaction, and the pool waits for its answer before
    /// it lends the connection again.
    async fn bounded<T>(&self, sql: &str, work: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        let bounded = tokio::time::timeout_at(self.deadline.instant(), work);
        observe::statement(self.kind, sql, async { bounded.await.unwrap_or_else(|_| Err(out_of_time())) })
            .await
    }
}

#[async_trait]
impl ConnectionTrait for Reader {
    fn get_database_backend(&self) -> DbBackend {
        self.kind.backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let sql = statement.sql.clone();
        self.bounded(&sql, self.pool.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.bounded(sql, self.pool.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let sql = statement.sql.clone();
        self.bounded(&sql, self.pool.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let sql = statement.sql.clone();
        self.bounded(&sql, self.pool.query_all_raw(statement)).await
    }
}
