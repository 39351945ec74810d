//! From which prescription a line of an order is filled. Knows no prescription: only its ids.

use caremesh_kernel::{PrescriptionId, PrescriptionItemId};
use serde::{Deserialize, Serialize};

use crate::domain::prescription::SubstitutionReason;

/// The prescription behind a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// Which prescription.
    pub prescription: PrescriptionId,
    /// Which item of it; none until a pharmacist has verified the paper.
    pub item: Option<PrescriptionItemId>,
    /// Why another product than the prescribed one is ordered.
    pub substitution: Option<SubstitutionReason>,
    /// The patient agrees to pay the difference.
    pub consent: bool,
}
