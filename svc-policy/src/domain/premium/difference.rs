//! What a change of cover in mid-term makes dearer or cheaper: the difference of two premiums for the days that are left,
//! rounded once for the family and shared by largest remainder.

use caremesh_kernel::{Date, DateRange};

use super::quote::{PremiumError, Proposal, ProposedMember, nets};
use crate::domain::plan::PlanVersion;

/// What is sold: a plan version and one of its sums insured, minor units.
pub type Sold<'p> = (&'p PlanVersion, i64);

/// A member of a family whose cover changes, with the days of the term that the change is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Insured {
    /// Who.
    pub member: ProposedMember,
    /// Days on which the member is covered from the change on.
    pub days: i64,
}

/// What each member pays more for the days that are left, below zero less; minor units, in the order of the family. Each
/// premium is the family's for the whole term by the ages on its first day; the sum of the differences × days ÷ term days
/// rounds once, half-up (a credit as a debt of the same size), and is shared by largest remainder.
///
/// # Errors
/// [`PremiumError::NoRate`], [`PremiumError::Overflow`].
pub fn difference(
    [old, new]: [Sold<'_>; 2],
    family: &[Insured],
    term: DateRange,
) -> Result<Vec<i64>, PremiumError> {
    let members: Vec<ProposedMember> = family.iter().map(|insured| insured.member.clone()).collect();
    let net = |(plan, sum): Sold<'_>| nets(plan, &proposal(&members, sum, term.start()));
    let (before, after) = (net(old)?, net(new)?);
    let parts: Vec<i128> = before
        .iter()
        .zip(&after)
        .zip(family)
        .map(|((before, after), who)| i128::from(after - before) * i128::from(who.days))
        .collect();
    shared(&parts, i128::from(term.days().max(1))).ok_or(PremiumError::Overflow)
}

fn proposal(members: &[ProposedMember], sum_insured_minor: i64, start: Date) -> Proposal {
    Proposal { members: members.to_vec(), sum_insured_minor, start, instalments: 1 }
}

/// Numerators over one denominator as whole amounts that add up to their rounded sum: each rounded down, the units that are
/// left to the largest remainders, ties to the earlier. A sum below zero is shared as its opposite.
pub(in crate::domain) fn shared(parts: &[i128], den: i128) -> Option<Vec<i64>> {
    let sum: i128 = parts.iter().sum();
    let sign = if sum < 0 { -1 } else { 1 };
    let parts: Vec<i128> = parts.iter().map(|part| part * sign).collect();
    let whole = (2 * sum * sign + den).div_euclid(2 * den);
    let mut shares: Vec<i128> = parts.iter().map(|part| part.div_euclid(den)).collect();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|n| std::cmp::Reverse(parts[*n].rem_euclid(den)));
    let left = usize::try_from(whole - shares.iter().sum::<i128>()).ok()?;
    for n in order.into_iter().take(left) {
        shares[n] += 1;
    }
    shares.into_iter().map(|share| i64::try_from(share * sign).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::shared;

    #[test]
    fn shares_add_up_to_the_sum_that_is_rounded_once() {
        // 100.5 and 200.25 and 0.25: 301 in all; the halves come first.
        assert_eq!(shared(&[402, 801, 1], 4), Some(vec![101, 200, 0]));
        assert_eq!(shared(&[-402, -801, -1], 4), Some(vec![-101, -200, 0]));
        assert_eq!(shared(&[10, -3], 4), Some(vec![3, -1]), "7 ÷ 4 = 1.75: 2");
    }
}
