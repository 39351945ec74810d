//! Accounts, legs, postings.

use std::collections::BTreeMap;

use caremesh_kernel::{Date, DateRange, HoldId, IdSource, PostingId, Timestamp};
use caremesh_mesh::wire::{self as shared, ToWire, Violation};
use caremesh_proto::policy::v1 as wire;

use super::words;
use crate::app::booked::{Booked, Instruction, Leg};
use crate::app::post::{Input, Posted};
use crate::app::{booked, list_balances, list_postings};
use crate::domain::account::{Account, AccountKey, CauseId, Grant, Layer, LayerKey, PeriodKey};
use crate::domain::engine::MAX_AMOUNT;
use crate::domain::ledger::{Action, Draw, Event, LineKind, Movement, Source};

type Checked<T> = Result<T, Violation>;

/// A balance; `available` counts the layers that are valid on the asked day, or all without one.
pub(in crate::grpc) fn account_balance(account: &Account, day: Option<Date>) -> wire::AccountBalance {
    // A layer at the largest amount there is says that there is no limit.
    let unlimited = account.layers.iter().any(|layer| layer.granted >= MAX_AMOUNT);
    let open = account.layers.iter().filter(|layer| day.is_none_or(|day| layer.valid.contains(day)));
    let available = open.map(Layer::room).fold(0_i64, i64::saturating_add);
    wire::AccountBalance {
        account_id: account.id().to_string(),
        key: Some(account_key(&account.key)),
        version: account.version,
        when_full: words::when_full(account.when_full).into(),
        layers: account.layers.iter().map(layer_balance).collect(),
        available: (!unlimited).then_some(available),
    }
}

fn layer_balance(layer: &Layer) -> wire::LayerBalance {
    wire::LayerBalance {
        layer_id: layer.id.to_string(),
        key: Some(layer_key(layer.key)),
        granted: layer.granted,
        reserved: layer.reserved,
        used: layer.used,
        overdrawn: layer.overdrawn,
        valid: Some(layer.valid.to_wire()),
        draw_order: layer.draw_order,
        waiting_from: Some(layer.waiting_from.to_wire()),
    }
}

pub(in crate::grpc) fn account_key(key: &AccountKey) -> wire::AccountKey {
    wire::AccountKey {
        term_id: key.term.to_string(),
        code: key.code.clone(),
        measure: words::measure(key.measure).into(),
        scope_kind: words::scope_kind(key.scope_kind).into(),
        scope_id: key.scope_id.clone(),
        period_key: key.period.as_str().to_owned(),
        currency_code: key.currency.code().to_owned(),
    }
}

pub(in crate::grpc) fn layer_key(key: LayerKey) -> wire::LayerKey {
    wire::LayerKey { kind: words::layer_kind(key.kind).into(), ordinal: key.ordinal.into() }
}

/// An account out of a balance that was given out before.
pub(in crate::grpc) fn account_of(path: &str, balance: wire::AccountBalance) -> Checked<Account> {
    let key = account_key_of(&format!("{path}.key"), balance.key)?;
    let when_full = words::when_full_of(&format!("{path}.when_full"), balance.when_full)?;
    let id = key.id();
    let layers = balance.layers.into_iter().enumerate();
    let layers = layers
        .map(|(n, layer)| layer_of(&format!("{path}.layers[{n}]"), id, layer))
        .collect::<Checked<_>>()?;
    Ok(Account { key, version: balance.version, when_full, layers })
}

fn layer_of(path: &str, account: caremesh_kernel::AccountId, layer: wire::LayerBalance) -> Checked<Layer> {
    let key = layer_key_of(&format!("{path}.key"), account, layer.key)?;
    let valid = shared::date_range(&format!("{path}.valid"), layer.valid)?;
    let waiting_from = shared::date(&format!("{path}.waiting_from"), layer.waiting_from)?;
    Ok(Layer {
        reserved: layer.reserved,
        used: layer.used,
        overdrawn: layer.overdrawn,
        ..Layer::fresh(key, layer.granted, valid, waiting_from, layer.draw_order)
    })
}

fn account_key_of(path: &str, key: Option<wire::AccountKey>) -> Checked<AccountKey> {
    let key = shared::required(path, key)?;
    let currency = key.currency_code.parse();
    let no_currency =
        |_| Violation::new(format!("{path}.currency_code"), "money.currency", "must be a currency in use");
    Ok(AccountKey {
        term: shared::id(&format!("{path}.term_id"), &key.term_id)?,
        measure: words::measure_of(&format!("{path}.measure"), key.measure)?,
        scope_kind: words::scope_kind_of(&format!("{path}.scope_kind"), key.scope_kind)?,
        code: key.code,
        scope_id: key.scope_id,
        period: PeriodKey(key.period_key),
        currency: currency.map_err(no_currency)?,
    })
}

fn layer_key_of(
    path: &str,
    account: caremesh_kernel::AccountId,
    key: Option<wire::LayerKey>,
) -> Checked<LayerKey> {
    let key = shared::required(path, key)?;
    let ordinal = u16::try_from(key.ordinal);
    let range = |_| Violation::new(format!("{path}.ordinal"), "int32.gte_lte", "must be 0 to 999");
    Ok(LayerKey {
        account,
        kind: words::layer_kind_of(&format!("{path}.kind"), key.kind)?,
        ordinal: ordinal.map_err(range)?,
    })
}

/// What is to be posted.
pub(in crate::grpc) fn post_input(request: wire::PostRequest, ids: &dyn IdSource) -> Checked<Input> {
    let source = shared::required("source", request.source)?;
    let (event, episode) = event_of("event", request.event)?;
    let movements = request.instructions.into_iter().enumerate();
    let movements =
        movements.map(|(n, i)| movement(&format!("instructions[{n}]"), i, ids)).collect::<Checked<_>>()?;
    let mut expected = BTreeMap::new();
    for (n, version) in request.expected_versions.into_iter().enumerate() {
        let path = format!("expected_versions[{n}].account_id");
        if expected.insert(shared::id(&path, &version.account_id)?, version.version).is_some() {
            return Err(Violation::new(path, "repeated.unique", "must name each account once"));
        }
    }
    Ok(Input {
        source: Source { service: source.service, resource: source.resource_id },
        revision: number("source.revision", source.revision)?,
        event,
        movements,
        expected,
        episode,
    })
}

fn event_of(
    path: &str,
    event: Option<wire::InsuredEventRef>,
) -> Checked<(Event, Option<caremesh_kernel::EpisodeId>)> {
    let event = shared::required(path, event)?;
    let cause = (!event.cause_id.is_empty()).then(|| CauseId(event.cause_id.clone()));
    let episode = shared::optional_id(&format!("{path}.episode_id"), &event.episode_id)?;
    let event = Event {
        id: shared::id(&format!("{path}.event_id"), &event.event_id)?,
        date: shared::date(&format!("{path}.event_date"), event.event_date)?,
        member: shared::id(&format!("{path}.member_id"), &event.member_id)?,
        cause,
    };
    Ok((event, episode))
}

fn movement(path: &str, instruction: wire::PostingInstruction, ids: &dyn IdSource) -> Checked<Movement> {
    let part = number(&format!("{path}.part"), instruction.part)?;
    Ok(Movement { part, action: action(path, instruction, ids)? })
}

fn action(path: &str, i: wire::PostingInstruction, ids: &dyn IdSource) -> Checked<Action> {
    let field = |name: &str| format!("{path}.{name}");
    let draws = |legs: Vec<wire::Leg>| {
        let legs = legs.into_iter().enumerate();
        legs.map(|(n, leg)| draw(&format!("{path}.legs[{n}]"), leg)).collect::<Checked<Vec<Draw>>>()
    };
    let must = |holds: bool, name: &str, rule: &'static str| {
        if holds { Ok(()) } else { Err(Violation::new(field(name), "instruction.fields", rule)) }
    };
    match wire::PostingKind::try_from(i.kind) {
        Ok(wire::PostingKind::Hold) => {
            must(!i.legs.is_empty(), "legs", "must not be empty for a HOLD")?;
            must(i.hold_id.is_empty() && !i.r#final, "hold_id", "must be empty for a HOLD")?;
            let expires = shared::timestamp(&field("expire_time"), i.expire_time)?;
            Ok(Action::Hold { id: HoldId::from_uuid(ids.uuid()), expires, legs: draws(i.legs)? })
        }
        Ok(wire::PostingKind::Capture) => {
            let hold: Option<HoldId> = shared::optional_id(&field("hold_id"), &i.hold_id)?;
            must(
                !i.legs.is_empty() || (hold.is_some() && i.r#final),
                "legs",
                "must not be empty unless a hold ends",
            )?;
            Ok(Action::Capture { hold, legs: draws(i.legs)?, last: i.r#final })
        }
        Ok(wire::PostingKind::Release) => {
            must(i.legs.is_empty(), "legs", "must be empty for a RELEASE: all that is left is released")?;
            Ok(Action::Release { hold: shared::id(&field("hold_id"), &i.hold_id)? })
        }
        Ok(wire::PostingKind::Reverse) => {
            must(!i.legs.is_empty(), "legs", "must not be empty for a REVERSE")?;
            let of: PostingId = shared::id(&field("reverses_posting_id"), &i.reverses_posting_id)?;
            Ok(Action::Reverse { of, legs: draws(i.legs)?, event_undone: i.event_did_not_happen })
        }
        Ok(wire::PostingKind::Restore) => Ok(Action::Restore { grants: grants(path, i.grants)? }),
        Ok(wire::PostingKind::Grant) => Ok(Action::Grant { grants: grants(path, i.grants)?, recovery: None }),
        Ok(wire::PostingKind::Unspecified) | Err(_) => {
            Err(Violation::new(field("kind"), "enum.defined_only", "must be a word of the contract"))
        }
    }
}

fn draw(path: &str, leg: wire::Leg) -> Checked<Draw> {
    let account = account_key_of(&format!("{path}.account"), leg.account)?;
    let layer = layer_key_of(&format!("{path}.layer"), account.id(), leg.layer)?;
    Ok(Draw {
        account,
        layer,
        amount: leg.amount,
        line: number(&format!("{path}.line_sequence"), leg.line_sequence)?,
    })
}

fn grants(path: &str, grants: Vec<wire::LayerGrant>) -> Checked<Vec<Grant>> {
    if grants.is_empty() {
        return Err(Violation::new(format!("{path}.grants"), "instruction.fields", "must not be empty"));
    }
    let grants = grants.into_iter().enumerate();
    grants.map(|(n, grant)| grant_of(&format!("{path}.grants[{n}]"), grant)).collect()
}

fn grant_of(path: &str, grant: wire::LayerGrant) -> Checked<Grant> {
    let account = account_key_of(&format!("{path}.account"), grant.account)?;
    let layer = layer_key_of(&format!("{path}.layer"), account.id(), grant.layer)?;
    // Absent days and clock mean "as the plan says"; the plan fills them in.
    let as_the_plan_says = DateRange::of_days(Date::MIN, 0);
    let valid = match grant.valid {
        Some(valid) => shared::date_range(&format!("{path}.valid"), Some(valid))?,
        None => as_the_plan_says,
    };
    let waiting_from =
        shared::optional_date(&format!("{path}.waiting_from"), grant.waiting_from)?.unwrap_or(Date::MAX);
    Ok(Grant {
        account,
        layer,
        amount: grant.amount,
        valid,
        waiting_from,
        draw_order: 0,
        rule: grant.rule_id,
    })
}

pub(in crate::grpc) fn number(path: &str, value: i32) -> Checked<u32> {
    u32::try_from(value).map_err(|_| Violation::new(path, "int32.gte", "must not be negative"))
}

/// The answer of a posting.
pub(in crate::grpc) fn post_response(posted: &Posted) -> wire::PostResponse {
    wire::PostResponse {
        posting: Some(posting(&booked::of_posted(posted))),
        balances: posted.balances.iter().map(|account| account_balance(account, None)).collect(),
    }
}

/// A posting as it was booked.
pub(in crate::grpc) fn posting(booked: &Booked) -> wire::Posting {
    let event = &booked.event;
    wire::Posting {
        posting_id: booked.id.to_string(),
        source: Some(wire::PostingSource {
            service: booked.source.service.clone(),
            resource_id: booked.source.resource.clone(),
            revision: i32::try_from(booked.revision).unwrap_or(i32::MAX),
        }),
        event: Some(wire::InsuredEventRef {
            event_id: event.id.to_string(),
            member_id: event.member.to_string(),
            event_date: Some(event.date.to_wire()),
            cause_id: event.cause.as_ref().map(|cause| cause.0.clone()).unwrap_or_default(),
            episode_id: booked.episode.map(|episode| episode.to_string()).unwrap_or_default(),
        }),
        term_id: booked.term.to_string(),
        instructions: booked.instructions.iter().map(posted_instruction).collect(),
        post_time: Some(booked.at.to_wire()),
    }
}

fn posted_instruction(instruction: &Instruction) -> wire::PostedInstruction {
    let grants = matches!(instruction.kind, LineKind::Grant | LineKind::Restore);
    wire::PostedInstruction {
        kind: posting_kind(instruction.kind).into(),
        legs: if grants { Vec::new() } else { instruction.legs.iter().map(posted_leg).collect() },
        hold_id: instruction.hold.map(|hold| hold.to_string()).unwrap_or_default(),
        part: i32::try_from(instruction.part).unwrap_or(i32::MAX),
        reverses_posting_id: instruction.reverses.map(|posting| posting.to_string()).unwrap_or_default(),
        grants: if grants { instruction.legs.iter().map(granted).collect() } else { Vec::new() },
        expire_time: instruction.expires.as_ref().map(Timestamp::to_wire),
    }
}

fn posting_kind(kind: LineKind) -> wire::PostingKind {
    match kind {
        LineKind::Hold => wire::PostingKind::Hold,
        LineKind::Capture => wire::PostingKind::Capture,
        LineKind::Release => wire::PostingKind::Release,
        LineKind::Reverse => wire::PostingKind::Reverse,
        LineKind::Restore => wire::PostingKind::Restore,
        LineKind::Grant => wire::PostingKind::Grant,
    }
}

fn posted_leg(leg: &Leg) -> wire::Leg {
    wire::Leg {
        account: Some(account_key(&leg.account)),
        layer: Some(layer_key(leg.layer)),
        amount: leg.amount,
        line_sequence: i32::try_from(leg.line).unwrap_or(i32::MAX),
    }
}

fn granted(leg: &Leg) -> wire::LayerGrant {
    wire::LayerGrant {
        account: Some(account_key(&leg.account)),
        layer: Some(layer_key(leg.layer)),
        amount: leg.amount,
        valid: Some(leg.granted.valid.to_wire()),
        rule_id: leg.rule.clone().unwrap_or_default(),
        waiting_from: Some(leg.granted.waiting_from.to_wire()),
    }
}

/// Which balances are asked for.
pub(in crate::grpc) fn balances_input(request: &wire::ListBalancesRequest) -> Checked<list_balances::Input> {
    Ok(list_balances::Input {
        policy: shared::id("policy_id", &request.policy_id)?,
        member: shared::optional_id("member_id", &request.member_id)?,
        term: shared::optional_id("term_id", &request.term_id)?,
        as_of: shared::optional_timestamp("as_of", request.as_of)?,
    })
}

/// Which postings are asked for.
pub(in crate::grpc) fn postings_input(request: &wire::ListPostingsRequest) -> Checked<list_postings::Input> {
    Ok(list_postings::Input {
        policy: shared::id("policy_id", &request.policy_id)?,
        term: shared::optional_id("term_id", &request.term_id)?,
        event: shared::optional_id("event_id", &request.event_id)?,
    })
}
