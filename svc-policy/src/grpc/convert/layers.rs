//! Layers of a sum insured, and what was used beyond a limit.

use caremesh_kernel::{Currency, Money};
use caremesh_mesh::wire::ToWire;
use caremesh_proto::policy::v1 as wire;

use super::words;
use crate::app::policy::{Recovery, SumLayer};

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
