//! Persons and their profiles. Etags are versions as text; callers send them back as they came.

use caremesh_mesh::wire::{self as shared, ToWire, Violation};
use caremesh_proto::policy::v1 as wire;
use caremesh_proto::r#type::v1 as types;

use crate::domain::person::{Address, Contact, ContactSystem, Field, Gender, Person, Profile};

type Checked<T> = Result<T, Violation>;

/// A whole profile.
pub(in crate::grpc) fn profile_of(profile: Option<wire::PersonProfile>) -> Checked<Profile> {
    let profile = shared::required("profile", profile)?;
    Ok(Profile {
        birth: shared::date("profile.birth_date", profile.birth_date)?,
        gender: gender_of(profile.gender)?,
        contacts: profile.contact_points.into_iter().enumerate().map(contact_of).collect::<Checked<_>>()?,
        address: profile.address.map(address_of),
        language: if profile.language_tag.is_empty() { "en".to_owned() } else { profile.language_tag },
        full_name: profile.full_name,
    })
}

/// The fields that a mask names.
pub(in crate::grpc) fn fields_of(mask: Option<prost_types::FieldMask>) -> Checked<Vec<Field>> {
    let mask = shared::required("update_mask", mask)?;
    if mask.paths.is_empty() {
        return Err(Violation::new("update_mask", "field_mask.not_empty", "must name at least one field"));
    }
    let unknown =
        || Violation::new("update_mask", "field_mask.known_paths", "must name fields of PersonProfile");
    mask.paths.iter().map(|path| Field::of_path(path).ok_or_else(unknown)).collect()
}

/// The stored profile as a message, to take what a mask does not name.
pub(in crate::grpc) fn masked(
    given: Option<wire::PersonProfile>,
    stored: &Profile,
    fields: &[Field],
) -> wire::PersonProfile {
    let given = given.unwrap_or_default();
    let mut whole = profile(stored);
    for field in fields {
        match field {
            Field::FullName => whole.full_name.clone_from(&given.full_name),
            Field::BirthDate => whole.birth_date = given.birth_date,
            Field::Gender => whole.gender = given.gender,
            Field::ContactPoints => whole.contact_points.clone_from(&given.contact_points),
            Field::Address => whole.address.clone_from(&given.address),
            Field::LanguageTag => whole.language_tag.clone_from(&given.language_tag),
        }
    }
    whole
}

/// A version out of an etag. One that was never given out is that of no version: stale.
pub(in crate::grpc) fn version_of(etag: &str) -> i64 {
    etag.parse().unwrap_or(-1)
}

/// A person.
pub(in crate::grpc) fn person(person: &Person) -> wire::Person {
    wire::Person {
        person_id: person.id.to_string(),
        profile: Some(profile(&person.profile)),
        managed_by_person_id: person.managed_by.map(|id| id.to_string()).unwrap_or_default(),
        etag: person.version.to_string(),
        create_time: Some(person.created.to_wire()),
        update_time: Some(person.updated.to_wire()),
    }
}

fn profile(profile: &Profile) -> wire::PersonProfile {
    wire::PersonProfile {
        full_name: profile.full_name.clone(),
        birth_date: Some(profile.birth.to_wire()),
        gender: gender(profile.gender).into(),
        contact_points: profile.contacts.iter().map(contact).collect(),
        address: profile.address.as_ref().map(address),
        language_tag: profile.language.clone(),
    }
}

fn gender(gender: Gender) -> wire::AdministrativeGender {
    match gender {
        Gender::Male => wire::AdministrativeGender::Male,
        Gender::Female => wire::AdministrativeGender::Female,
        Gender::Other => wire::AdministrativeGender::Other,
        Gender::Unknown => wire::AdministrativeGender::Unknown,
    }
}

fn gender_of(number: i32) -> Checked<Gender> {
    match wire::AdministrativeGender::try_from(number) {
        Ok(wire::AdministrativeGender::Male) => Ok(Gender::Male),
        Ok(wire::AdministrativeGender::Female) => Ok(Gender::Female),
        Ok(wire::AdministrativeGender::Other) => Ok(Gender::Other),
        Ok(wire::AdministrativeGender::Unknown) => Ok(Gender::Unknown),
        Ok(wire::AdministrativeGender::Unspecified) | Err(_) => {
            Err(Violation::new("profile.gender", "enum.defined_only", "must be a word of the contract"))
        }
    }
}

fn contact(contact: &Contact) -> types::ContactPoint {
    let system = match contact.system {
        ContactSystem::Phone => types::ContactPointSystem::Phone,
        ContactSystem::Email => types::ContactPointSystem::Email,
    };
    types::ContactPoint { system: system.into(), value: contact.value.clone() }
}

fn contact_of((n, contact): (usize, types::ContactPoint)) -> Checked<Contact> {
    let path = || format!("profile.contact_points[{n}].system");
    let system = match types::ContactPointSystem::try_from(contact.system) {
        Ok(types::ContactPointSystem::Phone) => ContactSystem::Phone,
        Ok(types::ContactPointSystem::Email) => ContactSystem::Email,
        Ok(types::ContactPointSystem::Unspecified) | Err(_) => {
            return Err(Violation::new(path(), "enum.defined_only", "must be a word of the contract"));
        }
    };
    Ok(Contact { system, value: contact.value })
}

fn address(address: &Address) -> types::Address {
    types::Address {
        lines: address.lines.clone(),
        city: address.city.clone(),
        state: address.state.clone(),
        postal_code: address.postal_code.clone(),
        country_code: address.country.clone(),
    }
}

fn address_of(address: types::Address) -> Address {
    let types::Address { lines, city, state, postal_code, country_code } = address;
    Address { lines, city, state, postal_code, country: country_code }
}
