//! The columns of a policy's tables as JSON objects: what every statement that reads them shares.

use caremesh_db::Kind;

use caremesh_db::sql::{hex_of, object};

pub(super) fn policy_object(kind: Kind) -> String {
    let columns = [
        ("id", "p.id"),
        ("quote_id", "p.quote_id"),
        ("plan_id", "p.plan_id"),
        ("policyholder", "p.policyholder"),
        ("state", "p.state"),
        ("zone", "p.zone"),
        ("currency", "p.currency"),
        ("lead_carrier", "p.lead_carrier"),
        ("activated_at", "p.activated_at"),
        ("ended_on", "p.ended_on"),
        ("acts_on", "p.acts_on"),
        ("due_on", "p.due_on"),
        ("version", "p.version"),
        ("created_at", "p.created_at"),
        ("updated_at", "p.updated_at"),
    ];
    object(kind, &columns)
}

pub(super) fn term_object(kind: Kind) -> String {
    let columns = [
        ("id", "t.id"),
        ("policy_id", "t.policy_id"),
        ("number", "t.number"),
        ("starts_on", "t.starts_on"),
        ("ends_on", "t.ends_on"),
        ("state", "t.state"),
        ("premium", "t.premium"),
        ("quote_id", "t.quote_id"),
        ("layers", "t.layers"),
        ("plans", "t.plans"),
        ("bonus_for", "t.bonus_for"),
    ];
    object(kind, &columns)
}

pub(super) fn segment_object(kind: Kind) -> String {
    let columns = [
        ("term_id", "s.term_id"),
        ("starts_on", "s.starts_on"),
        ("ends_on", "s.ends_on"),
        ("plan_version_id", "s.plan_version_id"),
        ("sum_insured", "s.sum_insured"),
    ];
    object(kind, &columns)
}

pub(super) fn member_object(kind: Kind) -> String {
    let sealed = hex_of(kind, "m.facts_sealed");
    let columns = [
        ("id", "m.id"),
        ("policy_id", "m.policy_id"),
        ("position", "m.position"),
        ("person_id", "m.person_id"),
        ("relation", "m.relation"),
        ("starts_on", "m.starts_on"),
        ("ends_on", "m.ends_on"),
        ("continuous_from", "m.continuous_from"),
        ("end_reason", "m.end_reason"),
        ("waiting_waived", "m.waiting_waived"),
        ("facts_sealed", sealed.as_str()),
    ];
    object(kind, &columns)
}
