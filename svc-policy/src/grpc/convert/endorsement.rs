//! What a policyholder asks to change of a policy.

use caremesh_mesh::wire::{self as shared, Violation};
use caremesh_proto::policy::v1 as wire;

use super::policy::target;
use crate::app::change_sum_insured;

type Checked<T> = Result<T, Violation>;

/// Another sum insured.
pub(in crate::grpc) fn sum_insured(
    request: wire::ChangeSumInsuredRequest,
) -> Checked<change_sum_insured::Input> {
    Ok(change_sum_insured::Input {
        target: target(&request.policy_id, request.etag)?,
        sum_insured: shared::money("sum_insured", request.sum_insured)?,
        from: shared::optional_date("effective_date", request.effective_date)?,
    })
}
