//! From rows to what the ledger's rules speak of, and back.

use std::collections::HashMap;

use caremesh_kernel::{AccountId, Date, DateRange, HoldId, MemberId, Timestamp};

use super::read::Bought;
use super::rows::{AccountRow, CapturedRow, CoverRow, DrawRow, HoldLegRow, HoldRow, LayerRow, LegRow};
use crate::domain::account::{Account, AccountKey, Layer, LayerKey, PriorDraw};
use crate::domain::ledger::{
    Captured, CoverState, Entry, EntryKind, Event, Hold, HoldLeg, HoldState, LineKind, Source, Term,
    TermState,
};
use crate::store::Error;
use crate::store::policy::{layers_of, plans_of};

/// Accounts with their layers in draw order, in the order of their ids.
pub(super) fn accounts(rows: Vec<AccountRow>, layers: Vec<LayerRow>) -> Result<Vec<Account>, Error> {
    let mut by_account: HashMap<AccountId, Vec<Layer>> = HashMap::new();
    for row in layers {
        by_account.entry(row.account_id).or_default().push(layer(&row)?);
    }
    let mut accounts: Vec<Account> =
        rows.into_iter().map(|row| account(by_account.remove(&row.id).unwrap_or_default(), row)).collect();
    accounts.sort_by_key(Account::id);
    Ok(accounts)
}

fn account(layers: Vec<Layer>, row: AccountRow) -> Account {
    let key = AccountKey {
        term: row.term_id,
        code: row.code,
        measure: row.measure,
        scope_kind: row.scope_kind,
        scope_id: row.scope_id,
        period: row.period,
        currency: row.currency,
    };
    let mut account = Account { key, version: row.version, when_full: row.when_full, layers };
    account.sort_layers();
    account
}

fn layer(row: &LayerRow) -> Result<Layer, Error> {
    let valid = DateRange::new(row.valid_from, row.valid_until).map_err(|_| Error::Corrupt("layer.valid"))?;
    Ok(Layer {
        id: row.id,
        key: LayerKey { account: row.account_id, kind: row.kind, ordinal: row.ordinal },
        granted: row.granted,
        reserved: row.reserved,
        used: row.used,
        overdrawn: row.overdrawn,
        valid,
        waiting_from: row.waiting_from,
        draw_order: row.draw_order,
    })
}

pub(super) fn account_row(account: &Account) -> AccountRow {
    let key = account.key.clone();
    AccountRow {
        id: account.id(),
        term_id: key.term,
        code: key.code,
        measure: key.measure,
        scope_kind: key.scope_kind,
        scope_id: key.scope_id,
        period: key.period,
        currency: key.currency,
        when_full: account.when_full,
        version: account.version,
    }
}

pub(super) fn layer_row(layer: &Layer) -> LayerRow {
    LayerRow {
        id: layer.id,
        account_id: layer.key.account,
        kind: layer.key.kind,
        ordinal: layer.key.ordinal,
        granted: layer.granted,
        reserved: layer.reserved,
        used: layer.used,
        overdrawn: layer.overdrawn,
        valid_from: layer.valid.start(),
        valid_until: layer.valid.end(),
        waiting_from: layer.waiting_from,
        draw_order: layer.draw_order,
    }
}

/// Holds with their legs.
pub(super) fn holds(rows: Vec<HoldRow>, legs: Vec<HoldLegRow>) -> Result<Vec<Hold>, Error> {
    let mut by_hold: HashMap<HoldId, Vec<HoldLeg>> = HashMap::new();
    for row in legs {
        by_hold.entry(row.hold_id).or_default().push(hold_leg(&row));
    }
    rows.into_iter().map(|row| hold(by_hold.remove(&row.id).unwrap_or_default(), row)).collect()
}

fn hold(legs: Vec<HoldLeg>, row: HoldRow) -> Result<Hold, Error> {
    Ok(Hold {
        id: row.id,
        source: Source { service: row.service, resource: row.source },
        event: Event { id: row.event_id, date: row.event_date, member: row.member_id, cause: row.cause_id },
        posted: Timestamp::from_micros(row.posted_at),
        expires: Timestamp::from_micros(row.expires_at),
        state: hold_state(&row.state)?,
        legs,
    })
}

fn hold_leg(row: &HoldLegRow) -> HoldLeg {
    HoldLeg {
        account: row.account_id,
        layer: row.layer_id,
        line: row.line,
        amount: row.amount,
        captured: row.captured,
        released: row.released,
    }
}

pub(super) fn hold_leg_row(hold: HoldId, leg: &HoldLeg) -> HoldLegRow {
    HoldLegRow {
        hold_id: hold,
        account_id: leg.account,
        layer_id: leg.layer,
        line: leg.line,
        amount: leg.amount,
        captured: leg.captured,
        released: leg.released,
    }
}

pub(super) fn captured(row: CapturedRow) -> Captured {
    let CapturedRow { posting_id, account_id, layer_id, line, net } = row;
    Captured { posting: posting_id, account: account_id, layer: layer_id, line, net }
}

/// Draws in a fixed order: a price is the same bytes for ever.
pub(super) fn draws(rows: Vec<DrawRow>) -> Vec<PriorDraw> {
    let draw = |DrawRow { account, layer_kind, event, member, cause }| PriorDraw {
        account,
        layer_kind,
        event,
        member,
        cause,
    };
    let mut draws: Vec<PriorDraw> = rows.into_iter().map(draw).collect();
    draws.sort_by_key(|draw| (draw.account, draw.event, draw.layer_kind));
    draws
}

/// The term as the ledger's rules see it, for an event on a day that lies in it.
pub(super) fn term(row: &CoverRow, day: Date) -> Result<Term, Error> {
    let days =
        DateRange::new(row.term_from, row.term_until).map_err(|_| Error::Corrupt("policy_term.days"))?;
    let state = match row.term_state.as_str() {
        "OPEN" => TermState::Open,
        "RUN_OFF" => TermState::RunOff,
        "CLOSED" => TermState::Closed,
        _ => return Err(Error::Corrupt("policy_term.state")),
    };
    let in_force = !matches!(row.policy_state.as_str(), "PENDING_PAYMENT" | "EXPIRED_QUOTE");
    let covered = in_force && row.cover_from <= day && day < row.cover_until;
    let cover = if covered { CoverState::Covered } else { CoverState::NotCovered };
    Ok(Term { id: row.term_id, first: row.first_term_id, days, state, cover })
}

/// What was bought, as accounts open by it.
pub(super) fn bought(row: &CoverRow, member: MemberId) -> Result<Bought, Error> {
    let days = DateRange::new(row.term_from, row.term_until).map_err(|_| Error::Corrupt("days of cover"))?;
    Ok(Bought {
        days,
        currency: row.currency,
        since: row.policy_since,
        plans: plans_of(row.plans.as_deref(), row.plan_version_id, days)?,
        layers: layers_of(row.layers.as_deref(), row.sum_insured, days, row.policy_since)?,
        member,
        relation: row.relation,
    })
}

pub(super) fn hold_state_name(state: HoldState) -> &'static str {
    match state {
        HoldState::Open => "OPEN",
        HoldState::Closed => "CLOSED",
        HoldState::Expired => "EXPIRED",
    }
}

fn hold_state(name: &str) -> Result<HoldState, Error> {
    match name {
        "OPEN" => Ok(HoldState::Open),
        "CLOSED" => Ok(HoldState::Closed),
        "EXPIRED" => Ok(HoldState::Expired),
        _ => Err(Error::Corrupt("hold.state")),
    }
}

pub(super) fn entry_kind_name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Open => "OPEN",
        EntryKind::Hold => "HOLD",
        EntryKind::Capture => "CAPTURE",
        EntryKind::Release => "RELEASE",
        EntryKind::Expire => "EXPIRE",
        EntryKind::Reverse => "REVERSE",
        EntryKind::Restore => "RESTORE",
        EntryKind::Grant => "GRANT",
    }
}

pub(super) fn entry_kind(name: &str) -> Result<EntryKind, Error> {
    use EntryKind::{Capture, Expire, Grant, Hold, Open, Release, Restore, Reverse};
    let all = [Open, Hold, Capture, Release, Expire, Reverse, Restore, Grant];
    all.into_iter().find(|kind| entry_kind_name(*kind) == name).ok_or(Error::Corrupt("posting_leg.kind"))
}

pub(super) fn line_kind_name(kind: LineKind) -> &'static str {
    match kind {
        LineKind::Hold => "HOLD",
        LineKind::Capture => "CAPTURE",
        LineKind::Release => "RELEASE",
        LineKind::Reverse => "REVERSE",
        LineKind::Restore => "RESTORE",
        LineKind::Grant => "GRANT",
    }
}

pub(super) fn line_kind(name: &str) -> Result<LineKind, Error> {
    use LineKind::{Capture, Grant, Hold, Release, Restore, Reverse};
    let all = [Hold, Capture, Release, Reverse, Restore, Grant];
    all.into_iter().find(|kind| line_kind_name(*kind) == name).ok_or(Error::Corrupt("posting_line.kind"))
}

/// A line of the journal as it was written.
pub(super) fn entry(row: LegRow) -> Result<Entry, Error> {
    Ok(Entry {
        kind: entry_kind(&row.kind)?,
        movement: row.movement,
        account: row.account_id,
        layer: row.layer_id,
        line: row.line,
        hold: row.hold_id,
        reverses: row.reverses,
        event: Event { id: row.event_id, date: row.event_date, member: row.member_id, cause: row.cause_id },
        granted: row.granted,
        reserved: row.reserved,
        used: row.used,
        overdrawn: row.overdrawn,
        recovery: row.recovery,
        rule: row.rule_id,
    })
}
