//! Who bears an amount, and the part of it that goes with a part of the goods (rule R9). Pure.

use caremesh_kernel::half_up;
use serde::{Deserialize, Serialize};

/// Who bears an amount, minor units. Always: list = plan + discount + member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shares {
    /// The list price.
    pub list: i64,
    /// What the plan pays.
    pub plan: i64,
    /// What nobody pays.
    pub discount: i64,
}

impl Shares {
    /// What is left for the member.
    #[must_use]
    pub fn member(&self) -> i64 {
        self.list - self.plan - self.discount
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            list: self.list + other.list,
            plan: self.plan + other.plan,
            discount: self.discount + other.discount,
        }
    }

    /// What of it goes beyond the other.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self {
            list: self.list - other.list,
            plan: self.plan - other.plan,
            discount: self.discount - other.discount,
        }
    }

    /// The part of a line that goes with the units from `before` to `so_far` of `quantity`: each share rounded once, less
    /// what the parts before have taken, so that all parts sum to the whole; the member bears list minus the rest.
    #[must_use]
    pub fn part(&self, before: i64, so_far: i64, quantity: i64) -> Self {
        let of = |whole| part_of(whole, before, so_far, quantity);
        Self { list: of(self.list), plan: of(self.plan), discount: of(self.discount) }
    }
}

/// `half-up(whole × so far ÷ quantity) − what came before`.
#[must_use]
pub fn part_of(whole: i64, before: i64, so_far: i64, quantity: i64) -> i64 {
    half_up(whole, so_far, quantity) - half_up(whole, before, quantity)
}
