//! Who is paid when the policyholder has died, and where money goes: shares of the nominees, and the appointee of one who is a
//! minor.

use caremesh_kernel::Date;
use serde::{Deserialize, Serialize};

/// Shares of all nominees together, in basis points.
const WHOLE_BPS: u64 = 10_000;
/// Age in years from which a nominee needs nobody who receives for them.
const OF_AGE: u32 = 18;

/// A nominee. It has no Debug: it tells of persons who are nobody's members.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nominee {
    /// Full name.
    pub name: String,
    /// Day of birth.
    pub birth: Date,
    /// Share in basis points.
    pub share_bps: u32,
    /// Full name of who receives for a minor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appointee: Option<String>,
}

/// An account that refunds and claims of the policyholder are paid to. It has no Debug.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BankAccount {
    /// Whose account.
    pub holder_name: String,
    /// Number as the bank writes it.
    pub number: String,
    /// The bank's code in its country.
    pub bank_code: String,
}

/// Which rule a list of nominees breaks, with the place of the nominee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NomineesRefused {
    /// The shares do not add up to the whole.
    #[error("the shares do not add up to 10,000 basis points")]
    Shares,
    /// A minor without an appointee.
    #[error("nominee {0} is a minor and has no appointee")]
    AppointeeMissing(usize),
    /// Born after today.
    #[error("nominee {0} is born in the future")]
    NotBorn(usize),
}

/// Whether money can be paid by a list of nominees on a day; none at all is a list, too.
///
/// # Errors
/// [`NomineesRefused`].
pub fn check_nominees(nominees: &[Nominee], today: Date) -> Result<(), NomineesRefused> {
    for (place, nominee) in nominees.iter().enumerate() {
        if nominee.birth > today {
            return Err(NomineesRefused::NotBorn(place));
        }
        if nominee.birth.age_on(today) < OF_AGE && nominee.appointee.is_none() {
            return Err(NomineesRefused::AppointeeMissing(place));
        }
    }
    let sum: u64 = nominees.iter().map(|nominee| u64::from(nominee.share_bps)).sum();
    if nominees.is_empty() || sum == WHOLE_BPS { Ok(()) } else { Err(NomineesRefused::Shares) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nominee(share_bps: u32, birth: &str, appointee: Option<&str>) -> Nominee {
        let (birth, appointee) = (birth.parse().unwrap(), appointee.map(ToOwned::to_owned));
        Nominee { name: "Ada".to_owned(), birth, share_bps, appointee }
    }

    #[test]
    fn shares_are_the_whole_and_a_minor_has_somebody_who_receives() {
        let today = "2026-12-01".parse().unwrap();
        let check = |nominees: &[Nominee]| check_nominees(nominees, today);
        assert_eq!(check(&[]), Ok(()));
        let adult = |share| nominee(share, "2008-12-01", None);
        assert_eq!(check(&[adult(6_667), adult(3_333)]), Ok(()), "eighteen today");
        assert_eq!(check(&[adult(9_999)]), Err(NomineesRefused::Shares));
        assert_eq!(check(&[adult(10_000), adult(1)]), Err(NomineesRefused::Shares));
        let minor = |appointee| nominee(5_000, "2008-12-02", appointee);
        assert_eq!(check(&[adult(5_000), minor(None)]), Err(NomineesRefused::AppointeeMissing(1)));
        assert_eq!(check(&[adult(5_000), minor(Some("Obi"))]), Ok(()));
        assert_eq!(check(&[nominee(10_000, "2026-12-02", Some("Obi"))]), Err(NomineesRefused::NotBorn(0)));
    }
}
