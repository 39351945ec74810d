//! A person's profile: what the person says of oneself, and which changes of it are allowed. A person needs no policy.

use caremesh_kernel::{Date, PersonId, Timestamp};
use serde::{Deserialize, Serialize};

/// As far as plan rules ask for it; FHIR administrative-gender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Gender {
    /// Male.
    Male,
    /// Female.
    Female,
    /// Other.
    Other,
    /// Not known.
    Unknown,
}

/// By which means a contact point is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ContactSystem {
    /// A telephone number.
    Phone,
    /// An e-mail address.
    Email,
}

/// A telephone number or an e-mail address.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// What it is.
    pub system: ContactSystem,
    /// The number or the address.
    pub value: String,
}

/// A postal address.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Street, house, flat.
    pub lines: Vec<String>,
    /// Town or city.
    pub city: String,
    /// State or province.
    pub state: String,
    /// Postal code.
    pub postal_code: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
}

/// What a person says of oneself. It has no Debug: a profile in a log is a leak.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Names, in the order the person uses.
    pub full_name: String,
    /// Day of birth.
    pub birth: Date,
    /// Administrative gender.
    pub gender: Gender,
    /// The preferred one first.
    pub contacts: Vec<Contact>,
    /// Postal address.
    pub address: Option<Address>,
    /// BCP 47 tag of the language to write in.
    pub language: String,
}

/// A person as the service keeps one.
#[derive(Clone)]
pub struct Person {
    /// Opaque.
    pub id: PersonId,
    /// The profile.
    pub profile: Profile,
    /// Who manages the profile: a parent of a child.
    pub managed_by: Option<PersonId>,
    /// Rises with every change; the etag.
    pub version: i64,
    /// When the person was entered.
    pub created: Timestamp,
    /// When the profile last changed.
    pub updated: Timestamp,
}

/// A field of the profile that a change may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `full_name`.
    FullName,
    /// `birth_date`.
    BirthDate,
    /// `gender`.
    Gender,
    /// `contact_points`.
    ContactPoints,
    /// `address`.
    Address,
    /// `language_tag`.
    LanguageTag,
}

impl Field {
    /// The field of a mask's path.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        match path {
            "full_name" => Some(Self::FullName),
            "birth_date" => Some(Self::BirthDate),
            "gender" => Some(Self::Gender),
            "contact_points" => Some(Self::ContactPoints),
            "address" => Some(Self::Address),
            "language_tag" => Some(Self::LanguageTag),
            _ => None,
        }
    }
}

impl Profile {
    /// The profile with the named fields taken from another.
    #[must_use]
    pub fn with(mut self, from: Self, fields: &[Field]) -> Self {
        for field in fields {
            match field {
                Field::FullName => self.full_name.clone_from(&from.full_name),
                Field::BirthDate => self.birth = from.birth,
                Field::Gender => self.gender = from.gender,
                Field::ContactPoints => self.contacts.clone_from(&from.contacts),
                Field::Address => self.address.clone_from(&from.address),
                Field::LanguageTag => self.language.clone_from(&from.language),
            }
        }
        self
    }

    /// Whether what premiums and waiting were computed from would differ; for an insured person that is an
    /// endorsement's business.
    #[must_use]
    pub fn differs_for_cover(&self, other: &Self) -> bool {
        self.birth != other.birth || self.gender != other.gender
    }
}
