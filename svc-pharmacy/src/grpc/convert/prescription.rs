//! Prescriptions, their items and fills.

use caremesh_mesh::wire::{self as shared, ToWire as _, Violation};
use caremesh_proto::pharmacy::v1 as wire;
use caremesh_proto::r#type::v1 as types;

use super::safety;
use crate::app::prescription::{Dispensed, Shown, Ticket};
use crate::domain::prescription::{
    DailyDose, Encounter, IntervalOverride, Item, ItemState, MediaType, Met, PaperState, Prescribed,
    Rejection, Source, SubstitutionReason,
};

type Checked<T> = Result<T, Violation>;

const WORD: (&str, &str) = ("enum.defined_only", "must be a word of the contract");

fn no_word(path: &str) -> Violation {
    Violation::new(path, WORD.0, WORD.1)
}

/// The items of a prescription, and the unit of each dose.
pub(in crate::grpc) fn items_of(
    items: Vec<wire::PrescribedItem>,
) -> Checked<(Vec<Prescribed>, Vec<Option<String>>)> {
    let units =
        items.iter().map(|item| item.daily_dose.as_ref().map(|dose| dose.unit_code.clone())).collect();
    let items = items.into_iter().enumerate().map(|(n, item)| item_of(n, item)).collect::<Checked<_>>()?;
    Ok((items, units))
}

fn item_of(n: usize, item: wire::PrescribedItem) -> Checked<Prescribed> {
    let path = |field: &str| format!("items[{n}].{field}");
    let number = |field: &str, value: i32| {
        u32::try_from(value).map_err(|_| Violation::new(path(field), "int32.gte", "must not be negative"))
    };
    Ok(Prescribed {
        daily_dose: item.daily_dose.map(|dose| dose_of(&path("daily_dose"), &dose)).transpose()?,
        product: shared::optional_id(&path("product_id"), &item.product_id)?,
        repeats: number("repeats", item.repeats)?,
        valid: shared::date_range(&path("valid"), item.valid)?,
        interval_days: Some(number("interval_days", item.interval_days)?).filter(|days| *days > 0),
        atc: Some(item.atc_code).filter(|code| !code.is_empty()),
        generic: item.generic_name,
        strength: item.strength,
        form: item.form,
        quantity: item.quantity,
        unit: item.unit_code,
        substitution_allowed: item.substitution_allowed,
        instruction: item.instruction,
    })
}

/// A daily dose.
pub(in crate::grpc) fn dose_of(path: &str, dose: &types::Quantity) -> Checked<DailyDose> {
    let places = || Violation::new(format!("{path}.decimal_places"), "int32.lte", "must be 0 to 6");
    let decimal_places = u32::try_from(dose.decimal_places).map_err(|_| places())?;
    if decimal_places > 6 {
        return Err(places());
    }
    Ok(DailyDose { value: dose.value, decimal_places })
}

/// The meeting from which a prescription comes.
pub(in crate::grpc) fn encounter_of(mode: i32, follow_up: bool) -> Checked<Encounter> {
    let met = match wire::ConsultationMode::try_from(mode) {
        Ok(wire::ConsultationMode::Text) => Met::Text,
        Ok(wire::ConsultationMode::Audio) => Met::Audio,
        Ok(wire::ConsultationMode::Video) => Met::Video,
        Ok(wire::ConsultationMode::InPerson) => Met::InPerson,
        _ => return Err(no_word("consultation_mode")),
    };
    Ok(Encounter { met, follow_up })
}

/// Why paper is refused.
pub(in crate::grpc) fn rejection_of(reason: i32) -> Checked<Rejection> {
    Ok(match wire::RejectionReason::try_from(reason) {
        Ok(wire::RejectionReason::Unreadable) => Rejection::Unreadable,
        Ok(wire::RejectionReason::Expired) => Rejection::Expired,
        Ok(wire::RejectionReason::OtherPerson) => Rejection::OtherPerson,
        Ok(wire::RejectionReason::Altered) => Rejection::Altered,
        Ok(wire::RejectionReason::NotAPrescription) => Rejection::NotAPrescription,
        Ok(wire::RejectionReason::Duplicate) => Rejection::Duplicate,
        _ => return Err(no_word("reason")),
    })
}

/// Why another product, if it is one.
pub(in crate::grpc) fn substitution_of(reason: i32) -> Checked<Option<SubstitutionReason>> {
    Ok(Some(match wire::SubstitutionReason::try_from(reason) {
        Ok(wire::SubstitutionReason::Unspecified) => return Ok(None),
        Ok(wire::SubstitutionReason::Formulary) => SubstitutionReason::Formulary,
        Ok(wire::SubstitutionReason::OutOfStock) => SubstitutionReason::OutOfStock,
        Ok(wire::SubstitutionReason::Price) => SubstitutionReason::Price,
        Ok(wire::SubstitutionReason::PatientRequest) => SubstitutionReason::PatientRequest,
        Err(_) => return Err(no_word("substitution_reason")),
    }))
}

/// Why a fill may be early, if it is.
pub(in crate::grpc) fn early_of(reason: i32) -> Checked<Option<IntervalOverride>> {
    Ok(Some(match wire::IntervalOverride::try_from(reason) {
        Ok(wire::IntervalOverride::Unspecified) => return Ok(None),
        Ok(wire::IntervalOverride::LostOrDamaged) => IntervalOverride::LostOrDamaged,
        Ok(wire::IntervalOverride::Travel) => IntervalOverride::Travel,
        Ok(wire::IntervalOverride::PrescriberAgreed) => IntervalOverride::PrescriberAgreed,
        Err(_) => return Err(no_word("interval_override")),
    }))
}

/// The kind of a document.
pub(in crate::grpc) fn kind_of(mime_type: &str) -> Checked<MediaType> {
    MediaType::of_name(mime_type)
        .ok_or_else(|| Violation::new("mime_type", "string.in", "must be JPEG, PNG or PDF"))
}

/// A prescription as it stands when it is shown.
pub(in crate::grpc) fn prescription(shown: &Shown) -> wire::Prescription {
    let row = &shown.row;
    let source = match row.source {
        Source::Consultation => wire::PrescriptionSource::Consultation,
        Source::Paper => wire::PrescriptionSource::Paper,
    };
    let items = shown.items.iter().zip(&shown.classes);
    wire::Prescription {
        prescription_id: row.id.to_string(),
        patient_person_id: row.patient.to_string(),
        jurisdiction_code: row.jurisdiction.clone(),
        source: source.into(),
        state: paper_state(shown.state).into(),
        items: items.map(|(one, class)| item(one, class, shown)).collect(),
        prescriber_registration: shown
            .detail
            .as_ref()
            .map(|detail| detail.registration.clone())
            .unwrap_or_default(),
        issue_date: shown.detail.as_ref().map(|detail| detail.issued.to_wire()),
        rejection_reason: row.rejection.map_or(wire::RejectionReason::Unspecified, rejection).into(),
        verified_by_pharmacist_id: row.verified_by.map(|id| id.to_string()).unwrap_or_default(),
        document_sha256: row.document.as_ref().map(|document| document.sha256.clone()).unwrap_or_default(),
        document_type: row
            .document
            .as_ref()
            .map(|document| document.kind.name().to_owned())
            .unwrap_or_default(),
        safety_check: shown.safety.as_ref().map(safety::check),
        episode_id: row.episode.map(|id| id.to_string()).unwrap_or_default(),
        etag: row.version.to_string(),
        create_time: Some(row.created.to_wire()),
        expire_time: row.expires.map(|expires| expires.to_wire()),
    }
}

fn paper_state(state: PaperState) -> wire::PrescriptionState {
    match state {
        PaperState::AwaitingDocument => wire::PrescriptionState::AwaitingDocument,
        PaperState::Uploaded => wire::PrescriptionState::Uploaded,
        PaperState::InVerification => wire::PrescriptionState::InVerification,
        PaperState::Verified => wire::PrescriptionState::Verified,
        PaperState::Rejected => wire::PrescriptionState::Rejected,
        PaperState::Expired => wire::PrescriptionState::Expired,
        PaperState::Cancelled => wire::PrescriptionState::Cancelled,
    }
}

fn rejection(reason: Rejection) -> wire::RejectionReason {
    match reason {
        Rejection::Unreadable => wire::RejectionReason::Unreadable,
        Rejection::Expired => wire::RejectionReason::Expired,
        Rejection::OtherPerson => wire::RejectionReason::OtherPerson,
        Rejection::Altered => wire::RejectionReason::Altered,
        Rejection::NotAPrescription => wire::RejectionReason::NotAPrescription,
        Rejection::Duplicate => wire::RejectionReason::Duplicate,
    }
}

fn item(item: &Item, class: &str, shown: &Shown) -> wire::PrescriptionItem {
    let state = match item.state(shown.today) {
        ItemState::Draft => wire::PrescriptionItemState::Draft,
        ItemState::Active => wire::PrescriptionItemState::Active,
        ItemState::OnHold => wire::PrescriptionItemState::OnHold,
        ItemState::Completed => wire::PrescriptionItemState::Completed,
        ItemState::Expired => wire::PrescriptionItemState::Expired,
        ItemState::Stopped => wire::PrescriptionItemState::Stopped,
        ItemState::Cancelled => wire::PrescriptionItemState::Cancelled,
    };
    wire::PrescriptionItem {
        item_id: item.id.to_string(),
        prescribed: Some(prescribed(&item.prescribed)),
        state: state.into(),
        fills_allowed: number(item.prescribed.fills()),
        fills_used: number(item.counters.fills),
        quantity_dispensed: item.counters.total,
        owed: item.owed(),
        next_fill_date: item.next_fill().map(|day| day.to_wire()),
        control_class: class.to_owned(),
    }
}

fn prescribed(item: &Prescribed) -> wire::PrescribedItem {
    wire::PrescribedItem {
        generic_name: item.generic.clone(),
        strength: item.strength.clone(),
        form: item.form.clone(),
        atc_code: item.atc.clone().unwrap_or_default(),
        product_id: item.product.map(|id| id.to_string()).unwrap_or_default(),
        quantity: item.quantity,
        unit_code: item.unit.clone(),
        daily_dose: item.daily_dose.map(|dose| types::Quantity {
            value: dose.value,
            decimal_places: number(dose.decimal_places),
            unit_code: item.unit.clone(),
        }),
        repeats: number(item.repeats),
        valid: Some(item.valid.to_wire()),
        interval_days: item.interval_days.map(number).unwrap_or_default(),
        substitution_allowed: item.substitution_allowed,
        instruction: item.instruction.clone(),
    }
}

fn number(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// A ticket.
pub(in crate::grpc) fn ticket(ticket: &Ticket) -> wire::UploadTicket {
    wire::UploadTicket {
        ticket: ticket.text.clone(),
        upload_path: ticket.path.clone(),
        expire_time: Some(ticket.expires.to_wire()),
    }
}

/// A dispense.
pub(in crate::grpc) fn dispense(done: &Dispensed) -> wire::Dispense {
    let record = &done.record;
    let lots = record
        .lots
        .iter()
        .map(|part| wire::DispensedLot { lot_id: part.lot.to_string(), quantity: part.quantity });
    wire::Dispense {
        dispense_id: record.id.to_string(),
        item_id: record.item.to_string(),
        branch_id: record.branch.to_string(),
        product_id: done.product.to_string(),
        quantity: record.quantity,
        unit_code: record.unit.clone(),
        lots: lots.collect(),
        substituted: done.substituted,
        pharmacist_id: record.pharmacist.to_string(),
        dispense_time: Some(record.at.to_wire()),
    }
}
