//! What the ledger decided, as one batch: the accounts first, each at the version that was read, then everything that
//! hangs on them.

use std::collections::BTreeMap;

use caremesh_db::{Batch, Expect, Kind};
use caremesh_kernel::{LayerId, PolicyId, TermId};
use sea_orm::Value;
use serde::Serialize;

use super::convert;
use super::read::Cover;
use super::rows::{AccountMove, HoldMove, HoldRow, LayerRow, LegRow, LineRow, PostingRow};
use super::texts;
use crate::domain::account::Layer;
use crate::domain::ledger::{Decision, Entry, HoldChange, Posting};
use caremesh_db::sql::json;

/// The statements that write a decision. Nothing of them happens unless every account is still at the version it was
/// read at, those included that the caller only relied on.
pub(crate) fn batch(
    kind: Kind,
    cover: &Cover,
    posting: &Posting,
    episode: Option<&str>,
    decision: &Decision,
) -> Batch {
    let (texts, term) = (texts::of(kind), cover.term.id);
    let mut batch = Batch::new();
    openings(&mut batch, cover, posting, decision);
    let mut add = Adder(&mut batch);
    add.rows("account", &texts.move_accounts, &account_moves(posting, decision));
    let created = decision.accounts.iter().filter(|change| change.read_version == 0);
    add.rows(
        "account_new",
        &texts.insert_accounts,
        &created.map(|c| convert::account_row(&c.account)).collect::<Vec<_>>(),
    );
    let layers = Layers::of(decision);
    add.rows("layer_new", &texts.insert_layers, &layers.created);
    add.rows("layer", &texts.add_to_layers, &layers.moved);
    add.rows("posting", &texts.insert_postings, &[posting_row(term, posting, episode)]);
    add.rows("posting_line", &texts.insert_lines, &lines(posting, decision));
    add.rows("posting_leg", &texts.insert_legs, &legs(posting, decision));
    holds(&mut add, texts, term, posting, decision);
    batch
}

/// An account without a row has no version that could be locked, so the policy counts the accounts that it opens. A
/// posting that opens one raises the count; one that relies on an account's having none asks for the count it read. Of two
/// that each rely on what the other opens, the second finds the count changed. For the same reason who opens one asks for the
/// version of the policy it read: cover that has ended since has moved only the accounts that had a row ([`move_on`]).
fn openings(batch: &mut Batch, cover: &Cover, posting: &Posting, decision: &Decision) {
    let opened = |id| decision.accounts.iter().any(|c| c.read_version == 0 && c.account.id() == id);
    let opens = decision.accounts.iter().any(|change| change.read_version == 0);
    let relies = posting.expected.iter().any(|(id, version)| *version == 0 && !opened(*id));
    if !opens && !relies {
        return;
    }
    let sql = "UPDATE policy_term SET openings = openings + $2 WHERE id = $1 AND ($3 = 0 OR openings = $4)";
    let values = vec![
        cover.term.first.to_string().into(),
        i64::from(opens).into(),
        i64::from(relies).into(),
        cover.openings.into(),
    ];
    batch.push("openings", sql, values, Expect::Rows(1));
    if opens {
        let sql = "UPDATE policy SET version = version WHERE id = $1 AND version = $2";
        let values = vec![cover.policy.to_string().into(), cover.version.into()];
        batch.push("openings", sql, values, Expect::Rows(1));
    }
}

/// Cover is about to end: every account of the policy moves on, so that a posting which read the cover before either commits
/// first, and is seen by what is read after this, or finds its accounts moved. The policy is taken too, for those that open
/// an account.
pub(crate) fn move_on(policy: PolicyId) -> Batch {
    let mut batch = Batch::new();
    let id: Value = policy.to_string().into();
    // In the order in which every change takes its rows: the quote, the policy, what hangs on it.
    let sql =
        "UPDATE quote SET version = version WHERE id = (SELECT p.quote_id FROM policy p WHERE p.id = $1)";
    batch.push("quote", sql, vec![id.clone()], Expect::Rows(1));
    let sql = "UPDATE policy SET version = version WHERE id = $1";
    batch.push("policy", sql, vec![id.clone()], Expect::Rows(1));
    let sql = "UPDATE account SET version = version + 1 WHERE term_id IN (SELECT id FROM policy_term WHERE policy_id = $1)";
    batch.push("account", sql, vec![id], Expect::Any);
    batch
}

struct Adder<'b>(&'b mut Batch);

impl Adder<'_> {
    /// Adds a statement over a list of rows, each of which must change exactly one; nothing for an empty list.
    fn rows<T: Serialize>(&mut self, label: &'static str, sql: &str, rows: &[T]) {
        if !rows.is_empty() {
            self.0.push(label, sql, vec![json(rows)], Expect::Rows(rows.len() as u64));
        }
    }
}

fn account_moves(posting: &Posting, decision: &Decision) -> Vec<AccountMove> {
    let touched = decision.accounts.iter().filter(|change| change.read_version > 0);
    let mut moves: BTreeMap<_, AccountMove> = touched
        .map(|change| {
            (
                change.account.id(),
                AccountMove { id: change.account.id(), version: change.read_version, rise: 1 },
            )
        })
        .collect();
    for (id, version) in posting.expected.iter().filter(|(_, version)| **version > 0) {
        moves.entry(*id).or_insert(AccountMove { id: *id, version: *version, rise: 0 });
    }
    moves.into_values().collect()
}

struct Layers {
    created: Vec<LayerRow>,
    moved: Vec<LayerRow>,
}

impl Layers {
    fn of(decision: &Decision) -> Self {
        let mut sums: BTreeMap<LayerId, [i64; 4]> = BTreeMap::new();
        for entry in &decision.entries {
            let sum = sums.entry(entry.layer).or_default();
            let parts = [entry.granted, entry.reserved, entry.used, entry.overdrawn];
            sum.iter_mut().zip(parts).for_each(|(total, part)| *total += part);
        }
        let changes = || decision.accounts.iter().flat_map(|change| &change.layers);
        let created = changes().filter(|c| c.created).map(|c| convert::layer_row(&c.layer)).collect();
        let moved = changes()
            .filter(|c| !c.created)
            .filter_map(|c| Some(difference(&c.layer, *sums.get(&c.layer.id)?)));
        Self { created, moved: moved.collect() }
    }
}

/// A row that carries differences instead of balances.
fn difference(layer: &Layer, [granted, reserved, used, overdrawn]: [i64; 4]) -> LayerRow {
    LayerRow { granted, reserved, used, overdrawn, ..convert::layer_row(layer) }
}

fn posting_row(term: TermId, posting: &Posting, episode: Option<&str>) -> PostingRow {
    PostingRow {
        id: posting.id,
        term_id: term,
        service: posting.source.service.clone(),
        source: posting.source.resource.clone(),
        revision: posting.revision,
        event_id: posting.event.id,
        event_date: posting.event.date,
        member_id: posting.event.member,
        cause_id: posting.event.cause.clone(),
        episode_id: episode.map(ToOwned::to_owned),
        posted_at: posting.now.as_micros(),
    }
}

fn lines(posting: &Posting, decision: &Decision) -> Vec<LineRow> {
    let row = |key: &crate::domain::ledger::LineKey| LineRow {
        service: posting.source.service.clone(),
        source: posting.source.resource.clone(),
        line: key.line,
        revision: key.revision,
        kind: convert::line_kind_name(key.kind).to_owned(),
        part: key.part,
        posting_id: posting.id,
        movement: key.movement,
    };
    decision.lines.iter().map(row).collect()
}

fn legs(posting: &Posting, decision: &Decision) -> Vec<LegRow> {
    (0_u32..).zip(&decision.entries).map(|(number, entry)| leg(posting, number, entry)).collect()
}

fn leg(posting: &Posting, number: u32, entry: &Entry) -> LegRow {
    LegRow {
        posting_id: posting.id,
        number,
        kind: convert::entry_kind_name(entry.kind).to_owned(),
        movement: entry.movement,
        account_id: entry.account,
        layer_id: entry.layer,
        line: entry.line,
        hold_id: entry.hold,
        reverses: entry.reverses,
        event_id: entry.event.id,
        event_date: entry.event.date,
        member_id: entry.event.member,
        cause_id: entry.event.cause.clone(),
        posted_at: posting.now.as_micros(),
        granted: entry.granted,
        reserved: entry.reserved,
        used: entry.used,
        overdrawn: entry.overdrawn,
        recovery: entry.recovery.clone(),
        rule_id: entry.rule.clone(),
    }
}

fn holds(add: &mut Adder<'_>, texts: &texts::Texts, term: TermId, posting: &Posting, decision: &Decision) {
    let (created, moved): (Vec<&HoldChange>, Vec<&HoldChange>) =
        decision.holds.iter().partition(|change| change.created);
    let rows: Vec<HoldRow> = created.iter().map(|change| hold_row(term, posting, change)).collect();
    add.rows("hold_new", &texts.insert_holds, &rows);
    let states =
        moved.iter().map(|c| HoldMove { id: c.hold.id, state: convert::hold_state_name(c.hold.state) });
    add.rows("hold", &texts.move_holds, &states.collect::<Vec<_>>());
    let legs_of = |changes: &[&HoldChange]| {
        let legs =
            changes.iter().flat_map(|c| c.hold.legs.iter().map(|leg| convert::hold_leg_row(c.hold.id, leg)));
        legs.collect::<Vec<_>>()
    };
    add.rows("hold_leg_new", &texts.insert_hold_legs, &legs_of(&created));
    add.rows("hold_leg", &texts.move_hold_legs, &legs_of(&moved));
}

fn hold_row(term: TermId, posting: &Posting, change: &HoldChange) -> HoldRow {
    let hold = &change.hold;
    HoldRow {
        id: hold.id,
        term_id: term,
        posting_id: posting.id,
        service: hold.source.service.clone(),
        source: hold.source.resource.clone(),
        event_id: hold.event.id,
        event_date: hold.event.date,
        member_id: hold.event.member,
        cause_id: hold.event.cause.clone(),
        posted_at: hold.posted.as_micros(),
        expires_at: hold.expires.as_micros(),
        state: convert::hold_state_name(hold.state).to_owned(),
    }
}
