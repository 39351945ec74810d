//! The one statement that reads everything a posting needs, and its relatives. Each arm gives a tag and a JSON object,
//! so that rows of different shapes come in one round trip.

use caremesh_db::Kind;

use super::rows::{ACCOUNT, HOLD, HOLD_LEG, ID, LAYER};
use crate::store::sql::{Column, list, object};

/// How often a source may lose against others on one term before it gets its turn.
pub(super) const CONFLICTS_BEFORE_TURN: i64 = 5;

/// Columns of a table as a JSON object.
pub(super) fn row_of(kind: Kind, alias: &str, columns: &[Column]) -> String {
    let names: Vec<(String, String)> = columns
        .iter()
        .map(|column| (column.name().to_owned(), format!("{alias}.{}", column.name())))
        .collect();
    let pairs: Vec<(&str, &str)> =
        names.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    object(kind, &pairs)
}

/// `$1` accounts, `$2` holds, `$3` postings to reverse, `$4` member, `$5` event date, `$6` now, `$7` service, `$8` source.
pub(super) fn posting_view(kind: Kind) -> String {
    let arms =
        [accounts(kind), layers(kind), holds(kind), hold_legs(kind), captured(kind), cover(kind), turn(kind)];
    format!("WITH {}, {} {}", wanted(kind), due(kind), arms.join(" UNION ALL "))
}

/// Accounts by id and nothing else: `$1` accounts.
pub(super) fn accounts_view(kind: Kind) -> String {
    let wanted = format!("wanted AS (SELECT r.id FROM {})", list(kind, "$1", "r", ID));
    format!("WITH {wanted} {} UNION ALL {}", accounts(kind), layers(kind))
}

fn wanted(kind: Kind) -> String {
    format!(
        "wanted AS (SELECT r.id FROM {accounts} UNION \
         SELECT g.account_id FROM {holds} JOIN hold_leg g ON g.hold_id = r.id)",
        accounts = list(kind, "$1", "r", ID),
        holds = list(kind, "$2", "r", ID),
    )
}

/// The holds that matter: those named, and those of the wanted accounts that time has ended.
fn due(kind: Kind) -> String {
    format!(
        "due AS (SELECT r.id FROM {holds} UNION \
         SELECT g.hold_id FROM hold_leg g JOIN hold h ON h.id = g.hold_id \
         WHERE g.account_id IN (SELECT id FROM wanted) AND g.captured + g.released < g.amount \
         AND h.state = 'OPEN' AND h.expires_at <= $6)",
        holds = list(kind, "$2", "r", ID),
    )
}

pub(super) fn accounts(kind: Kind) -> String {
    let row = row_of(kind, "a", ACCOUNT);
    format!("SELECT 'account' AS tag, {row} AS body FROM account a WHERE a.id IN (SELECT id FROM wanted)")
}

pub(super) fn layers(kind: Kind) -> String {
    let row = row_of(kind, "l", LAYER);
    format!("SELECT 'layer' AS tag, {row} AS body FROM layer l WHERE l.account_id IN (SELECT id FROM wanted)")
}

pub(super) fn holds(kind: Kind) -> String {
    let row = row_of(kind, "h", HOLD);
    format!("SELECT 'hold' AS tag, {row} AS body FROM hold h WHERE h.id IN (SELECT id FROM due)")
}

pub(super) fn hold_legs(kind: Kind) -> String {
    let row = row_of(kind, "g", HOLD_LEG);
    format!("SELECT 'hold_leg' AS tag, {row} AS body FROM hold_leg g WHERE g.hold_id IN (SELECT id FROM due)")
}

/// Captures of the postings that are to be reversed, less what was reversed of them; only of the same source.
fn captured(kind: Kind) -> String {
    let row = object(
        kind,
        &[
            ("posting_id", "c.posting_id"),
            ("account_id", "c.account_id"),
            ("layer_id", "c.layer_id"),
            ("line", "c.line"),
            ("net", "c.net"),
        ],
    );
    let reversed = list(kind, "$3", "r", ID);
    format!(
        "SELECT 'captured' AS tag, {row} AS body FROM (\
         SELECT x.posting_id, x.account_id, x.layer_id, x.line, CAST(SUM(x.used) AS BIGINT) AS net FROM (\
         SELECT k.posting_id, k.account_id, k.layer_id, k.line, k.used FROM posting_leg k \
         WHERE k.kind = 'CAPTURE' AND k.posting_id IN (SELECT r.id FROM {reversed}) UNION ALL \
         SELECT v.reverses, v.account_id, v.layer_id, v.line, v.used FROM posting_leg v \
         WHERE v.reverses IN (SELECT r.id FROM {reversed})) x \
         GROUP BY x.posting_id, x.account_id, x.layer_id, x.line) c \
         JOIN posting p ON p.id = c.posting_id AND p.service = $7 AND p.source = $8"
    )
}

fn cover(kind: Kind) -> String {
    let row = object(
        kind,
        &[
            ("policy_id", "p.id"),
            ("policy_state", "p.state"),
            ("person_id", "m.person_id"),
            ("currency", "p.currency"),
            ("term_id", "t.id"),
            ("first_term_id", "f.id"),
            ("term_state", "t.state"),
            ("term_from", "t.starts_on"),
            ("term_until", "t.ends_on"),
            ("plan_version_id", "s.plan_version_id"),
            ("segment_from", "s.starts_on"),
            ("segment_until", "s.ends_on"),
            ("sum_insured", "s.sum_insured"),
            ("policy_since", "f.starts_on"),
            ("relation", "m.relation"),
            ("cover_from", "m.starts_on"),
            ("cover_until", "m.ends_on"),
            ("continuous_from", "m.continuous_from"),
        ],
    );
    format!(
        "SELECT 'cover' AS tag, {row} AS body FROM member m JOIN policy p ON p.id = m.policy_id \
         JOIN policy_term t ON t.policy_id = p.id AND t.starts_on <= $5 AND $5 < t.ends_on \
         JOIN policy_term f ON f.policy_id = p.id AND f.number = 1 \
         JOIN term_segment s ON s.term_id = t.id AND s.starts_on <= $5 AND $5 < s.ends_on WHERE m.id = $4"
    )
}

/// The source whose turn it is on the member's term, if several are in each other's way; `mine` says whether the asking
/// source waits in the queue itself.
fn turn(kind: Kind) -> String {
    let row = object(
        kind,
        &[
            ("conflicts", "q.conflicts"),
            ("mine", "CASE WHEN q.service = $7 AND q.source = $8 THEN 1 ELSE 0 END"),
        ],
    );
    format!(
        "SELECT 'turn' AS tag, {row} AS body FROM (\
         SELECT w.service, w.source, w.conflicts FROM posting_queue w \
         JOIN policy_term t ON t.id = w.term_id JOIN member m ON m.policy_id = t.policy_id AND m.id = $4 \
         WHERE t.starts_on <= $5 AND $5 < t.ends_on AND w.until > $6 \
         AND (w.conflicts >= {CONFLICTS_BEFORE_TURN} OR (w.service = $7 AND w.source = $8)) \
         ORDER BY w.since, w.service, w.source LIMIT 20) q"
    )
}
