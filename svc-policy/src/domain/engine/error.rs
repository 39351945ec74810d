//! Why something cannot be priced at all. That a line pays nothing is an answer, not an error.

use caremesh_kernel::{Date, PlanVersionId};

/// Why pricing was refused. Names lines by sequence and fields by name; carries nothing personal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// The cover does not contain the event date.
    #[error("there is no cover on {date}")]
    NoCover {
        /// The event date.
        date: Date,
    },
    /// A line, or the event (line 0), breaks a rule.
    #[error("line {line}: {field} {rule}")]
    Invalid {
        /// Sequence of the line; 0 for the event.
        line: u32,
        /// The field.
        field: &'static str,
        /// The rule, as the rest of a sentence.
        rule: &'static str,
    },
    /// The snapshot or the cover belongs to another plan version or currency.
    #[error("the snapshot was read for plan version {found}, not {expected}")]
    OtherPlanVersion {
        /// Version of the snapshot.
        found: PlanVersionId,
        /// Version that was asked to price.
        expected: PlanVersionId,
    },
}
