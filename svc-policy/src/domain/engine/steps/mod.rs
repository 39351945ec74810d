//! The steps of the engine (rule R2), one file each; a plan version says in which order they run.

mod agreed_price;
mod copay;
mod counts;
mod deductible;
pub(super) mod fixed;
mod non_payable;
mod other_payer;
mod out_of_pocket;
mod pool;
mod room;
mod sublimit_after_deductible;
mod sublimit_allowed;
mod sublimit_plan_paid;

use super::run::Run;
use crate::domain::plan::Step;

/// Runs one step over all lines.
pub(super) fn run(step: Step, run: &mut Run<'_>) {
    match step {
        Step::AgreedPrice => agreed_price::run(run),
        Step::NonPayable => non_payable::run(run),
        Step::Room => room::run(run),
        Step::SublimitAllowed => sublimit_allowed::run(run),
        Step::OtherPayer => other_payer::run(run),
        Step::Deductible => deductible::run(run),
        Step::Copay => copay::run(run),
        Step::OutOfPocket => out_of_pocket::run(run),
        Step::SublimitAfterDeductible => sublimit_after_deductible::run(run),
        Step::SublimitPlanPaid => sublimit_plan_paid::run(run),
        Step::Pool => pool::run(run),
    }
}
