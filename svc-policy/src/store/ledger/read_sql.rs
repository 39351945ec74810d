//! The one statement that reads everything a posting needs, and its relatives. Each arm gives a tag and a JSON object,
//! so that rows of different shapes come in one round trip.

use caremesh_db::Kind;

use super::rows::{ACCOUNT, HOLD, HOLD_LEG, LAYER};
use caremesh_db::sql::{Column, among, each_id, object};

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

/// What a posting names beside accounts and holds. Most postings name nothing else, and do not pay for looking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Postings that are reversed.
    pub(super) reversals: bool,
    /// Accounts that are restored.
    pub(super) restorations: bool,
}

/// `$1` accounts, `$2` holds, `$3` member, `$4` event date, `$5` now, `$6` service, `$7` source; then, as far as they are
/// asked for, postings to reverse; accounts to restore with the event and its cause.
pub(super) fn posting_view(kind: Kind, asked: Asked) -> String {
    let mut arms = vec![
        accounts(kind),
        layers(kind),
        holds(kind),
        hold_legs(kind),
        "SELECT 'cover' AS tag, here.body FROM here".to_owned(),
        turn(kind),
    ];
    if asked.reversals {
        arms.push(captured(kind, "$8"));
    }
    if asked.restorations {
        let next = if asked.reversals { 9 } else { 8 };
        let [accounts, event, cause] = [next, next + 1, next + 2].map(|place| format!("${place}"));
        let whose = Kin { event: &event, member: "$3", cause: &cause };
        arms.push(draws(kind, &each_id(kind, &accounts), &whose, "$5"));
    }
    format!("WITH {}, {}, {} {}", wanted(kind), due(kind), here(kind), arms.join(" UNION ALL "))
}

/// Accounts by id and nothing else: `$1` accounts.
pub(super) fn accounts_view(kind: Kind) -> String {
    format!("WITH wanted AS ({}) {} UNION ALL {}", each_id(kind, "$1"), accounts(kind), layers(kind))
}

fn wanted(kind: Kind) -> String {
    format!(
        "wanted AS ({} UNION SELECT g.account_id FROM hold_leg g WHERE {})",
        each_id(kind, "$1"),
        among(kind, "g.hold_id", &each_id(kind, "$2"))
    )
}

/// The holds that matter: those named, and those of the wanted accounts that time has ended.
fn due(kind: Kind) -> String {
    format!(
        "due AS ({} UNION SELECT g.hold_id FROM hold_leg g JOIN hold h ON h.id = g.hold_id \
         WHERE {} AND g.captured + g.released < g.amount AND h.state = 'OPEN' AND h.expires_at <= $5)",
        each_id(kind, "$2"),
        among(kind, "g.account_id", WANTED)
    )
}

pub(super) const WANTED: &str = "SELECT id FROM wanted";
const DUE: &str = "SELECT id FROM due";

pub(super) fn accounts(kind: Kind) -> String {
    let (row, wanted) = (row_of(kind, "a", ACCOUNT), among(kind, "a.id", WANTED));
    format!("SELECT 'account' AS tag, {row} AS body FROM account a WHERE {wanted}")
}

pub(super) fn layers(kind: Kind) -> String {
    let (row, wanted) = (row_of(kind, "l", LAYER), among(kind, "l.account_id", WANTED));
    format!("SELECT 'layer' AS tag, {row} AS body FROM layer l WHERE {wanted}")
}

pub(super) fn holds(kind: Kind) -> String {
    let (row, due) = (row_of(kind, "h", HOLD), among(kind, "h.id", DUE));
    format!("SELECT 'hold' AS tag, {row} AS body FROM hold h WHERE {due}")
}

pub(super) fn hold_legs(kind: Kind) -> String {
    let (row, due) = (row_of(kind, "g", HOLD_LEG), among(kind, "g.hold_id", DUE));
    format!("SELECT 'hold_leg' AS tag, {row} AS body FROM hold_leg g WHERE {due}")
}

/// Captures of the postings that are to be reversed, less what was reversed of them; only of the same source.
fn captured(kind: Kind, parameter: &str) -> String {
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
    let reversed = each_id(kind, parameter);
    format!(
        "SELECT 'captured' AS tag, {row} AS body FROM (\
         SELECT x.posting_id, x.account_id, x.layer_id, x.line, CAST(SUM(x.used) AS BIGINT) AS net FROM (\
         SELECT k.posting_id, k.account_id, k.layer_id, k.line, k.used FROM posting_leg k \
         WHERE k.kind = 'CAPTURE' AND {captured} UNION ALL \
         SELECT v.reverses, v.account_id, v.layer_id, v.line, v.used FROM posting_leg v WHERE {given_back}) x \
         GROUP BY x.posting_id, x.account_id, x.layer_id, x.line) c \
         JOIN posting p ON p.id = c.posting_id AND p.service = $6 AND p.source = $7",
        captured = among(kind, "k.posting_id", &reversed),
        given_back = among(kind, "v.reverses", &reversed),
    )
}

/// The parameters that say for whose event draws are asked.
pub(super) struct Kin<'a> {
    pub(super) event: &'a str,
    pub(super) member: &'a str,
    /// Empty text for none.
    pub(super) cause: &'a str,
}

/// Draws that still count: reserved or used by an event and not given back, by release, reversal or time until the
/// instant in a parameter; of the accounts that a query gives. Only those that a rule can ask about: the event's own, and
/// the same member's for a related cause. All of a term's would grow with every visit.
pub(super) fn draws(kind: Kind, accounts: &str, of: &Kin<'_>, instant: &str) -> String {
    let row = object(
        kind,
        &[
            ("account", "d.account_id"),
            ("layer_kind", "d.kind"),
            ("event", "d.event_id"),
            ("member", "d.member_id"),
            ("cause", "d.cause_id"),
        ],
    );
    let drawn = among(kind, "k.account_id", accounts);
    let Kin { event, member, cause } = of;
    format!(
        "SELECT 'draw' AS tag, {row} AS body FROM (SELECT k.account_id, y.kind, k.event_id, k.member_id, \
         MAX(k.cause_id) AS cause_id FROM posting_leg k JOIN layer y ON y.id = k.layer_id \
         LEFT JOIN hold h ON h.id = k.hold_id WHERE {drawn} AND k.posted_at <= {instant} \
         AND (k.event_id = {event} OR (k.member_id = {member} AND k.cause_id = {cause})) \
         GROUP BY k.account_id, y.kind, k.event_id, k.member_id \
         HAVING SUM(k.used + CASE WHEN h.expires_at <= {instant} THEN 0 ELSE k.reserved END) > 0) d"
    )
}

/// The member's cover on the day of the event: its term, and the row as JSON.
fn here(kind: Kind) -> String {
    let row = object(
        kind,
        &[
            ("policy_id", "p.id"),
            ("policy_state", "p.state"),
            ("policy_version", "p.version"),
            ("policy_due", "p.due_on"),
            ("person_id", "m.person_id"),
            ("currency", "p.currency"),
            ("term_id", "t.id"),
            ("first_term_id", "f.id"),
            ("openings", "f.openings"),
            ("term_state", "t.state"),
            ("term_from", "t.starts_on"),
            ("term_until", "t.ends_on"),
            ("plan_version_id", "s.plan_version_id"),
            ("sum_insured", "s.sum_insured"),
            ("layers", "t.layers"),
            ("plans", "t.plans"),
            ("policy_since", "f.starts_on"),
            ("relation", "m.relation"),
            ("cover_from", "m.starts_on"),
            ("cover_until", "m.ends_on"),
        ],
    );
    format!(
        "here AS {materialized} (SELECT t.id AS term_id, {row} AS body \
         FROM member m JOIN policy p ON p.id = m.policy_id \
         JOIN policy_term t ON t.policy_id = p.id AND t.starts_on <= $4 AND $4 < t.ends_on \
         JOIN policy_term f ON f.policy_id = p.id AND f.number = 1 \
         JOIN term_segment s ON s.term_id = t.id AND s.starts_on <= $4 AND $4 < s.ends_on WHERE m.id = $3)",
        materialized = if kind == Kind::Postgres { "MATERIALIZED" } else { "" }
    )
}

/// The source whose turn it is on the member's term, if several are in each other's way; `mine` says whether the asking
/// source waits in the queue itself.
fn turn(kind: Kind) -> String {
    let row = object(
        kind,
        &[
            ("conflicts", "q.conflicts"),
            ("mine", "CASE WHEN q.service = $6 AND q.source = $7 THEN 1 ELSE 0 END"),
        ],
    );
    format!(
        "SELECT 'turn' AS tag, {row} AS body FROM (SELECT w.service, w.source, w.conflicts \
         FROM here JOIN posting_queue w ON w.term_id = here.term_id WHERE w.until > $5 \
         AND (w.conflicts >= {CONFLICTS_BEFORE_TURN} OR (w.service = $6 AND w.source = $7)) \
         ORDER BY w.since, w.service, w.source LIMIT 20) q"
    )
}
