//! Licences with days. The rule behind it: Nigeria's online pharmacies register through their superintendent pharmacist,
//! and the licence ends on 31 December; India licenses premises and demands a registered pharmacist. Knows no clock.

use caremesh_kernel::{BranchId, Date, DateRange, PharmacistId};

/// What a licence allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LicenceKind {
    /// The premises may store and sell medicines.
    Premises,
    /// A registered pharmacist is answerable for the branch.
    Superintendent,
}

impl LicenceKind {
    /// Both: a branch needs each of them.
    pub const ALL: [Self; 2] = [Self::Premises, Self::Superintendent];

    /// Its name in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Premises => "PREMISES",
            Self::Superintendent => "SUPERINTENDENT",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A licence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Licence {
    /// What it allows.
    pub kind: LicenceKind,
    /// Its number in the authority's register.
    pub number: String,
    /// Its days, as days of the branch's zone.
    pub valid: DateRange,
}

/// The licence that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a licence of the branch does not hold")]
pub struct Unlicensed {
    /// Which kind.
    pub kind: LicenceKind,
}

/// Whether the branch may dispense on a day. Of each kind the licence counts that began last; an earlier one that would
/// still run does not revive when it ends.
///
/// # Errors
/// [`Unlicensed`] names the first kind that does not hold.
pub fn may_dispense(licences: &[Licence], today: Date) -> Result<(), Unlicensed> {
    for kind in LicenceKind::ALL {
        let begun = licences.iter().filter(|licence| licence.kind == kind && licence.valid.start() <= today);
        let last = begun.max_by_key(|licence| licence.valid.start());
        if !last.is_some_and(|licence| licence.valid.contains(today)) {
            return Err(Unlicensed { kind });
        }
    }
    Ok(())
}

/// A pharmacist as registered at a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The pharmacist.
    pub pharmacist: PharmacistId,
    /// Where.
    pub branch: BranchId,
    /// Days of the registration.
    pub valid: DateRange,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn licence(kind: LicenceKind, from: &str, to: &str) -> Licence {
        Licence { kind, number: "1".to_owned(), valid: DateRange::new(day(from), day(to)).unwrap() }
    }

    #[test]
    fn inv_r10_a_branch_dispenses_only_while_both_licences_hold() {
        let premises = licence(LicenceKind::Premises, "2026-01-01", "2027-01-01");
        let person = licence(LicenceKind::Superintendent, "2026-01-01", "2026-07-01");
        let both = [premises.clone(), person];
        assert_eq!(may_dispense(&both, day("2026-06-30")), Ok(()));
        let ended = Unlicensed { kind: LicenceKind::Superintendent };
        assert_eq!(may_dispense(&both, day("2026-07-01")), Err(ended), "the end is the first day without it");
        assert_eq!(may_dispense(&[premises], day("2026-06-30")), Err(ended));
        assert_eq!(may_dispense(&both, day("2025-12-31")), Err(Unlicensed { kind: LicenceKind::Premises }));
    }

    #[test]
    fn a_later_licence_takes_the_place_of_the_one_before_from_its_own_first_day() {
        let all = [
            licence(LicenceKind::Premises, "2026-01-01", "2027-01-01"),
            licence(LicenceKind::Superintendent, "2026-01-01", "2027-01-01"),
            licence(LicenceKind::Superintendent, "2026-03-01", "2026-04-01"),
        ];
        assert_eq!(may_dispense(&all, day("2026-02-28")), Ok(()));
        assert_eq!(may_dispense(&all, day("2026-03-31")), Ok(()));
        assert!(
            may_dispense(&all, day("2026-04-01")).is_err(),
            "the shortened one ended, the old one stays replaced"
        );
    }
}
