//! What the plan gives for an order: the legs that svc-policy priced, and the part of them that goes with a part of the
//! goods. Accounts, layers and snapshots are opaque here; a plan's rule is never copied.

use std::collections::BTreeMap;

use caremesh_kernel::ParcelId;
use serde::{Deserialize, Serialize};

use super::{Shares, part_of};

/// A leg as svc-policy gave it. Account and layer are its words, kept as they came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// The line; 0 for the event as a whole.
    pub line: u32,
    /// The account's key, encoded.
    pub account: String,
    /// The layer's key, encoded.
    pub layer: String,
    /// Whether times are counted: one fill is one count, however many parts it has.
    pub counts: bool,
    /// How much.
    pub amount: i64,
}

/// Why the member pays a part of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// The plan's rule.
    pub rule: String,
    /// The platform's code.
    pub reason: String,
    /// How much of the line, minor units.
    pub amount: i64,
}

/// The price of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricedLine {
    /// The line.
    pub sequence: u32,
    /// Who bears it.
    pub shares: Shares,
    /// Why the plan does not pay all of it.
    pub why: Vec<Why>,
}

/// A price with everything that is needed to post it, and to price a part of it again on the same balances.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Priced {
    /// Per line, ascending.
    pub lines: Vec<PricedLine>,
    /// What a hold would carry.
    pub legs: Vec<Leg>,
    /// Layers to be granted with the hold, encoded.
    pub grants: Vec<String>,
    /// Versions of the accounts that it was priced on.
    pub versions: Vec<(String, i64)>,
    /// What it was priced from, encoded; empty: nobody covers the patient.
    pub snapshot: String,
}

/// A posting that captured something, and what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// The posting.
    pub posting: String,
    /// The parcel that it was for; none after a repricing, when it is for all that is kept.
    pub parcel: Option<ParcelId>,
    /// What it captured.
    pub legs: Vec<Leg>,
}

/// What the plan gives for an order, and what of it was held and used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Benefit {
    /// The price that was held.
    pub priced: Priced,
    /// The hold, once it is posted.
    pub hold: Option<String>,
    /// Captures that stand.
    pub captures: Vec<Capture>,
    /// The posting that was tried last on other versions than those it was priced on.
    #[serde(default)]
    pub tried: Option<Tried>,
}

/// On which versions a posting was tried: written down before it is sent, so that whoever sends it again, because the answer
/// was lost, sends the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// The posting's request id.
    pub request_id: String,
    /// Account → version.
    pub versions: Vec<(String, i64)>,
}

/// What of a line goes with a part: its quantity as priced, what came before, and what there is with this part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartLine {
    /// The line.
    pub sequence: u32,
    /// Units as priced, at least 1.
    pub quantity: i64,
    /// Units of the parts before.
    pub before: i64,
    /// Units with this part.
    pub so_far: i64,
}

/// The legs of one part. Each account of a line gets the part of its own sum, drawn from its layers in their order, so that
/// all parts together are exactly the legs of the whole. What is for the event as a whole goes with the first part.
#[must_use]
pub fn part_legs(legs: &[Leg], parts: &[PartLine], is_first: bool) -> Vec<Leg> {
    let mut seen: BTreeMap<(u32, &str), i64> = BTreeMap::new();
    let mut result = Vec::new();
    for leg in legs {
        if leg.line == 0 {
            result.extend(is_first.then(|| leg.clone()));
            continue;
        }
        let Some(part) = parts.iter().find(|part| part.sequence == leg.line) else { continue };
        let whole: i64 = legs.iter().filter(|other| same(other, leg)).map(|other| other.amount).sum();
        let start = seen.entry((leg.line, &leg.account)).or_default();
        let (from, to) = window(leg.counts, whole, part);
        let amount = (to.min(*start + leg.amount) - from.max(*start)).max(0);
        *start += leg.amount;
        if amount > 0 {
            result.push(Leg { amount, ..leg.clone() });
        }
    }
    result
}

fn same(one: &Leg, other: &Leg) -> bool {
    one.line == other.line && one.account == other.account
}

/// From where to where in an account's sum the part goes.
fn window(counts: bool, whole: i64, part: &PartLine) -> (i64, i64) {
    let upto = |units: i64| match counts {
        true if units > 0 => whole,
        true => 0,
        false => part_of(whole, 0, units, part.quantity),
    };
    (upto(part.before), upto(part.so_far))
}
