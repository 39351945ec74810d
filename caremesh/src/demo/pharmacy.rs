//! The demo's pharmacy: its branches with their licences and pharmacists, entered as an operator would.
//! Must not know svc-pharmacy from inside.

use anyhow::{Context, Result};
use caremesh_proto::pharmacy::v1::branch_service_client::BranchServiceClient;
use caremesh_proto::pharmacy::v1::{
    Branch, CreateBranchRequest, GeoPoint, Licence, LicenceKind, RecordLicenceRequest,
    RegisterPharmacistRequest,
};
use caremesh_proto::r#type::v1::{Date, DateRange};
use serde::Deserialize;
use toml::value::Datetime;

use super::load::request_id;
use super::{DemoPerson, Loader, PersonIds, find};
use crate::terminal;

/// The file of branches.
pub(super) const FILE: &str = include_str!("../../demo/pharmacy.toml");
/// Who enters them.
const OPERATOR: &str = "deji";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chain {
    organisation: String,
    branch: Vec<Planned>,
}

/// A branch as the file tells it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Planned {
    name: String,
    jurisdiction: String,
    time_zone: String,
    latitude_e6: i32,
    longitude_e6: i32,
    licensed: Days,
    premises: String,
    superintendent: String,
    pharmacists: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Days {
    from: Datetime,
    until: Datetime,
}

impl Loader<'_> {
    /// Opens every branch of the demo: licensed, with its pharmacists, and with medicines on its shelves.
    ///
    /// # Errors
    /// With the first call that is refused.
    pub async fn open_pharmacies(&self) -> Result<()> {
        let chain: Chain = toml::from_str(FILE).context("demo/pharmacy.toml")?;
        let operator = find(OPERATOR, &PersonIds::default())?;
        self.import_medicines(&operator).await.context("the demo's medicines")?;
        let bar = terminal::progress(chain.branch.len() as u64, "demo pharmacies");
        for planned in &chain.branch {
            let opened = self.open(&chain.organisation, planned, &operator).await;
            opened.with_context(|| format!("opening {}", planned.name))?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        self.until_found(&operator).await
    }

    async fn open(&self, organisation: &str, planned: &Planned, operator: &DemoPerson) -> Result<()> {
        let branch = self.enter_branch(organisation, planned, operator).await?;
        let mut service = BranchServiceClient::new(self.gateway.clone());
        let valid = planned.licensed.on_the_wire()?;
        let licences = [
            (LicenceKind::Premises, &planned.premises),
            (LicenceKind::Superintendent, &planned.superintendent),
        ];
        for (kind, number) in licences {
            let licence = Licence { kind: kind.into(), number: number.clone(), valid: Some(valid) };
            let request = RecordLicenceRequest {
                request_id: request_id(&["licence", number]),
                branch_id: branch.branch_id.clone(),
                licence: Some(licence),
            };
            service.record_licence(self.signed(request, operator)?).await?;
        }
        let issuer = self.signer.issuer();
        for handle in &planned.pharmacists {
            let request = RegisterPharmacistRequest {
                request_id: request_id(&["pharmacist", handle, &issuer]),
                branch_id: branch.branch_id.clone(),
                issuer: issuer.clone(),
                subject: find(handle, &PersonIds::default())?.subject,
                registration_number: format!("DEMO-{handle}"),
                valid: Some(valid),
            };
            service.register_pharmacist(self.signed(request, operator)?).await?;
        }
        self.fill(&branch, operator).await.context("filling its shelves")
    }

    async fn enter_branch(
        &self,
        organisation: &str,
        planned: &Planned,
        operator: &DemoPerson,
    ) -> Result<Branch> {
        let request = CreateBranchRequest {
            request_id: request_id(&["branch", &planned.name]),
            organisation_id: organisation.to_owned(),
            display_name: planned.name.clone(),
            jurisdiction_code: planned.jurisdiction.clone(),
            time_zone: planned.time_zone.clone(),
            location: Some(GeoPoint { latitude_e6: planned.latitude_e6, longitude_e6: planned.longitude_e6 }),
        };
        let mut service = BranchServiceClient::new(self.gateway.clone());
        let answer = service.create_branch(self.signed(request, operator)?).await?;
        answer.into_inner().branch.context("an answer without a branch")
    }
}

impl Days {
    fn on_the_wire(&self) -> Result<DateRange> {
        Ok(DateRange { start: Some(day(&self.from)?), end: Some(day(&self.until)?) })
    }
}

/// A day of a demo file as the contract writes it.
pub(super) fn day(date: &Datetime) -> Result<Date> {
    let date = date.date.context("a day is a date without a time")?;
    Ok(Date { year: date.year.into(), month: date.month.into(), day: date.day.into() })
}
