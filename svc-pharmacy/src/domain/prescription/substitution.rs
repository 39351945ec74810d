//! Whether a product may be handed out for what was prescribed. Knows no price list: whether the patient pays more is told.

use caremesh_kernel::ProductId;
use serde::{Deserialize, Serialize};

use super::Prescribed;
use crate::domain::safety::substances;

/// A product as the catalogue has it, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Medicine {
    /// Its id.
    pub product: ProductId,
    /// Its substances.
    pub generic: String,
    /// Its strength.
    pub strength: String,
    /// Its form.
    pub form: String,
    /// Its ATC code, where known.
    pub atc: Option<String>,
    /// Price of one pack in minor units, where known.
    pub price: Option<i64>,
}

/// Why another product is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SubstitutionReason {
    /// The plan pays for another one.
    Formulary,
    /// The prescribed one is not there.
    OutOfStock,
    /// It is cheaper for the patient.
    Price,
    /// The patient asked for it.
    PatientRequest,
}

impl SubstitutionReason {
    /// Its name in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Formulary => "FORMULARY",
            Self::OutOfStock => "OUT_OF_STOCK",
            Self::Price => "PRICE",
            Self::PatientRequest => "PATIENT_REQUEST",
        }
    }
}

/// Why a product may not take the prescribed one's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubstitutionRefusal {
    /// Substances, strength or form differ: never a substitute, whoever agrees.
    #[error("substances, strength or form differ")]
    OtherMedicine,
    /// The prescriber forbids it.
    #[error("the prescriber forbids it")]
    Forbidden,
    /// Nobody said why.
    #[error("no reason was given")]
    NoReason,
    /// It costs the patient more and the patient has not agreed.
    #[error("the patient has not agreed to pay more")]
    NoConsent,
}

/// Whether `given` may be handed out for `prescribed`. Says whether it is a substitute. `brand` is the prescribed product,
/// where one was prescribed and is known.
///
/// # Errors
/// [`SubstitutionRefusal`].
pub fn may_replace(
    prescribed: &Prescribed,
    brand: Option<&Medicine>,
    given: &Medicine,
    reason: Option<SubstitutionReason>,
    consent: bool,
) -> Result<bool, SubstitutionRefusal> {
    if prescribed.product == Some(given.product) {
        return Ok(false);
    }
    if !is_same_medicine(prescribed, given) {
        return Err(SubstitutionRefusal::OtherMedicine);
    }
    // Any product will do where no brand was prescribed.
    if prescribed.product.is_none() {
        return Ok(false);
    }
    if !prescribed.substitution_allowed {
        return Err(SubstitutionRefusal::Forbidden);
    }
    if reason.is_none() {
        return Err(SubstitutionRefusal::NoReason);
    }
    // A price that is not known may be higher: then only consent helps.
    let cheaper = brand.and_then(|brand| brand.price).zip(given.price).is_some_and(|(was, is)| is <= was);
    if cheaper || consent { Ok(true) } else { Err(SubstitutionRefusal::NoConsent) }
}

fn is_same_medicine(prescribed: &Prescribed, given: &Medicine) -> bool {
    let substances_of = |text: &str| {
        let mut names = substances(text);
        names.sort();
        names
    };
    substances_of(&prescribed.generic) == substances_of(&given.generic)
        && strengths(&prescribed.strength) == strengths(&given.strength)
        && plain(&prescribed.form) == plain(&given.form)
}

/// Digits and units in their order, `500 mg + 125 mg` like `500mg; 125mg`: digits are compared exactly, never fuzzily.
fn strengths(text: &str) -> Vec<String> {
    text.split(['+', ';', '|']).map(plain).filter(|part| !part.is_empty()).collect()
}

/// Lower case without spaces; a plural counts as its singular.
fn plain(text: &str) -> String {
    let plain: String =
        text.chars().filter(|letter| !letter.is_whitespace()).flat_map(char::to_lowercase).collect();
    plain.strip_suffix('s').map_or(plain.clone(), str::to_owned)
}
