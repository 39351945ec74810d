//! What a policyholder asks to change of a policy.

use caremesh_mesh::wire::{self as shared, ToWire, Violation};
use caremesh_proto::policy::v1 as wire;

use super::policy::target;
use crate::app::parties::{self, Parties, Party};
use crate::app::{change_plan, change_sum_insured};
use crate::domain::life::{BankAccount, Nominee};

type Checked<T> = Result<T, Violation>;

/// Another plan.
pub(in crate::grpc) fn plan(request: wire::ChangePlanRequest) -> Checked<change_plan::Input> {
    Ok(change_plan::Input {
        target: target(&request.policy_id, request.etag)?,
        plan_version: shared::id("plan_version_id", &request.plan_version_id)?,
        sum_insured: shared::money("sum_insured", request.sum_insured)?,
        from: shared::optional_date("effective_date", request.effective_date)?,
    })
}

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

/// Other nominees.
pub(in crate::grpc) fn nominees(request: wire::ChangeNomineesRequest) -> Checked<parties::Input> {
    let nominee = |(n, one): (usize, wire::Nominee)| {
        Ok(Nominee {
            name: one.full_name,
            birth: shared::date(&format!("nominees[{n}].birth_date"), one.birth_date)?,
            share_bps: super::benefit::number(&format!("nominees[{n}].share_bps"), one.share_bps)?,
            appointee: (!one.appointee_name.is_empty()).then_some(one.appointee_name),
        })
    };
    let nominees = request.nominees.into_iter().enumerate().map(nominee).collect::<Checked<_>>()?;
    Ok(parties::Input { target: target(&request.policy_id, request.etag)?, party: Party::Nominees(nominees) })
}

/// Another bank account.
pub(in crate::grpc) fn bank(request: wire::ChangeBankAccountRequest) -> Checked<parties::Input> {
    let wire::BankAccount { holder_name, number, bank_code } =
        shared::required("bank_account", request.bank_account)?;
    Ok(parties::Input {
        target: target(&request.policy_id, request.etag)?,
        party: Party::Bank(BankAccount { holder_name, number, bank_code }),
    })
}

/// Who is paid.
pub(in crate::grpc) fn payees(parties: Parties) -> wire::GetPayeesResponse {
    let nominee = |one: Nominee| wire::Nominee {
        full_name: one.name,
        birth_date: Some(one.birth.to_wire()),
        share_bps: i32::try_from(one.share_bps).unwrap_or(i32::MAX),
        appointee_name: one.appointee.unwrap_or_default(),
    };
    let bank = |one: BankAccount| wire::BankAccount {
        holder_name: one.holder_name,
        number: one.number,
        bank_code: one.bank_code,
    };
    let (nominees, nominees_since) =
        parties.nominees.map_or((Vec::new(), None), |(all, day)| (all, Some(day)));
    let (account, since) = parties.bank.map_or((None, None), |(one, day)| (Some(one), Some(day)));
    wire::GetPayeesResponse {
        nominees: nominees.into_iter().map(nominee).collect(),
        nominees_effective_date: nominees_since.map(|day| day.to_wire()),
        bank_account: account.map(bank),
        bank_account_effective_date: since.map(|day| day.to_wire()),
    }
}
