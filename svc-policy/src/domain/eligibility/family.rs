//! Relation, age and number rules (INV-P7): which of them a family breaks at the start of cover.

use caremesh_kernel::Date;

use crate::domain::plan::{FamilyRules, Relation, RelationRule};

/// One broken rule. Names members by their place; carries nothing personal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FamilyBreach {
    /// The plan does not insure this relation.
    RelationNotInsured {
        /// Index of the member.
        member: usize,
    },
    /// Born after the start of cover, or younger than the plan insures.
    TooYoung {
        /// Index of the member.
        member: usize,
    },
    /// Older than the plan insures.
    TooOld {
        /// Index of the member.
        member: usize,
    },
    /// More members of one relation than the plan insures.
    TooManyOfRelation {
        /// The relation.
        relation: Relation,
        /// Most members of it.
        most: u32,
    },
    /// Fewer members than the plan insures.
    TooFewMembers {
        /// Fewest members.
        least: u32,
    },
    /// More members, adults or children than the plan insures.
    TooManyMembers {
        /// Most of them.
        most: u32,
    },
}

impl FamilyBreach {
    /// The rule's short name, as callers are told it.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::RelationNotInsured { .. } => "RELATION_NOT_INSURED",
            Self::TooYoung { .. } => "TOO_YOUNG",
            Self::TooOld { .. } => "TOO_OLD",
            Self::TooManyOfRelation { .. } => "TOO_MANY_OF_RELATION",
            Self::TooFewMembers { .. } | Self::TooManyMembers { .. } => "FAMILY_SIZE",
        }
    }
}

/// Every rule that the family breaks on the day its cover starts; none if it may be insured.
#[must_use]
pub fn family_breaches(rules: &FamilyRules, members: &[(Relation, Date)], start: Date) -> Vec<FamilyBreach> {
    let mut breaches = Vec::new();
    for (index, (relation, birth)) in members.iter().enumerate() {
        breaches.extend(match rules.relation(*relation) {
            None => Some(FamilyBreach::RelationNotInsured { member: index }),
            Some(rule) => age_breach(rule, index, *birth, start),
        });
    }
    for rule in &rules.relations {
        let count = members.iter().filter(|(relation, _)| *relation == rule.relation).count();
        if let Some(most) = rule.max_count.filter(|most| count > size(*most)) {
            breaches.push(FamilyBreach::TooManyOfRelation { relation: rule.relation, most });
        }
    }
    breaches.extend(number_breaches(rules, members, start));
    breaches
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn age_breach(rule: &RelationRule, member: usize, birth: Date, start: Date) -> Option<FamilyBreach> {
    let age = birth.age_on(start);
    let days = birth.days_until(start);
    if days < 0 || age < rule.min_age || rule.min_age_days.is_some_and(|least| days < i64::from(least)) {
        return Some(FamilyBreach::TooYoung { member });
    }
    rule.max_age.is_some_and(|oldest| age > oldest).then_some(FamilyBreach::TooOld { member })
}

fn number_breaches(rules: &FamilyRules, members: &[(Relation, Date)], start: Date) -> Vec<FamilyBreach> {
    let adults = members.iter().filter(|(_, birth)| birth.age_on(start) >= rules.adult_from_age).count();
    let children = members.len() - adults;
    let mut breaches = Vec::new();
    if members.len() < size(rules.min_members) {
        breaches.push(FamilyBreach::TooFewMembers { least: rules.min_members });
    }
    let limits = [
        (Some(rules.max_members), members.len()),
        (rules.max_adults, adults),
        (rules.max_children, children),
    ];
    for (most, count) in limits {
        if let Some(most) = most.filter(|most| count > size(*most)) {
            breaches.push(FamilyBreach::TooManyMembers { most });
        }
    }
    breaches
}
