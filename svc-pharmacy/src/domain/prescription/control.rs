//! Controlled classes of medicine, one table per jurisdiction, as data: how each may be prescribed and whether it is sold
//! online. Knows no product and no clock.

use caremesh_kernel::Zone;
use serde::{Deserialize, Serialize};

use crate::domain::safety::{HighRisk, substances};

/// The tables that ship with the product.
const BUILT_IN: [&str; 2] =
    [include_str!("../../../jurisdictions/in.toml"), include_str!("../../../jurisdictions/ng.toml")];
const HIGH_RISK: &str = include_str!("../../../jurisdictions/high_risk.toml");

/// How prescriber and patient met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Met {
    /// In writing.
    Text,
    /// By telephone.
    Audio,
    /// By video.
    Video,
    /// Face to face. Paper counts as this.
    InPerson,
}

/// The meeting from which a prescription comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encounter {
    /// How they met.
    pub met: Met,
    /// Whether the patient was seen for the same condition before.
    pub follow_up: bool,
}

/// A class of medicine in a jurisdiction.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MedicineClass {
    /// Its name there, `X`.
    pub name: String,
    /// Substances, plain.
    #[serde(default)]
    substances: Vec<String>,
    /// ATC codes or beginnings of codes.
    #[serde(default)]
    atc: Vec<String>,
    /// Whether it takes whatever no class before it took.
    #[serde(default)]
    any: bool,
    /// Ways of a first consultation in which it may be prescribed.
    first: Vec<Met>,
    /// Ways of a later one.
    follow_up: Vec<Met>,
    /// Whether it may be sold online.
    pub online: bool,
}

/// Why a class forbids it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("class {class}: {rule}")]
pub struct ControlRefusal {
    /// The class.
    pub class: String,
    /// The rule, by a short name.
    pub rule: &'static str,
}

/// A table that cannot be read: a mistake in the data that ships.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a table of medicine classes cannot be read: {0}")]
pub struct ControlError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    code: String,
    time_zone: Zone,
    class: Vec<MedicineClass>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HighRiskTable {
    atc: Vec<String>,
    substances: Vec<String>,
}

/// The classes of every jurisdiction that the product knows.
pub struct Control {
    tables: Vec<Table>,
    high_risk: HighRisk,
}

impl Control {
    /// The tables that ship with the product.
    ///
    /// # Errors
    /// [`ControlError`] for a table that cannot be read.
    pub fn built_in() -> Result<Self, ControlError> {
        let read =
            |text: &&str| toml::from_str(text).map_err(|error| ControlError(error.message().to_owned()));
        let tables = BUILT_IN.iter().map(read).collect::<Result<Vec<Table>, _>>()?;
        let high_risk: HighRiskTable =
            toml::from_str(HIGH_RISK).map_err(|error| ControlError(error.message().to_owned()))?;
        let HighRiskTable { atc, substances } = high_risk;
        Ok(Self { tables, high_risk: HighRisk { atc, substances } })
    }

    /// Classes in which a medicine that cannot be checked is not given.
    #[must_use]
    pub fn high_risk(&self) -> &HighRisk {
        &self.high_risk
    }

    /// The zone in which the jurisdiction counts days; none for one that the product does not know.
    #[must_use]
    pub fn zone(&self, jurisdiction: &str) -> Option<&Zone> {
        self.table(jurisdiction).map(|table| &table.time_zone)
    }

    fn table(&self, jurisdiction: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.code == jurisdiction)
    }

    /// The class of a medicine: of several substances the strictest counts, which is the one named first in the table.
    #[must_use]
    pub fn class(&self, jurisdiction: &str, generic: &str, atc: Option<&str>) -> Option<&MedicineClass> {
        let named = substances(generic);
        self.table(jurisdiction)?.class.iter().find(|class| {
            class.any
                || named.iter().any(|name| class.substances.contains(name))
                || atc.is_some_and(|code| class.atc.iter().any(|prefix| code.starts_with(prefix.as_str())))
        })
    }

    /// Whether a medicine may be prescribed in such a meeting.
    ///
    /// # Errors
    /// [`ControlRefusal`].
    pub fn may_prescribe(
        &self,
        jurisdiction: &str,
        generic: &str,
        atc: Option<&str>,
        encounter: Encounter,
    ) -> Result<(), ControlRefusal> {
        let Some(class) = self.class(jurisdiction, generic, atc) else { return Ok(()) };
        let ways = if encounter.follow_up { &class.follow_up } else { &class.first };
        if ways.contains(&encounter.met) {
            return Ok(());
        }
        let rule = if class.first == [Met::InPerson] && class.follow_up == [Met::InPerson] {
            "control.never_at_a_distance"
        } else if class.first == [Met::InPerson] {
            "control.follow_up_only"
        } else {
            "control.first_by_video"
        };
        Err(ControlRefusal { class: class.name.clone(), rule })
    }

    /// Whether a medicine may be sold online, that is ordered and delivered.
    ///
    /// # Errors
    /// [`ControlRefusal`].
    pub fn may_sell_online(
        &self,
        jurisdiction: &str,
        generic: &str,
        atc: Option<&str>,
    ) -> Result<(), ControlRefusal> {
        match self.class(jurisdiction, generic, atc) {
            Some(class) if !class.online => {
                Err(ControlRefusal { class: class.name.clone(), rule: "control.not_online" })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control() -> Control {
        Control::built_in().unwrap()
    }

    fn met(met: Met, follow_up: bool) -> Encounter {
        Encounter { met, follow_up }
    }

    fn rule(jurisdiction: &str, generic: &str, encounter: Encounter) -> Option<(String, &'static str)> {
        let refused = control().may_prescribe(jurisdiction, generic, None, encounter).err()?;
        Some((refused.class, refused.rule))
    }

    #[test]
    fn inv_r4_india_s_lists_decide_by_the_way_of_the_consultation() {
        assert_eq!(rule("IN", "Paracetamol 500mg", met(Met::Text, false)), None, "list O: any mode");
        let first_by_video = Some(("A".to_owned(), "control.first_by_video"));
        assert_eq!(rule("IN", "Amlodipine", met(Met::Audio, false)), first_by_video);
        assert_eq!(rule("IN", "Amlodipine", met(Met::Video, false)), None);
        assert_eq!(rule("IN", "Amlodipine", met(Met::Audio, true)), None, "a refill on a follow-up");
        let follow_up_only = Some(("B".to_owned(), "control.follow_up_only"));
        assert_eq!(rule("IN", "Hydrochlorothiazide", met(Met::Video, false)), follow_up_only);
        assert_eq!(rule("IN", "Hydrochlorothiazide", met(Met::Text, true)), None);
    }

    #[test]
    fn inv_r4_schedule_x_and_narcotics_are_never_prescribed_at_a_distance_nor_sold_online() {
        for (generic, class) in
            [("Methylphenidate", "X"), ("Tramadol + Paracetamol", "NDPS"), ("Alprazolam", "NDPS")]
        {
            let never = Some((class.to_owned(), "control.never_at_a_distance"));
            assert_eq!(rule("IN", generic, met(Met::Video, true)), never, "{generic}");
            assert_eq!(rule("IN", generic, met(Met::InPerson, false)), None);
            assert!(control().may_sell_online("IN", generic, None).is_err());
        }
        let by_code = control().may_prescribe("IN", "a new opioid", Some("N02AX99"), met(Met::Video, false));
        assert!(by_code.is_err(), "the code decides where the name is unknown");
    }

    #[test]
    fn inv_r4_nigeria_sells_no_narcotics_and_psychotropics_online() {
        assert!(control().may_sell_online("NG", "Codeine", None).is_err());
        assert!(control().may_sell_online("NG", "Diazepam", None).is_err());
        assert!(control().may_sell_online("NG", "Artemether + Lumefantrine", None).is_ok());
        assert_eq!(rule("NG", "Amlodipine", met(Met::Text, false)), None);
    }

    #[test]
    fn the_product_knows_two_jurisdictions_and_their_days() {
        assert_eq!(control().zone("IN").map(Zone::name), Some("Asia/Kolkata"));
        assert_eq!(control().zone("NG").map(Zone::name), Some("Africa/Lagos"));
        assert!(control().zone("XX").is_none());
    }
}
