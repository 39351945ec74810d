//! `accept(request)?`: the first line of every handler. Checks the request against the rules of its
//! contract and hands over the call's context. It must not know any message.

use prost_protovalidate::Validate;
use tonic::{Request, Status};

use crate::context::CallContext;
use crate::reason::CommonReason;
use crate::refusal::Refusal;

/// Broken rules that one refusal names. All of a request with thousands of wrong items would not fit into the headers
/// that carry them, and the caller would be told INTERNAL instead.
const MOST_VIOLATIONS: usize = 20;

/// The context of a call and its message, once the message keeps every rule of the contract.
///
/// # Errors
/// `FIELD_INVALID` with the first twenty broken rules by field path and rule id; `INTERNAL` when the request did
/// not come through the server stack, because then nobody has said who calls.
pub fn accept<T: Validate>(request: Request<T>) -> Result<(CallContext, T), Status> {
    let context = context_of(&request)?;
    let message = request.into_inner();
    validate(&message)?;
    Ok((context, message))
}

/// The context of a call whose messages come one after the other; check each with [`validate`].
///
/// # Errors
/// As [`accept`] for a request that did not come through the server stack.
pub fn context_of<T>(request: &Request<T>) -> Result<CallContext, Status> {
    let context = request.extensions().get::<CallContext>();
    context.cloned().ok_or_else(|| Refusal::new(CommonReason::Internal).into())
}

/// Checks a message against the rules of its contract.
///
/// # Errors
/// `FIELD_INVALID` with the broken rules, the first twenty of them. Field paths, rule ids and the rules' own sentences come from
/// the contract; nothing of what the caller sent is repeated.
pub fn validate(message: &impl Validate) -> Result<(), Refusal> {
    let Err(broken) = message.validate() else { return Ok(()) };
    let refusal = Refusal::new(CommonReason::FieldInvalid);
    Err(broken.violations().iter().take(MOST_VIOLATIONS).fold(refusal, |refusal, violation| {
        refusal.field_explained(violation.field_path(), violation.rule_id(), violation.message())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Answer;
    use caremesh_proto::r#type::v1::{Address, Money};

    #[test]
    fn every_broken_rule_is_named_by_field_and_rule_and_nothing_sent_is_repeated() {
        let address = Address {
            lines: vec!["12 Canary Street".to_owned(), String::new()],
            city: String::new(),
            country_code: "canary".to_owned(),
            ..Address::default()
        };
        let status = Status::from(validate(&address).expect_err("three rules are broken"));
        let answer = Answer::of(&status);
        assert!(answer.is(CommonReason::FieldInvalid));
        let broken: Vec<_> = answer.fields.iter().map(|(f, r)| (f.as_str(), r.as_str())).collect();
        for rule in
            [("lines[1]", "string.min_len"), ("city", "string.min_len"), ("country_code", "string.pattern")]
        {
            assert!(broken.contains(&rule), "{rule:?} not in {broken:?}");
        }
        assert!(!format!("{status:?}").to_lowercase().contains("canary s"));
        assert!(!String::from_utf8_lossy(status.details()).contains("canary"));
    }

    #[test]
    fn a_message_that_keeps_the_rules_passes() {
        let money = Money { currency_code: "NGN".to_owned(), minor_units: -5 };
        assert_eq!(validate(&money), Ok(()));
    }

    #[test]
    fn a_request_that_did_not_come_through_the_stack_is_a_fault_of_ours() {
        let status = accept(Request::new(Money::default())).expect_err("no context");
        assert!(Answer::of(&status).is(CommonReason::Internal));
    }

    #[test]
    fn a_request_with_thousands_of_wrong_items_is_refused_in_few_words() {
        let lines = vec![String::new(); 5_000];
        let address = Address { lines, ..Address::default() };
        let status = Status::from(validate(&address).expect_err("every line is empty"));
        assert!(Answer::of(&status).is(CommonReason::FieldInvalid));
        // HTTP/2 peers take 16 KiB of headers in all; hyper, 16 KiB; some proxies, 8.
        assert!(status.details().len() < 6_000, "{} bytes", status.details().len());
    }
}
