//! Holds that time has ended and nobody has touched since.

use caremesh_kernel::{Date, HoldId, MemberId, Timestamp};
use sea_orm::ConnectionTrait;

use crate::store::{Error, parse_id};
use caremesh_db::sql::statement;

/// An expired hold and the event it was for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) hold: HoldId,
    pub(crate) member: MemberId,
    pub(crate) day: Date,
}

/// Expired holds that are still open, the longest expired first.
pub(crate) async fn due<C: ConnectionTrait>(c: &C, now: Timestamp, limit: u32) -> Result<Vec<Due>, Error> {
    let sql = "SELECT h.id, h.member_id, h.event_date FROM hold h WHERE h.state = 'OPEN' AND h.expires_at <= $1 \
         ORDER BY h.expires_at, h.id LIMIT $2";
    let rows =
        c.query_all_raw(statement(c, sql, vec![now.as_micros().into(), i64::from(limit).into()])).await?;
    let read = |row: &sea_orm::QueryResult| {
        let day: String = row.try_get_by_index(2)?;
        Ok(Due {
            hold: parse_id(&row.try_get_by_index::<String>(0)?)?,
            member: parse_id(&row.try_get_by_index::<String>(1)?)?,
            day: day.parse().map_err(|_| Error::Corrupt("hold.event_date"))?,
        })
    };
    rows.iter().map(read).collect()
}
