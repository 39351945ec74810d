//! The bonus of a term without a claim: what it comes to in the next one, and what of it a late claim takes back.

use caremesh_kernel::half_up;

use crate::domain::plan::Bonus;

/// The bonus of the next term, minor units: what the last one had, more by the rule's share of what is bought if the last
/// term had no claim, less by the rule's loss after one; never more than the rule's most. Nothing where the plan has no rule.
#[must_use]
pub fn next_bonus(rule: Option<&Bonus>, had_minor: i64, bought_minor: i64, claimed: bool) -> i64 {
    let Some(rule) = rule else { return 0 };
    let share = |bps: u32| half_up(bought_minor, i64::from(bps), 10_000);
    let next = if claimed { had_minor - share(rule.lost_bps) } else { had_minor + share(rule.per_term_bps) };
    next.clamp(0, share(rule.at_most_bps))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Bonus = Bonus { per_term_bps: 1_000, at_most_bps: 2_500, lost_bps: 1_000 };

    #[test]
    fn a_bonus_grows_to_its_most_and_shrinks_after_a_claim() {
        let next = |had, claimed| next_bonus(Some(&RULE), had, 500_000_01, claimed);
        assert_eq!(next(0, false), 50_000_00, "10 % of 500,000.01 is 50,000.001");
        assert_eq!(next(50_000_00, false), 100_000_00);
        assert_eq!(next(100_000_00, false), 125_000_00, "25 % at most: 125,000.0025");
        assert_eq!(next(125_000_00, true), 75_000_00);
        assert_eq!(next(10, true), 0);
        assert_eq!(next_bonus(None, 50_000_00, 500_000_00, false), 0, "a plan without the rule has none");
    }
}
