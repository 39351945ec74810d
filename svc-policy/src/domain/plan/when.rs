//! The one form of condition that every plan rule uses, and the words it is written in.
//!
//! A condition says when a rule applies; what then happens is the rule's own business.

use caremesh_kernel::Date;
use serde::{Deserialize, Serialize};

use super::people::Relation;

/// What kind of event is insured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EventKind {
    /// A stay in a hospital, with all that belongs to it.
    Admission,
    /// A visit or treatment without a stay.
    Outpatient,
    /// A consultation, in person or remote.
    Consultation,
    /// A medication order.
    PharmacyOrder,
    /// Laboratory or imaging.
    Diagnostic,
}

/// What kind of charge a line is; decides whether the room factor touches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LineKind {
    /// Rent of a ward room.
    Room,
    /// Rent of intensive care.
    Icu,
    /// Doctors' fees, nursing, theatre: charges that go with the room.
    Associated,
    /// A package price.
    Package,
    /// Medicines.
    Pharmacy,
    /// Consumables.
    Consumable,
    /// Implants and devices.
    Implant,
    /// Laboratory and imaging.
    Diagnostic,
    /// A consultation.
    Consultation,
    /// A fixed benefit, paid beside the actual cost.
    FixedBenefit,
    /// Anything else.
    Other,
}

/// Whether the provider is in the plan's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Network {
    /// In the network.
    In,
    /// Outside it.
    Out,
}

/// When a rule applies: every list that is given must contain the fact; what is not given asks nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct When {
    /// Kinds of event.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventKind>,
    /// Benefit codes of the line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub benefits: Vec<String>,
    /// Kinds of the line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<LineKind>,
    /// ICD-10 prefixes, of which one of the event's conditions must start with one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<String>,
    /// Prefixes of the line's service code.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
    /// Relations of the member to the policyholder.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub relations: Vec<Relation>,
    /// Youngest age of the member in completed years on the event date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_age: Option<u32>,
    /// Oldest age of the member in completed years on the event date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u32>,
    /// In or out of network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Zones of the provider.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<String>,
    /// Caused by an accident, or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accident: Option<bool>,
    /// An emergency, or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emergency: Option<bool>,
}

/// What a condition is asked about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstance<'a> {
    pub(crate) event: EventKind,
    pub(crate) benefit: &'a str,
    pub(crate) kind: LineKind,
    pub(crate) conditions: &'a [String],
    pub(crate) code: Option<&'a str>,
    pub(crate) relation: Relation,
    pub(crate) birth: Date,
    pub(crate) date: Date,
    pub(crate) network: Network,
    pub(crate) zone: Option<&'a str>,
    pub(crate) accident: bool,
    pub(crate) emergency: bool,
}

impl When {
    /// Whether the rule applies under these circumstances.
    pub(crate) fn applies(&self, to: &Circumstance<'_>) -> bool {
        asks_nothing_or(&self.benefits, |benefit| benefit == to.benefit)
            && asks_nothing_or(&self.events, |event| *event == to.event)
            && asks_nothing_or(&self.kinds, |kind| *kind == to.kind)
            && asks_nothing_or(&self.codes, |prefix| to.code.is_some_and(|code| code.starts_with(prefix)))
            && asks_nothing_or(&self.conditions, |prefix| {
                to.conditions.iter().any(|c| c.starts_with(prefix.as_str()))
            })
            && asks_nothing_or(&self.zones, |zone| to.zone == Some(zone.as_str()))
            && self.network.is_none_or(|network| network == to.network)
            && self.accident.is_none_or(|accident| accident == to.accident)
            && self.emergency.is_none_or(|emergency| emergency == to.emergency)
            && asks_nothing_or(&self.relations, |relation| *relation == to.relation)
            && self.fits_age(to)
    }

    fn fits_age(&self, to: &Circumstance<'_>) -> bool {
        if self.min_age.is_none() && self.max_age.is_none() {
            return true;
        }
        let age = to.birth.age_on(to.date);
        self.min_age.is_none_or(|min| age >= min) && self.max_age.is_none_or(|max| age <= max)
    }
}

fn asks_nothing_or<T>(allowed: &[T], fits: impl Fn(&T) -> bool) -> bool {
    allowed.is_empty() || allowed.iter().any(fits)
}
