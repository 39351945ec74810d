//! Which accounts count the plan's money once. A spend draws on several pools side by side (a parents' pool within the sum
//! insured), and each of them counts all of it.

use std::collections::BTreeSet;

use crate::domain::plan::PlanVersion;

/// Codes of accounts of which every group of pools has exactly one: their sums together are the plan's money, under all of the
/// plan versions of a term. `None` for plans whose pools cannot be told apart so.
#[must_use]
pub fn money_accounts<'p>(plans: &[&'p PlanVersion]) -> Option<Vec<&'p str>> {
    let groups = || plans.iter().flat_map(|plan| &plan.expansions).flat_map(|rule| &rule.pools);
    let widest: BTreeSet<&str> = groups().filter_map(|group| group.last()).map(String::as_str).collect();
    let once = |group: &Vec<String>| group.iter().filter(|code| widest.contains(code.as_str())).count() == 1;
    groups().filter(|group| !group.is_empty()).all(once).then(|| widest.into_iter().collect())
}
