//! Who may be a member: relations, ages, numbers, groups.

use serde::{Deserialize, Serialize};

/// How a member stands to the policyholder, after HL7 v3 RoleCode (FAMMEMB).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Relation {
    /// The policyholder in person.
    #[serde(rename = "SELF")]
    Holder,
    /// Husband or wife.
    Spouse,
    /// Son or daughter, by birth, marriage or adoption.
    Child,
    /// Father or mother.
    Parent,
    /// Brother or sister.
    Sibling,
    /// Father-in-law or mother-in-law.
    ParentInLaw,
    /// Brother-in-law or sister-in-law.
    SiblingInLaw,
    /// Son-in-law or daughter-in-law.
    ChildInLaw,
    /// Grandfather or grandmother.
    Grandparent,
    /// Grandson or granddaughter.
    Grandchild,
}

/// Who may be a member with this relation. Ages in completed years at the start of the member's cover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelationRule {
    /// The relation.
    pub relation: Relation,
    /// Youngest age in years.
    #[serde(default)]
    pub min_age: u32,
    /// Oldest age in years; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u32>,
    /// Youngest age in days, where the plan counts them (91 for newborns in many plans).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_age_days: Option<u32>,
    /// Most members with this relation; no limit of its own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_count: Option<u32>,
    /// Age in years on which a member ages out, at the end of the term; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ages_out_at: Option<u32>,
}

/// A named group of members that share an account, as the parents' pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberGroup {
    /// Code within the plan version; the scope id of its accounts.
    pub code: String,
    /// Relations that belong to it.
    pub relations: Vec<Relation>,
}

/// Who must be looked at by an underwriter before cover can be bought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Underwriting {
    /// Prefixes of declared conditions, ICD-10.
    pub conditions: Vec<String>,
    /// From this age on, in completed years on the first day of cover; never for age alone if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_age: Option<u32>,
}

/// Who may be insured together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FamilyRules {
    /// Fewest members.
    pub min_members: u32,
    /// Most members.
    pub max_members: u32,
    /// Age in completed years from which a member counts as an adult for composition and premium.
    pub adult_from_age: u32,
    /// Most adults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_adults: Option<u32>,
    /// Most children.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_children: Option<u32>,
    /// Which relations may be members; one that is not listed may not.
    pub relations: Vec<RelationRule>,
    /// Groups that share an account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<MemberGroup>,
}

impl FamilyRules {
    /// The rule of a relation, if it may be a member at all.
    #[must_use]
    pub fn relation(&self, relation: Relation) -> Option<&RelationRule> {
        self.relations.iter().find(|rule| rule.relation == relation)
    }

    /// The group a relation belongs to.
    #[must_use]
    pub fn group_of(&self, relation: Relation) -> Option<&MemberGroup> {
        self.groups.iter().find(|group| group.relations.contains(&relation))
    }
}
