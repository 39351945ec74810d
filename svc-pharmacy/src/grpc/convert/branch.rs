//! Branches, licences, pharmacists, places.

use caremesh_kernel::Timestamp;
use caremesh_mesh::wire::{self as shared, ToWire, Violation};
use caremesh_proto::pharmacy::v1 as wire;

use crate::domain::branch::{Licence, LicenceKind, Point};
use crate::store::branch::{Pharmacist, Row};

type Checked<T> = Result<T, Violation>;

/// A place that must be there.
pub(in crate::grpc) fn point_of(path: &str, point: Option<wire::GeoPoint>) -> Checked<Point> {
    let point = shared::required(path, point)?;
    Ok(Point { latitude_e6: point.latitude_e6, longitude_e6: point.longitude_e6 })
}

/// A licence that must be there.
pub(in crate::grpc) fn licence_of(licence: Option<wire::Licence>) -> Checked<Licence> {
    let licence = shared::required("licence", licence)?;
    let kind = match wire::LicenceKind::try_from(licence.kind) {
        Ok(wire::LicenceKind::Premises) => LicenceKind::Premises,
        Ok(wire::LicenceKind::Superintendent) => LicenceKind::Superintendent,
        _ => {
            return Err(Violation::new(
                "licence.kind",
                "enum.defined_only",
                "must be a word of the contract",
            ));
        }
    };
    Ok(Licence { kind, number: licence.number, valid: shared::date_range("licence.valid", licence.valid)? })
}

/// A branch as it stands at an instant. Licences that are over are not shown.
pub(in crate::grpc) fn branch(row: &Row, now: Timestamp) -> wire::Branch {
    let today = row.today(now);
    let shown = row.licences.iter().filter(|licence| licence.valid.end() > today);
    wire::Branch {
        branch_id: row.id.to_string(),
        organisation_id: row.organisation.to_string(),
        display_name: row.name.clone(),
        jurisdiction_code: row.jurisdiction.clone(),
        time_zone: row.zone.name().to_owned(),
        location: Some(wire::GeoPoint {
            latitude_e6: row.place.latitude_e6,
            longitude_e6: row.place.longitude_e6,
        }),
        licences: shown.map(licence).collect(),
        may_dispense: row.may_dispense(now),
        etag: row.version.to_string(),
        create_time: Some(row.created.to_wire()),
    }
}

fn licence(licence: &Licence) -> wire::Licence {
    let kind = match licence.kind {
        LicenceKind::Premises => wire::LicenceKind::Premises,
        LicenceKind::Superintendent => wire::LicenceKind::Superintendent,
    };
    wire::Licence { kind: kind.into(), number: licence.number.clone(), valid: Some(licence.valid.to_wire()) }
}

/// A registration.
pub(in crate::grpc) fn pharmacist(pharmacist: &Pharmacist) -> wire::Pharmacist {
    wire::Pharmacist {
        pharmacist_id: pharmacist.registration.pharmacist.to_string(),
        branch_id: pharmacist.registration.branch.to_string(),
        registration_number: pharmacist.number.clone(),
        valid: Some(pharmacist.registration.valid.to_wire()),
    }
}
