//! Restoration (rule R7): when a layer is refilled, by how much, and who may draw it.
//!
//! Granted when an eligible event starts and no other layer of the account has room; never for the event that
//! exhausts, nor for the same member with a related cause; once granted it stays.

use caremesh_kernel::{Date, EventId, MemberId, checked_half_up};

use super::MAX_AMOUNT;
use super::book::Entry;
use super::request::{Cover, Event};
use crate::domain::account::{CauseId, Grant, Layer, LayerKey, LayerKind, PriorDraw};
use crate::domain::plan::{PlanVersion, Restoration};

/// Decides what this event may do with the account's restored layers, and puts the layer it would be granted in place.
pub(super) fn prepare(
    entry: &mut Entry<'_>,
    plan: &PlanVersion,
    cover: &Cover,
    event: &Event,
    draws: &[PriorDraw],
    date: Date,
) {
    let Some(rule) = &entry.rule.restoration else { return };
    let drawn = draws.iter().filter(|draw| draw.account == entry.id);
    entry.may_restore = may_restore(rule, drawn, cover.member.id, event.id, event.cause.as_ref());
    if !entry.may_restore || has_room(entry, date) {
        return;
    }
    let granted: u16 =
        entry.account.layers.iter().map(|l| u16::from(l.key.kind == LayerKind::Restored)).sum();
    let amount = amount(entry, rule, date);
    if granted >= rule.times || amount == 0 {
        return;
    }
    put(entry, rule, plan, cover, granted, amount);
}

/// Neither the event that used the account up, nor the same member again for a related cause. `drawn`: who drew on this
/// account. The one answer to this, for a price and for a posting.
pub(in crate::domain) fn may_restore<'d>(
    rule: &Restoration,
    mut drawn: impl Iterator<Item = &'d PriorDraw>,
    member: MemberId,
    event: EventId,
    cause: Option<&CauseId>,
) -> bool {
    let related = |draw: &PriorDraw| draw.member == member && cause.is_some() && draw.cause.as_ref() == cause;
    drawn.all(|draw| {
        draw.layer_kind == LayerKind::Restored
            || (draw.event != event && (rule.related_cause || !related(draw)))
    })
}

fn has_room(entry: &Entry<'_>, date: Date) -> bool {
    entry.account.layers.iter().any(|layer| layer.valid.contains(date) && layer.room() > 0)
}

/// Base with increases that are good on the day, without bonus; the plan's share of it, half-up.
fn amount(entry: &Entry<'_>, rule: &Restoration, date: Date) -> i64 {
    let base: i64 = entry
        .account
        .layers
        .iter()
        .filter(|layer| matches!(layer.key.kind, LayerKind::Base | LayerKind::Increase))
        .filter(|layer| layer.valid.contains(date))
        .map(|layer| layer.granted)
        .sum();
    checked_half_up(base, i64::from(rule.bps), 10_000).unwrap_or(MAX_AMOUNT).min(MAX_AMOUNT)
}

fn put(
    entry: &mut Entry<'_>,
    rule: &Restoration,
    plan: &PlanVersion,
    cover: &Cover,
    ordinal: u16,
    amount: i64,
) {
    let key = LayerKey { account: entry.id, kind: LayerKind::Restored, ordinal };
    let first_clock = entry.account.layers.iter().map(|layer| layer.waiting_from).min();
    let layer = Layer::fresh(
        key,
        amount,
        cover.term_range,
        first_clock.unwrap_or(cover.continuous_since),
        plan.draw_position(LayerKind::Restored),
    );
    entry.grant = Some(Grant {
        account: entry.account.key.clone(),
        layer: key,
        amount,
        valid: layer.valid,
        waiting_from: layer.waiting_from,
        draw_order: layer.draw_order,
        rule: rule.id.clone(),
    });
    entry.account.layers.push(layer);
    entry.account.sort_layers();
    entry.room = entry.account.layers.iter().map(Layer::room).collect();
}
