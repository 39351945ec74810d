//! Every statement of the ledger, built once per database.

use std::sync::LazyLock;

use caremesh_db::Kind;

use super::read_sql::{self, Asked};
use super::rows::{ACCOUNT, ACCOUNT_MOVE, HOLD, HOLD_LEG, HOLD_MOVE, LAYER, LEG, LINE, POSTING};
use super::snapshot;
use caremesh_db::sql::{among, each_id, insert, list};

/// The statements of one database.
pub(super) struct Texts {
    posting_views: [String; 4],
    pub(super) snapshot_now: String,
    pub(super) snapshot_then: String,
    pub(super) accounts_view: String,
    pub(super) lock_accounts: String,
    pub(super) move_accounts: String,
    pub(super) insert_accounts: String,
    pub(super) add_to_layers: String,
    pub(super) insert_layers: String,
    pub(super) insert_postings: String,
    pub(super) insert_lines: String,
    pub(super) insert_legs: String,
    pub(super) insert_holds: String,
    pub(super) move_holds: String,
    pub(super) insert_hold_legs: String,
    pub(super) move_hold_legs: String,
}

/// The statements of a database.
pub(super) fn of(kind: Kind) -> &'static Texts {
    static SQLITE: LazyLock<Texts> = LazyLock::new(|| Texts::new(Kind::Sqlite));
    static POSTGRES: LazyLock<Texts> = LazyLock::new(|| Texts::new(Kind::Postgres));
    match kind {
        Kind::Sqlite => &SQLITE,
        Kind::Postgres => &POSTGRES,
    }
}

impl Texts {
    fn new(kind: Kind) -> Self {
        Self {
            posting_views: std::array::from_fn(|place| read_sql::posting_view(kind, asked(place))),
            snapshot_now: snapshot::now_view(kind),
            snapshot_then: snapshot::then_view(kind),
            accounts_view: read_sql::accounts_view(kind),
            lock_accounts: lock_accounts(kind),
            move_accounts: move_accounts(kind),
            insert_accounts: insert(kind, "account", ACCOUNT),
            add_to_layers: add_to_layers(kind),
            insert_layers: insert(kind, "layer", LAYER),
            insert_postings: insert(kind, "posting", POSTING),
            insert_lines: insert(kind, "posting_line", LINE),
            insert_legs: insert(kind, "posting_leg", LEG),
            insert_holds: insert(kind, "hold", HOLD),
            move_holds: move_holds(kind),
            insert_hold_legs: insert(kind, "hold_leg", HOLD_LEG),
            move_hold_legs: move_hold_legs(kind),
        }
    }

    /// The view of a posting that names this.
    pub(super) fn posting_view(&self, asked: Asked) -> &str {
        &self.posting_views[usize::from(asked.reversals) + 2 * usize::from(asked.restorations)]
    }
}

/// The places of [`Texts::posting_views`].
fn asked(place: usize) -> Asked {
    Asked { reversals: place & 1 > 0, restorations: place & 2 > 0 }
}

/// After a collision the next try takes the rows first, in the order of their ids, and cannot collide again.
fn lock_accounts(kind: Kind) -> String {
    let wanted = among(kind, "a.id", &each_id(kind, "$1"));
    let lock = if kind == Kind::Postgres { " FOR UPDATE" } else { "" };
    format!("SELECT a.id FROM account a WHERE {wanted} ORDER BY a.id{lock}")
}

/// The conditional update that everything else hangs on: each account must be at the version that was read. Rows are
/// taken in the order of their ids, so that two postings never wait for each other in a circle.
fn move_accounts(kind: Kind) -> String {
    let moves = list(kind, "$1", "r", ACCOUNT_MOVE);
    match kind {
        Kind::Postgres => format!(
            "UPDATE account SET version = account.version + m.rise FROM (\
             SELECT a.id, r.rise FROM {moves} JOIN account a ON a.id = r.id AND a.version = r.version \
             ORDER BY a.id FOR UPDATE OF a) m WHERE account.id = m.id"
        ),
        Kind::Sqlite => format!(
            "UPDATE account SET version = account.version + r.rise FROM {moves} \
             WHERE account.id = r.id AND account.version = r.version"
        ),
    }
}

/// Differences, never new values: what the database holds stays the sum of what was posted, and its CHECK has the last
/// word.
fn add_to_layers(kind: Kind) -> String {
    format!(
        "UPDATE layer SET granted = layer.granted + r.granted, reserved = layer.reserved + r.reserved, \
         used = layer.used + r.used, overdrawn = layer.overdrawn + r.overdrawn \
         FROM {} WHERE layer.id = r.id",
        list(kind, "$1", "r", LAYER)
    )
}

fn move_holds(kind: Kind) -> String {
    format!("UPDATE hold SET state = r.state FROM {} WHERE hold.id = r.id", list(kind, "$1", "r", HOLD_MOVE))
}

fn move_hold_legs(kind: Kind) -> String {
    format!(
        "UPDATE hold_leg SET captured = r.captured, released = r.released FROM {} \
         WHERE hold_leg.hold_id = r.hold_id AND hold_leg.account_id = r.account_id \
         AND hold_leg.layer_id = r.layer_id AND hold_leg.line = r.line",
        list(kind, "$1", "r", HOLD_LEG)
    )
}
