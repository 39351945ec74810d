//! Reading for a price: accounts as they stand at an instant, with holds that time has ended counted as given back, and
//! who drew on them before. One statement each way: from the balances for now, from the journal for an instant gone by.

use caremesh_db::Kind;
use caremesh_kernel::{AccountId, EventId, MemberId, Timestamp};
use sea_orm::{ConnectionTrait, Value};

use super::read_sql::{Kin, WANTED, accounts, draws, row_of};
use super::rows::{ACCOUNT, AccountRow, DrawRow, LAYER, LayerRow};
use super::{convert, texts};
use crate::domain::account::{Account, CauseId, Grant, PriorDraw};
use crate::domain::ledger::Event;
use crate::store::Error;
use caremesh_db::sql::{Column, among, each_id, ids, object, parse, tagged};

/// Accounts that have a row, and draws on those that were asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    /// The accounts, in the order of their ids.
    pub(crate) accounts: Vec<Account>,
    /// Who drew on them.
    pub(crate) draws: Vec<PriorDraw>,
}

/// Whose earlier draws are asked for, and on which accounts: those of the event, and of its member for the same cause.
#[derive(Clone, Debug)]
pub(crate) struct DrawsAsked {
    /// The accounts.
    pub(crate) accounts: Vec<AccountId>,
    /// The event.
    pub(crate) event: EventId,
    /// Its member.
    pub(crate) member: MemberId,
    /// Relatedness of its illness.
    pub(crate) cause: Option<CauseId>,
}

/// Accounts as they stand now.
pub(crate) async fn now<C: ConnectionTrait>(
    connection: &C,
    kind: Kind,
    wanted: &[AccountId],
    asked: Option<&DrawsAsked>,
    now: Timestamp,
) -> Result<Stored, Error> {
    read(connection, kind, &texts::of(kind).snapshot_now, wanted, asked, now).await
}

/// Accounts as they were known at an instant gone by: the journal up to it, folded.
pub(crate) async fn as_of<C: ConnectionTrait>(
    connection: &C,
    kind: Kind,
    wanted: &[AccountId],
    asked: Option<&DrawsAsked>,
    instant: Timestamp,
) -> Result<Stored, Error> {
    read(connection, kind, &texts::of(kind).snapshot_then, wanted, asked, instant).await
}

/// `$1` accounts, `$2` those whose draws are wanted, `$3` now; `$4` event, `$5` member, `$6` cause.
pub(super) fn now_view(kind: Kind) -> String {
    format!("{} {} UNION ALL {} UNION ALL {}", with(kind), accounts(kind), layers_now(kind), drawn(kind))
}

/// As [`now_view`], `$3` the instant.
pub(super) fn then_view(kind: Kind) -> String {
    format!(
        "{} {} UNION ALL {} UNION ALL {}",
        with(kind),
        accounts_then(kind),
        layers_then(kind),
        drawn(kind)
    )
}

fn drawn(kind: Kind) -> String {
    draws(kind, &each_id(kind, "$2"), &Kin { event: "$4", member: "$5", cause: "$6" }, "$3")
}

async fn read<C: ConnectionTrait>(
    connection: &C,
    kind: Kind,
    sql: &str,
    wanted: &[AccountId],
    asked: Option<&DrawsAsked>,
    instant: Timestamp,
) -> Result<Stored, Error> {
    let nobody = || [ids::<AccountId>(kind, &[]), "".into(), "".into()];
    let [drawn, event, cause] = asked.map_or_else(nobody, |asked| asked.values(kind));
    let member = asked.map(|asked| asked.member.to_string()).unwrap_or_default();
    let values = vec![ids(kind, wanted), drawn, instant.as_micros().into(), event, member.into(), cause];
    let (mut accounts, mut layers, mut draws): (Vec<AccountRow>, Vec<LayerRow>, Vec<DrawRow>) =
        Default::default();
    for (tag, body) in tagged(connection, sql, values).await? {
        match tag.as_str() {
            "account" => accounts.push(parse(&body)?),
            "layer" => layers.push(parse(&body)?),
            "draw" => draws.push(parse(&body)?),
            _ => return Err(Error::Corrupt("an unknown arm of a statement")),
        }
    }
    Ok(Stored { accounts: convert::accounts(accounts, layers)?, draws: convert::draws(draws) })
}

impl DrawsAsked {
    /// What an event that restores something must know; none when it restores nothing.
    pub(crate) fn by<'g>(event: &Event, grants: impl Iterator<Item = &'g Grant>) -> Option<Self> {
        let accounts: Vec<AccountId> = grants.map(|grant| grant.account.id()).collect();
        let asked = Self { accounts, event: event.id, member: event.member, cause: event.cause.clone() };
        (!asked.accounts.is_empty()).then_some(asked)
    }

    /// Accounts, event and cause as parameters; the member goes apart, because a posting names it anyway.
    pub(super) fn values(&self, kind: Kind) -> [Value; 3] {
        let cause = self.cause.clone().map(|cause| cause.0).unwrap_or_default();
        [ids(kind, &self.accounts), self.event.to_string().into(), cause.into()]
    }
}

fn with(kind: Kind) -> String {
    format!("WITH wanted AS ({})", each_id(kind, "$1"))
}

/// What the holds of a layer keep that time has ended and nobody has released yet.
const ENDED: &str = "COALESCE((SELECT SUM(g.amount - g.captured - g.released) FROM hold_leg g JOIN hold h ON h.id = g.hold_id \
     WHERE g.account_id = l.account_id AND g.layer_id = l.id AND g.captured + g.released < g.amount \
     AND h.state = 'OPEN' AND h.expires_at <= $3), 0)";

fn layers_now(kind: Kind) -> String {
    let reserved = format!("CAST(l.reserved - {ENDED} AS BIGINT)");
    let row = layer(kind, &[("reserved", &reserved)]);
    let wanted = among(kind, "l.account_id", WANTED);
    format!("SELECT 'layer' AS tag, {row} AS body FROM layer l WHERE {wanted}")
}

/// A layer's columns, some of them replaced by an expression.
fn layer(kind: Kind, replaced: &[(&str, &str)]) -> String {
    let names: Vec<(&str, String)> =
        LAYER.iter().map(|column| (column.name(), format!("l.{}", column.name()))).collect();
    let value = |name: &str, column: &'_ String| {
        replaced
            .iter()
            .find(|(other, _)| *other == name)
            .map_or(column.clone(), |(_, expression)| (*expression).to_owned())
    };
    let values: Vec<(&str, String)> =
        names.iter().map(|(name, column)| (*name, value(name, column))).collect();
    let pairs: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    object(kind, &pairs)
}

/// An account then: its version is the number of postings that had moved it.
fn accounts_then(kind: Kind) -> String {
    let columns: Vec<Column> = ACCOUNT.iter().copied().filter(|column| column.name() != "version").collect();
    let inner = row_of(kind, "a", &columns);
    let version = "(SELECT COUNT(DISTINCT k.posting_id) FROM posting_leg k WHERE k.account_id = a.id AND k.posted_at <= $3)";
    let row = with_version(&inner, version, kind);
    let wanted = among(kind, "a.id", WANTED);
    format!(
        "SELECT 'account' AS tag, {row} AS body FROM account a WHERE {wanted} \
         AND EXISTS (SELECT 1 FROM posting_leg k WHERE k.account_id = a.id AND k.posted_at <= $3)"
    )
}

fn with_version(object: &str, version: &str, kind: Kind) -> String {
    match kind {
        Kind::Postgres => {
            object.replacen("json_build_object(", &format!("json_build_object('version', {version}, "), 1)
        }
        Kind::Sqlite => object.replacen("json_object(", &format!("json_object('version', {version}, "), 1),
    }
}

/// A layer then: its journal up to the instant; what an expired hold reserved counts as given back.
fn layers_then(kind: Kind) -> String {
    let replaced = [
        ("granted", "l.granted"),
        ("reserved", "l.reserved"),
        ("used", "l.used"),
        ("overdrawn", "l.overdrawn"),
    ];
    let row = layer(kind, &replaced);
    let wanted = among(kind, "y.account_id", WANTED);
    format!(
        "SELECT 'layer' AS tag, {row} AS body FROM (SELECT y.id, y.account_id, y.kind, y.ordinal, \
         CAST(SUM(k.granted) AS BIGINT) AS granted, \
         CAST(SUM(CASE WHEN h.expires_at <= $3 THEN 0 ELSE k.reserved END) AS BIGINT) AS reserved, \
         CAST(SUM(k.used) AS BIGINT) AS used, CAST(SUM(k.overdrawn) AS BIGINT) AS overdrawn, \
         y.valid_from, y.valid_until, y.waiting_from, y.draw_order \
         FROM layer y JOIN posting_leg k ON k.layer_id = y.id AND k.account_id = y.account_id AND k.posted_at <= $3 \
         LEFT JOIN hold h ON h.id = k.hold_id \
         WHERE {wanted} \
         GROUP BY y.id, y.account_id, y.kind, y.ordinal, y.valid_from, y.valid_until, y.waiting_from, y.draw_order) l"
    )
}
