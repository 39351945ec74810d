//! `caremesh verify ledger`: replays the journal and compares it with every balance, and checks what no constraint of the
//! database can see. It trusts the journal, because nobody can change it. Accounts are compared some at a time, each lot in
//! one statement and so at one instant: it may run beside a service that posts.

use caremesh_db::{Kind, Progress};
use sea_orm::ConnectionTrait;
use serde::Deserialize;

use crate::store::Error;
use caremesh_db::sql::{object, parse, statement, tagged};

/// One thing that does not add up.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Difference {
    /// What was compared, `layer.used`.
    pub check: String,
    /// Id of the account, layer, hold or posting.
    pub subject: String,
    /// What the balance says.
    pub stored: i64,
    /// What the journal says.
    pub journal: i64,
}

/// A layer whose use exceeds its limit, always with a recovery.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Overdrawn {
    /// The layer.
    pub layer: String,
    /// By how much.
    pub amount: i64,
    /// The last recovery of it.
    pub recovery: String,
}

/// What verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerReport {
    /// Postings that were replayed.
    pub postings: i64,
    /// Layers that were compared.
    pub layers: i64,
    /// Everything that does not add up; none in a sound ledger.
    pub differences: Vec<Difference>,
    /// Layers below their use.
    pub overdrawn: Vec<Overdrawn>,
}

impl LedgerReport {
    /// Whether everything adds up. An overdrawn layer with its recovery does.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Accounts compared in one statement: every check is about one account and never about two.
const LOT: usize = 500;
/// Sorts after every id, so that the last lot holds legs and holds of accounts that are not there, too.
const BEYOND: &str = "\u{10FFFF}";

/// Replays and compares; tells `progress` how many accounts are done. Reads only.
pub(crate) async fn verify<C: ConnectionTrait>(
    c: &C,
    kind: Kind,
    progress: Progress<'_>,
) -> Result<LedgerReport, Error> {
    in_lots_of(LOT, c, kind, progress).await
}

/// [`verify`], `size` accounts at a time.
pub(super) async fn in_lots_of<C: ConnectionTrait>(
    size: usize,
    c: &C,
    kind: Kind,
    progress: Progress<'_>,
) -> Result<LedgerReport, Error> {
    let mut report = LedgerReport {
        postings: count(c, "SELECT COUNT(*) FROM posting").await?,
        layers: count(c, "SELECT COUNT(*) FROM layer").await?,
        ..LedgerReport::default()
    };
    let accounts = count(c, "SELECT COUNT(*) FROM account").await?;
    let checks = checks(kind);
    let (mut after, mut done) = (String::new(), 0);
    loop {
        progress(done, accounts);
        let lot = accounts_after(c, &after, size).await?;
        let until = lot.get(size - 1).cloned().unwrap_or_else(|| BEYOND.to_owned());
        compare(c, &checks, &after, &until, &mut report).await?;
        if until == BEYOND {
            break;
        }
        after = until;
        done += i64::try_from(lot.len()).unwrap_or_default();
    }
    report.differences.sort_by(|a, b| (&a.check, &a.subject).cmp(&(&b.check, &b.subject)));
    report.overdrawn.sort_by(|a, b| a.layer.cmp(&b.layer));
    Ok(report)
}

async fn accounts_after<C: ConnectionTrait>(c: &C, after: &str, most: usize) -> Result<Vec<String>, Error> {
    let sql = format!("SELECT id FROM account WHERE id > $1 ORDER BY id LIMIT {most}");
    let rows = c.query_all_raw(statement(c, &sql, vec![after.into()])).await?;
    rows.iter().map(|row| Ok(row.try_get_by_index(0)?)).collect()
}

/// Compares the accounts between two ids, the first one not among them.
async fn compare<C: ConnectionTrait>(
    c: &C,
    checks: &str,
    after: &str,
    until: &str,
    report: &mut LedgerReport,
) -> Result<(), Error> {
    for (tag, body) in tagged(c, checks, vec![after.into(), until.into()]).await? {
        match tag.as_str() {
            "overdrawn" => report.overdrawn.push(parse(&body)?),
            _ => report.differences.push(parse(&body)?),
        }
    }
    Ok(())
}

async fn count<C: ConnectionTrait>(c: &C, sql: &str) -> Result<i64, Error> {
    let row =
        c.query_one_raw(statement(c, sql, vec![])).await?.ok_or(Error::Corrupt("a count without a row"))?;
    Ok(row.try_get_by_index(0)?)
}

fn checks(kind: Kind) -> String {
    let balances = ["granted", "reserved", "used", "overdrawn"].map(|column| balance(kind, column));
    let others = [
        stray_layers(kind),
        kept_by_holds(kind),
        too_much_reversed(kind),
        over_room(kind),
        without_recovery(kind),
        unlike_recovery(kind),
        overdrawn(kind),
    ];
    balances.into_iter().chain(others).collect::<Vec<_>>().join(" UNION ALL ")
}

/// Keeps a check to the accounts of one lot.
fn of_lot(row: &str) -> String {
    format!("{row}.account_id > $1 AND {row}.account_id <= $2")
}

fn difference(kind: Kind, check: &str, from: &str) -> String {
    let check = format!("'{check}'");
    let pairs = [
        ("check", check.as_str()),
        ("subject", "d.subject"),
        ("stored", "d.stored"),
        ("journal", "d.journal"),
    ];
    format!(
        "SELECT 'difference' AS tag, {} AS body FROM ({from}) d WHERE d.stored <> d.journal",
        object(kind, &pairs)
    )
}

/// Each balance of a layer is the sum of what was posted to it.
fn balance(kind: Kind, column: &str) -> String {
    let from = format!(
        "SELECT l.id AS subject, l.{column} AS stored, CAST(COALESCE((SELECT SUM(k.{column}) FROM posting_leg k \
         WHERE k.account_id = l.account_id AND k.layer_id = l.id), 0) AS BIGINT) AS journal FROM layer l WHERE {}",
        of_lot("l")
    );
    difference(kind, &format!("layer.{column}"), &from)
}

/// No leg moves a layer that is not there.
fn stray_layers(kind: Kind) -> String {
    let from = format!(
        "SELECT k.layer_id AS subject, 0 AS stored, COUNT(*) AS journal FROM posting_leg k \
         LEFT JOIN layer l ON l.id = k.layer_id AND l.account_id = k.account_id \
         WHERE l.id IS NULL AND {} GROUP BY k.layer_id",
        of_lot("k")
    );
    difference(kind, "leg.layer", &from)
}

/// What a layer reserves is what open holds keep of it.
fn kept_by_holds(kind: Kind) -> String {
    let kept =
        "CASE WHEN g.captured + g.released < g.amount THEN g.amount - g.captured - g.released ELSE 0 END";
    let from = format!(
        "SELECT l.id AS subject, l.reserved AS stored, CAST(COALESCE((SELECT SUM({kept}) FROM hold_leg g \
         WHERE g.account_id = l.account_id AND g.layer_id = l.id), 0) AS BIGINT) AS journal FROM layer l WHERE {}",
        of_lot("l")
    );
    difference(kind, "layer.reserved_by_holds", &from)
}

/// No more was reversed of a posting than it captured.
fn too_much_reversed(kind: Kind) -> String {
    let captured = "COALESCE((SELECT SUM(c.used) FROM posting_leg c WHERE c.posting_id = v.reverses AND c.kind = 'CAPTURE' \
         AND c.layer_id = v.layer_id AND c.line = v.line), 0)";
    let from = format!(
        "SELECT v.reverses AS subject, CAST({captured} AS BIGINT) AS stored, \
         CAST(CASE WHEN {captured} + SUM(v.used) < 0 THEN -SUM(v.used) ELSE {captured} END AS BIGINT) AS journal \
         FROM posting_leg v WHERE v.reverses IS NOT NULL AND {} GROUP BY v.reverses, v.layer_id, v.line",
        of_lot("v")
    );
    difference(kind, "posting.reversed", &from)
}

/// INV-P1, also where the constraint was dropped.
fn over_room(kind: Kind) -> String {
    let from = format!(
        "SELECT l.id AS subject, l.reserved + l.used AS stored, \
         CASE WHEN l.reserved + l.used > l.granted + l.overdrawn OR l.reserved < 0 OR l.used < 0 \
         THEN l.granted + l.overdrawn ELSE l.reserved + l.used END AS journal FROM layer l WHERE {}",
        of_lot("l")
    );
    difference(kind, "layer.room", &from)
}

/// Overdraft rises only with a recovery.
fn without_recovery(kind: Kind) -> String {
    let from = format!(
        "SELECT k.posting_id AS subject, k.overdrawn AS stored, 0 AS journal FROM posting_leg k \
         WHERE k.overdrawn > 0 AND k.recovery IS NULL AND {}",
        of_lot("k")
    );
    difference(kind, "leg.recovery", &from)
}

/// What is overdrawn is what is to be recovered.
fn unlike_recovery(kind: Kind) -> String {
    let from = format!(
        "SELECT k.recovery AS subject, COALESCE(MAX(r.amount), 0) AS stored, CAST(SUM(k.overdrawn) AS BIGINT) AS journal \
         FROM posting_leg k LEFT JOIN recovery r ON r.id = k.recovery AND r.account_id = k.account_id \
         WHERE k.overdrawn > 0 AND k.recovery IS NOT NULL AND {} GROUP BY k.recovery, k.account_id",
        of_lot("k")
    );
    difference(kind, "recovery.amount", &from)
}

fn overdrawn(kind: Kind) -> String {
    let recovery = "(SELECT k.recovery FROM posting_leg k WHERE k.account_id = l.account_id AND k.layer_id = l.id \
         AND k.overdrawn > 0 ORDER BY k.posted_at DESC LIMIT 1)";
    let row = object(kind, &[("layer", "l.id"), ("amount", "l.overdrawn"), ("recovery", recovery)]);
    format!("SELECT 'overdrawn' AS tag, {row} AS body FROM layer l WHERE l.overdrawn > 0 AND {}", of_lot("l"))
}
