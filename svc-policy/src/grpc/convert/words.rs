//! The closed word lists of the contract and of the domain, side by side. A word that the contract adds later has no
//! meaning here and is a violation.

use caremesh_mesh::wire::Violation;
use caremesh_proto::policy::v1 as wire;

use crate::domain::account::{LayerKind, Measure, ScopeKind, WhenFull};
use crate::domain::plan::{EventKind, LineKind, Relation};

macro_rules! words {
    ($(#[$doc:meta])* $to:ident, $from:ident: $wire:ident = $domain:ident { $($theirs:ident <=> $ours:ident),* $(,)? }) => {
        $(#[$doc])*
        #[allow(clippy::allow_attributes, dead_code, reason = "some words only come in")]
        pub(in crate::grpc) fn $to(word: $domain) -> wire::$wire {
            match word { $($domain::$ours => wire::$wire::$theirs),* }
        }

        /// The word of a request.
        #[allow(clippy::allow_attributes, dead_code, reason = "some words only go out")]
        pub(in crate::grpc) fn $from(path: &str, number: i32) -> Result<$domain, Violation> {
            match wire::$wire::try_from(number) {
                $(Ok(wire::$wire::$theirs) => Ok($domain::$ours),)*
                _ => Err(Violation::new(path, "enum.defined_only", "must be a word of the contract")),
            }
        }
    };
}

words! {
    /// What an account counts.
    measure, measure_of: Measure = Measure {
        PlanPaid <=> PlanPaid, MemberPaid <=> MemberPaid, Deductible <=> Deductible, Allowed <=> Allowed,
        Count <=> Count, Days <=> Days,
    }
}

words! {
    /// Who shares an account.
    scope_kind, scope_kind_of: ScopeKind = ScopeKind {
        Member <=> Member, Family <=> Family, MemberGroup <=> MemberGroup, Visit <=> Visit, Illness <=> Illness,
        Procedure <=> Procedure, Claim <=> Claim,
    }
}

words! {
    /// What happens when an account is full.
    when_full, when_full_of: WhenFull = WhenFull { Refuse <=> Refuse, Cut <=> Cut, StopTaking <=> StopTaking }
}

words! {
    /// Where a layer comes from.
    layer_kind, layer_kind_of: LayerKind = LayerKind {
        Base <=> Base, Increase <=> Increase, Bonus <=> Bonus, Restored <=> Restored, Rollover <=> Rollover,
    }
}

words! {
    /// How a member stands to the policyholder.
    relation, relation_of: Relation = Relation {
        Self_ <=> Holder, Spouse <=> Spouse, Child <=> Child, Parent <=> Parent, Sibling <=> Sibling,
        ParentInLaw <=> ParentInLaw, SiblingInLaw <=> SiblingInLaw, ChildInLaw <=> ChildInLaw,
        Grandparent <=> Grandparent, Grandchild <=> Grandchild,
    }
}

words! {
    /// What kind of event is insured.
    event_kind, event_kind_of: EventKind = EventKind {
        Admission <=> Admission, Outpatient <=> Outpatient, Consultation <=> Consultation,
        PharmacyOrder <=> PharmacyOrder, Diagnostic <=> Diagnostic,
    }
}

words! {
    /// What kind of charge a line is.
    line_kind, line_kind_of: LineKind = LineKind {
        Room <=> Room, Icu <=> Icu, Associated <=> Associated, Package <=> Package, Pharmacy <=> Pharmacy,
        Consumable <=> Consumable, Implant <=> Implant, Diagnostic <=> Diagnostic, Consultation <=> Consultation,
        FixedBenefit <=> FixedBenefit, Other <=> Other,
    }
}
