//! Typed ids in TypeID form (`pol_01h2xcejqtf2nbrexx3vqjhp41`) and the one register of their kinds.
//!
//! Own code rather than the `type-safe-id` crate: that crate makes ids from the global clock and random source,
//! which here are arguments ([`crate::IdSource`]), and it cannot derive them. The text form is the public TypeID
//! specification v0.3. An id is opaque: never a personal number, never parsed for meaning.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// What an id names. Implemented only by the register below.
pub trait Kind: 'static {
    /// Prefix in the text form: lower-case ASCII letters.
    const PREFIX: &'static str;
}

macro_rules! register {
    ($($(#[$doc:meta])* $kind:ident $alias:ident $prefix:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub enum $kind {}
            impl Kind for $kind {
                const PREFIX: &'static str = $prefix;
            }
            #[doc = concat!("Id with the prefix `", $prefix, "_`.")]
            pub type $alias = Id<$kind>;
        )*
        #[cfg(test)]
        const PREFIXES: &[&str] = &[$($prefix),*];
    };
}

register! {
    /// A person, insured or not.
    Person PersonId "per";
    /// A plan, over all its versions.
    Plan PlanId "pln";
    /// One immutable version of a plan.
    PlanVersion PlanVersionId "plv";
    /// A premium quote.
    Quote QuoteId "quo";
    /// A proposal before an underwriter.
    Proposal ProposalId "prp";
    /// A policy.
    Policy PolicyId "pol";
    /// One policy year.
    Term TermId "trm";
    /// A person's membership in one policy.
    Member MemberId "mem";
    /// A premium receipt.
    Receipt ReceiptId "rcp";
    /// A change of a policy in mid-term.
    Endorsement EndorsementId "end";
    /// Premium that is given back.
    Refund RefundId "rfd";
    /// What recovers benefit that was used beyond a limit lowered later.
    Recovery RecoveryId "rcv";
    /// A benefit account.
    Account AccountId "acc";
    /// One layer of a benefit account.
    Layer LayerId "lay";
    /// One ledger posting.
    Posting PostingId "pst";
    /// One hold on benefit.
    Hold HoldId "hld";
    /// An insured event: an admission, an order, an appointment.
    Event EventId "evt";
    /// One care episode across services.
    Episode EpisodeId "epi";
    /// An insurer, pharmacy chain, clinic or partner.
    Organisation OrganisationId "org";
    /// One persisted process.
    Process ProcessId "prc";
    /// One audited event.
    AuditEvent AuditEventId "aud";
    /// One event in an outbox.
    OutboxEvent OutboxEventId "obx";
    /// A medicinal product as it is sold: brand, strength, form and pack.
    Product ProductId "prd";
    /// One change of the catalogue: the products that were written together.
    ProductBatch ProductBatchId "pbt";
    /// A branch of a pharmacy.
    Branch BranchId "brn";
    /// A pharmacist as registered at a branch.
    Pharmacist PharmacistId "phm";
    /// A lot of a product in the stock of a branch.
    Lot LotId "lot";
    /// A reservation of stock.
    Reservation ReservationId "rsv";
    /// A prescription.
    Prescription PrescriptionId "rx";
    /// One item of a prescription.
    PrescriptionItem PrescriptionItemId "rxi";
    /// An upload ticket and the document it brings.
    Upload UploadId "upl";
    /// A safety check of medicines for one person.
    SafetyCheck SafetyCheckId "sfc";
    /// A medication order.
    Order OrderId "ord";
    /// A parcel: the part of an order that is dispensed and handed over together.
    Parcel ParcelId "pcl";
    /// What a parcel dispensed, ready to be claimed.
    Dispense DispenseId "dsp";
    /// A return of dispensed goods.
    Return ReturnId "rtn";
    /// A payment at a payment provider.
    Payment PaymentId "pay";
    /// A refill plan.
    RefillPlan RefillPlanId "rfp";
}

/// Why a text is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The prefix is missing or that of another kind.
    #[error("the id must start with \"{expected}_\"")]
    WrongPrefix {
        /// Prefix of the wanted kind.
        expected: &'static str,
    },
    /// What follows the prefix is not 26 characters of lower-case Crockford base32 within 128 bits.
    #[error(
        "the id after its prefix must be 26 characters of 0-9 and a-z without i, l, o, u, the first at most 7"
    )]
    Malformed,
}

/// A typed id: a UUID that knows what it names. Ordered bytewise, the same as its text.
pub struct Id<K> {
    uuid: Uuid,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Id<K> {
    /// The id with this UUID, usually fresh from an [`crate::IdSource`].
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self { uuid, kind: PhantomData }
    }

    /// The UUID inside.
    #[must_use]
    pub const fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// The same id for the same parts, for ever: UUIDv5 of the parts, each preceded by its length so that
    /// `["ab", "c"]` and `["a", "bc"]` differ.
    #[must_use]
    pub fn derive(namespace: Uuid, parts: &[&str]) -> Self {
        let mut name = String::with_capacity(parts.iter().map(|p| p.len() + 4).sum());
        for part in parts {
            name.push_str(&part.len().to_string());
            name.push(':');
            name.push_str(part);
        }
        Self::from_uuid(Uuid::new_v5(&namespace, name.as_bytes()))
    }
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const ENCODED_LEN: usize = 26;

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.uuid.as_u128();
        let mut text = [0u8; ENCODED_LEN];
        for slot in text.iter_mut().rev() {
            *slot = ALPHABET[(rest & 31) as usize];
            rest >>= 5;
        }
        write!(f, "{}_{}", K::PREFIX, std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K: Kind> FromStr for Id<K> {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let encoded = text
            .strip_prefix(K::PREFIX)
            .and_then(|rest| rest.strip_prefix('_'))
            .ok_or(IdError::WrongPrefix { expected: K::PREFIX })?;
        decode(encoded).map(|bits| Self::from_uuid(Uuid::from_u128(bits))).ok_or(IdError::Malformed)
    }
}

/// 26 × 5 = 130 bits, so the first character may only use its lower three.
fn decode(encoded: &str) -> Option<u128> {
    if encoded.len() != ENCODED_LEN || encoded.as_bytes()[0] > b'7' {
        return None;
    }
    encoded.bytes().try_fold(0u128, |bits, byte| {
        let digit = ALPHABET.iter().position(|known| *known == byte)?;
        Some((bits << 5) | digit as u128)
    })
}

impl<K: Kind> TryFrom<&str> for Id<K> {
    type Error = IdError;
    fn try_from(text: &str) -> Result<Self, IdError> {
        text.parse()
    }
}

impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

// By hand, because a derive would ask the same of `K`, which is only a name.
impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.uuid.cmp(&other.uuid)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_text_form_is_that_of_the_typeid_specification() {
        // Example of the specification: prefix_01h2xcejqtf2nbrexx3vqjhp41.
        let uuid = Uuid::parse_str("0188bac7-4afa-78aa-bc3b-bd1eef28d881").unwrap();
        assert_eq!(PolicyId::from_uuid(uuid).to_string(), "pol_01h2xcejqtf2nbrexx3vqjhp41");
    }

    #[test]
    fn an_id_of_another_kind_or_a_malformed_one_is_refused() {
        let expected = IdError::WrongPrefix { expected: "pol" };
        assert_eq!("mem_01h2xcejqtf2nbrexx3vqjhp41".parse::<PolicyId>(), Err(expected));
        for bad in [
            "pol_",
            "pol_81h2xcejqtf2nbrexx3vqjhp41",
            "pol_01h2xcejqtf2nbrexx3vqjhpi1",
            "pol_01H2XCEJQTF2NBREXX3VQJHP41",
            "pol_01h2xcejqtf2nbrexx3vqjhp4é",
        ] {
            assert_eq!(bad.parse::<PolicyId>(), Err(IdError::Malformed), "{bad}");
        }
    }

    #[test]
    fn each_kind_has_its_own_prefix() {
        let distinct: std::collections::BTreeSet<_> = PREFIXES.iter().collect();
        assert_eq!(distinct.len(), PREFIXES.len());
    }

    #[test]
    fn a_derived_id_depends_on_where_the_parts_are_cut() {
        let of = |parts: &[&str]| AccountId::derive(Uuid::NAMESPACE_OID, parts);
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["1:a"]), of(&["", "a"]));
    }

    proptest! {
        #[test]
        fn text_and_id_are_one_to_one_and_sort_alike(left: u128, right: u128) {
            let (left, right) = (MemberId::from_uuid(Uuid::from_u128(left)), MemberId::from_uuid(Uuid::from_u128(right)));
            prop_assert_eq!(left.to_string().parse::<MemberId>(), Ok(left));
            prop_assert_eq!(left.cmp(&right), left.to_string().cmp(&right.to_string()));
        }
    }
}
