//! Layers of a sum insured, what was used beyond a limit, and cover with another insurer.

use caremesh_kernel::{Currency, Money};
use caremesh_mesh::wire::{self as shared, ToWire, Violation};
use caremesh_proto::policy::v1 as wire;

use super::words;
use crate::app::policy::{Recovery, SumLayer};
use crate::domain::life::{Ported, PriorCover};

/// A layer with each member's clocks.
pub(super) fn layer(layer: &SumLayer, currency: Currency) -> wire::SumInsuredLayer {
    let SumLayer { layer, clocks } = layer;
    let clock = |(member, since, ends): &(_, caremesh_kernel::Date, Option<caremesh_kernel::Date>)| {
        let member: &caremesh_kernel::MemberId = member;
        wire::LayerClock {
            member_id: member.to_string(),
            waiting_start: Some(since.to_wire()),
            moratorium_end: ends.map(|day| day.to_wire()),
        }
    };
    wire::SumInsuredLayer {
        kind: words::layer_kind(layer.kind).into(),
        ordinal: i32::from(layer.ordinal),
        amount: Some(Money::new(currency, layer.amount_minor).to_wire()),
        valid: Some(layer.valid.to_wire()),
        clocks: clocks.iter().map(clock).collect(),
    }
}

/// What is to be recovered.
pub(super) fn recovery(recovery: &Recovery) -> wire::Recovery {
    wire::Recovery {
        recovery_id: recovery.id.to_string(),
        endorsement_id: recovery.endorsement.to_string(),
        account_id: recovery.account.to_string(),
        measure: words::measure(recovery.measure).into(),
        amount: recovery.amount,
        create_time: Some(recovery.created.to_wire()),
    }
}

/// Cover with another insurer, as it is declared.
pub(super) fn prior(cover: wire::PriorCover) -> Result<(PriorCover, Currency), Violation> {
    let person = |(n, id): (usize, &String)| shared::id(&format!("prior_cover.person_ids[{n}]"), id);
    let sum = shared::money("prior_cover.sum_insured", cover.sum_insured)?;
    let declared = PriorCover {
        insurer: cover.insurer_code,
        sum_minor: sum.minor,
        days: shared::date_range("prior_cover.period", cover.period)?,
        persons: cover.person_ids.iter().enumerate().map(person).collect::<Result<_, _>>()?,
    };
    Ok((declared, sum.currency))
}

/// Cover with another insurer, with the day that it is credited from.
pub(super) fn prior_cover(prior: &Ported, currency: Currency) -> wire::PriorCover {
    wire::PriorCover {
        insurer_code: prior.cover.insurer.clone(),
        sum_insured: Some(Money::new(currency, prior.cover.sum_minor).to_wire()),
        period: Some(prior.cover.days.to_wire()),
        person_ids: prior.cover.persons.iter().map(ToString::to_string).collect(),
        credited_from_date: Some(prior.credited_from.to_wire()),
    }
}
