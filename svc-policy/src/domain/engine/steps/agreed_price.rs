//! Agreed price: what is billed above it is the provider's write-off. Nobody pays it, before any cost share.

use crate::domain::engine::priced::{Part, Reason};
use crate::domain::engine::run::{Run, Why};
use crate::domain::plan::Step;

pub(super) fn run(run: &mut Run<'_>) {
    for line in run.lines.iter_mut().filter(|line| line.is_indemnity()) {
        let Some(agreed) = line.line.agreed_minor else { continue };
        let above = (line.amount - agreed).max(0);
        let why = Why { step: Step::AgreedPrice, rule: "", reason: Reason::AboveAgreedPrice, account: None };
        line.cut(Part::Writeoff, above, &why);
    }
}
