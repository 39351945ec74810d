//! The queue of a contended term: a source that lost several times in a row gets a turn during which the others wait.
//! Without it the source with the longest thinking time could lose for ever.

use caremesh_db::{Batch, Expect, Tx};
use caremesh_kernel::{Date, MemberId, TermId};
use sea_orm::ConnectionTrait as _;

use crate::domain::ledger::Source;
use crate::store::Error;
use caremesh_db::sql::statement;

/// A place in the queue is kept so long after the last loss, in microseconds: 3 s. A source that went away is passed over.
const KEPT_MICROS: i64 = 3_000_000;

const JOIN: &str = "INSERT INTO posting_queue (term_id, service, source, conflicts, since, until) \
     SELECT t.id, $3, $4, 1, $5, $6 FROM member m JOIN policy_term t ON t.policy_id = m.policy_id \
     WHERE m.id = $1 AND t.starts_on <= $2 AND $2 < t.ends_on \
     ON CONFLICT (term_id, service, source) DO UPDATE SET \
     conflicts = CASE WHEN posting_queue.until > $5 THEN posting_queue.conflicts + 1 ELSE 1 END, \
     since = CASE WHEN posting_queue.until > $5 THEN posting_queue.since ELSE $5 END, until = $6";

/// The source lost against others on the member's term of the day.
pub(crate) async fn join_queue(tx: &Tx, member: MemberId, day: Date, source: &Source) -> Result<(), Error> {
    let now = tx.now().as_micros();
    let values = vec![
        member.to_string().into(),
        day.to_string().into(),
        source.service.clone().into(),
        source.resource.clone().into(),
        now.into(),
        (now + KEPT_MICROS).into(),
    ];
    tx.execute_raw(statement(tx, JOIN, values)).await?;
    Ok(())
}

/// The source has posted: it leaves the queue with the posting itself.
pub(crate) fn leave_queue(term: TermId, source: &Source) -> Batch {
    let mut batch = Batch::new();
    let values = vec![term.to_string().into(), source.service.clone().into(), source.resource.clone().into()];
    let sql = "DELETE FROM posting_queue WHERE term_id = $1 AND service = $2 AND source = $3";
    batch.push("posting_queue", sql, values, Expect::Any);
    batch
}
