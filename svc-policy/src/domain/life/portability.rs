//! Change of insurer: what cover with another one counts for here. Waiting and moratorium that were served there are credited
//! to the sum that was insured there, and to nothing more; days without cover are not counted (INV-P9).

use caremesh_kernel::{Date, DateRange, PersonId};
use serde::{Deserialize, Serialize};

use crate::domain::account::LayerKind;
use crate::domain::engine::CoverLayer;
use crate::domain::plan::Jurisdiction;

/// Cover with another insurer, as it was declared and proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorCover {
    /// The regulator's code of the insurer.
    pub insurer: String,
    /// The sum insured there, minor units of the plan's currency.
    pub sum_minor: i64,
    /// Days of cover without a break.
    pub days: DateRange,
    /// Who was covered.
    pub persons: Vec<PersonId>,
}

/// Prior cover with what it counts for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ported {
    /// As it was declared.
    pub cover: PriorCover,
    /// The day from which waiting counts for the sum that was insured there.
    pub credited_from: Date,
}

/// Why prior cover is not credited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCredited {
    /// It ended too long before, or the law knows no credit.
    #[error("the break between the covers is too long")]
    Break {
        /// The longest break, in days.
        most: u32,
    },
    /// It ends after the new cover begins, or has no days.
    #[error("the days of the prior cover cannot be meant")]
    Days,
}

impl PriorCover {
    /// The day from which waiting counts for the sum that was insured there: the start of the new cover, earlier by the days of
    /// the prior one. The break between them is not counted.
    ///
    /// # Errors
    /// [`NotCredited`].
    pub fn credited_from(&self, law: &Jurisdiction, start: Date) -> Result<Date, NotCredited> {
        if self.days.is_empty() || self.days.end() > start {
            return Err(NotCredited::Days);
        }
        let most = law.portability_break_days.ok_or(NotCredited::Break { most: 0 })?;
        if self.days.end().days_until(start) > i64::from(most) {
            return Err(NotCredited::Break { most });
        }
        Ok(start.plus_days(-self.days.days()))
    }

    /// The layers of a sum insured: what was insured there waits by the credited day, the rest anew.
    #[must_use]
    pub fn layers(&self, sum_minor: i64, credited_from: Date, term: DateRange) -> Vec<CoverLayer> {
        let old = self.sum_minor.min(sum_minor);
        let layer = |kind, amount_minor, waiting_from| CoverLayer {
            kind,
            ordinal: 0,
            amount_minor,
            valid: term,
            waiting_from,
        };
        let mut layers = vec![layer(LayerKind::Base, old, credited_from)];
        if sum_minor > old {
            layers.push(layer(LayerKind::Increase, sum_minor - old, term.start()));
        }
        layers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::plan::Catalogue;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn prior(from: &str, to: &str) -> PriorCover {
        let days = DateRange::new(day(from), day(to)).unwrap();
        PriorCover { insurer: "IRDAI-110".to_owned(), sum_minor: 300, days, persons: Vec::new() }
    }

    #[test]
    fn hard_case_8_a_break_of_twenty_days_is_allowed_and_not_counted() {
        let catalogue = Catalogue::built_in().unwrap();
        let law = catalogue.jurisdiction("IN").unwrap();
        let start = day("2026-06-21");
        // 2023-06-01 to 2026-06-01: 1,096 days, one of them 29 February 2024.
        let credited = prior("2023-06-01", "2026-06-01").credited_from(law, start).unwrap();
        assert_eq!((credited, credited.days_until(start)), (day("2023-06-21"), 1_096));
        let longer = prior("2023-06-01", "2026-05-21").credited_from(law, start);
        assert_eq!(longer, Err(NotCredited::Break { most: 30 }));
        assert!(prior("2023-06-01", "2026-05-22").credited_from(law, start).is_ok());
        assert_eq!(prior("2023-06-01", "2026-06-22").credited_from(law, start), Err(NotCredited::Days));
        let term = DateRange::new(start, day("2027-06-21")).unwrap();
        let amounts = |sum| -> Vec<_> {
            let layers = prior("2023-06-01", "2026-06-01").layers(sum, credited, term);
            layers.iter().map(|layer| (layer.amount_minor, layer.waiting_from)).collect()
        };
        assert_eq!(amounts(1_000), vec![(300, credited), (700, start)]);
        assert_eq!(amounts(200), vec![(200, credited)]);
        let nigeria = catalogue.jurisdiction("NG").unwrap();
        assert!(
            prior("2023-06-01", "2026-06-21").credited_from(nigeria, start).is_err(),
            "no rule, no credit"
        );
    }
}
