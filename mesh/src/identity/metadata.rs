//! What travels with a call besides credentials: its purpose, the person a later step concerns, the
//! care episode. Written by the client stack, read by the server stack.

use caremesh_kernel::{EpisodeId, PersonId};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::policy::Purpose;

/// Why the data is used: `treatment`, `payment` or `operations`. May be said from outside.
pub const PURPOSE: HeaderName = HeaderName::from_static("x-caremesh-purpose");
/// The person a step concerns that runs without that person's token (`per_…`). Audited, never
/// authority; dropped at the edge.
pub const ON_BEHALF_OF: HeaderName = HeaderName::from_static("x-caremesh-on-behalf-of");
/// The care episode that the call belongs to (`epi_…`). From outside only a claim: the service checks
/// that it is the patient's.
pub const EPISODE: HeaderName = HeaderName::from_static("x-caremesh-episode-id");

/// What the value of [`PURPOSE`] says the call is for; None when it is nothing known.
#[must_use]
pub fn purpose(stated: &[u8]) -> Option<Purpose> {
    match stated {
        b"treatment" => Some(Purpose::Treatment),
        b"payment" => Some(Purpose::Payment),
        b"operations" => Some(Purpose::Operations),
        _ => None,
    }
}

/// The person whom a later step concerns.
#[must_use]
pub fn on_behalf_of(headers: &HeaderMap) -> Option<PersonId> {
    headers.get(ON_BEHALF_OF)?.to_str().ok()?.parse().ok()
}

/// The care episode.
#[must_use]
pub fn episode(headers: &HeaderMap) -> Option<EpisodeId> {
    headers.get(EPISODE)?.to_str().ok()?.parse().ok()
}

/// Removes what only a workload of ours may say. The edge calls it on every request from outside.
pub fn drop_untrusted(headers: &mut HeaderMap) {
    headers.remove(ON_BEHALF_OF);
    headers.remove("baggage");
    headers.remove("tracestate");
}

pub(crate) fn set_purpose(headers: &mut HeaderMap, purpose: Purpose) {
    let text = match purpose {
        Purpose::Treatment => "treatment",
        Purpose::Payment => "payment",
        Purpose::Operations => "operations",
        Purpose::Unspecified => return,
    };
    headers.insert(PURPOSE, HeaderValue::from_static(text));
}

/// Ids are lower-case letters, digits and `_`, so each is a header value.
pub(crate) fn set_id(headers: &mut HeaderMap, name: HeaderName, id: &impl ToString) {
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        headers.insert(name, value);
    }
}
