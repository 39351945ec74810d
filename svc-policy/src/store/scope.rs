//! Whose rows a finder may give. Every finder of a person's records demands one, so that forgetting whose data it is
//! does not compile. The conditions are written here once.

use caremesh_kernel::PersonId;
use sea_orm::Value;

/// The rows that a caller may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    /// All of them: staff by role, and services that the contract names.
    pub any: bool,
    /// Those about this person.
    pub own: Option<PersonId>,
    /// Those about the family of that person too.
    pub family: bool,
    /// Those of policies that this partner insurer leads.
    pub carrier: Option<String>,
}

impl Scope {
    /// Every row.
    #[must_use]
    pub(crate) fn any() -> Self {
        Self { any: true, ..Self::default() }
    }

    /// The four parameters that the conditions take, in their order.
    pub(super) fn values(&self) -> [Value; 4] {
        [
            i64::from(self.any).into(),
            self.own.map(|own| own.to_string()).into(),
            i64::from(self.family).into(),
            self.carrier.clone().into(),
        ]
    }
}

/// Whether policy `p` may be seen; the scope's values are the parameters from `$first` on.
pub(super) fn policy(first: usize) -> String {
    let [any, own, family, carrier] = names(first);
    format!(
        "({any} = 1 OR p.policyholder = {own} OR p.lead_carrier = {carrier} OR ({family} = 1 AND EXISTS \
         (SELECT 1 FROM member sm WHERE sm.policy_id = p.id AND sm.person_id = {own})))"
    )
}

/// Whether member `m` of policy `p` may be seen: oneself, or as part of a policy that may be.
pub(super) fn member(first: usize) -> String {
    let [any, own, family, carrier] = names(first);
    format!(
        "({any} = 1 OR m.person_id = {own} OR p.lead_carrier = {carrier} OR ({family} = 1 AND (p.policyholder = {own} \
         OR EXISTS (SELECT 1 FROM member sm WHERE sm.policy_id = p.id AND sm.person_id = {own}))))"
    )
}

/// Whether person `r` may be seen: oneself, somebody one manages, or the family of a policy one holds or belongs to.
pub(super) fn person(first: usize) -> String {
    let [any, own, family, _] = names(first);
    format!(
        "({any} = 1 OR r.id = {own} OR ({family} = 1 AND (r.managed_by = {own} OR EXISTS \
         (SELECT 1 FROM policy sp JOIN member sm ON sm.policy_id = sp.id \
         WHERE (sm.person_id = r.id OR sp.policyholder = r.id) AND (sp.policyholder = {own} OR EXISTS \
         (SELECT 1 FROM member so WHERE so.policy_id = sp.id AND so.person_id = {own}))))))"
    )
}

/// Whether quote `q` may be seen: one's own, or that of somebody one manages.
pub(super) fn quote(first: usize) -> String {
    let [any, own, family, _] = names(first);
    format!(
        "({any} = 1 OR q.policyholder = {own} OR ({family} = 1 AND EXISTS \
         (SELECT 1 FROM person sr WHERE sr.id = q.policyholder AND sr.managed_by = {own})))"
    )
}

fn names(first: usize) -> [String; 4] {
    std::array::from_fn(|place| format!("${}", first + place))
}
