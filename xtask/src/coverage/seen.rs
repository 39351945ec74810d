//! What tests saw: each declared error, each denial and a success of every method. The recordings are
//! lines that testkit writes while tests run, `method <TAB> caller <TAB> code <TAB> reason`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use prost_reflect::{DescriptorPool, DynamicMessage};

use super::{methods, option, services};
use crate::findings::Findings;

/// Codes by which a caller who may not is refused: not known, not allowed, or not allowed to know.
const DENIALS: [&str; 3] = ["UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND"];

/// Kinds of callers that a method must have refused.
const REFUSED: [&str; 2] = ["person", "service"];

/// One answer that a test saw.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    /// `caremesh.policy.v1.PlanService/ListPlans`.
    method: String,
    /// `person`, `service` or `nobody`.
    caller: String,
    /// `OK`, `NOT_FOUND`.
    code: String,
    /// `ErrorInfo.reason`; empty when there is none.
    reason: String,
}

/// Reports what no test has seen.
pub(crate) fn check(contract: &DescriptorPool, folder: &Path, findings: &mut Findings) -> anyhow::Result<()> {
    let seen = read(folder)?;
    ensure!(!seen.is_empty(), "no recordings in {}: run the tests first", folder.display());
    for method in services(contract).flat_map(|service| service.methods().collect::<Vec<_>>()) {
        let policy = option(contract, &method.options(), "method");
        let Some(policy) = policy.as_ref().and_then(|policy| policy.as_message()) else { continue };
        let path = format!("{}/{}", method.parent_service().full_name(), method.name());
        let own: Vec<&Seen> = seen.iter().filter(|seen| seen.method == path).collect();
        check_method(&path, policy, &own, findings);
    }
    findings.note(format!("{} different answers seen by tests", seen.len()));
    Ok(())
}

fn check_method(path: &str, policy: &DynamicMessage, seen: &[&Seen], findings: &mut Findings) {
    if !seen.iter().any(|seen| seen.code == "OK") {
        findings.fault(path, "no test has seen it succeed");
    }
    for error in methods::errors(policy) {
        if !seen.iter().any(|seen| seen.reason == error) {
            findings.fault(path, format!("no test has seen {error}"));
        }
    }
    if methods::is_public(policy) {
        return;
    }
    for caller in REFUSED {
        let denied = |seen: &&Seen| seen.caller == caller && DENIALS.contains(&seen.code.as_str());
        if !seen.iter().copied().any(|it| denied(&it)) {
            findings.fault(path, format!("no test has seen it refuse a {caller} who may not"));
        }
    }
}

fn read(folder: &Path) -> anyhow::Result<BTreeSet<Seen>> {
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        for line in fs::read_to_string(&path)?.lines() {
            seen.insert(
                parse(line).with_context(|| format!("{}: `{line}` is no recording", path.display()))?,
            );
        }
    }
    Ok(seen)
}

fn parse(line: &str) -> Option<Seen> {
    let mut parts = line.split('\t').map(str::to_owned);
    let seen =
        Seen { method: parts.next()?, caller: parts.next()?, code: parts.next()?, reason: parts.next()? };
    parts.next().is_none().then_some(seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::tests::draft;

    const OK: &str = "caremesh.draft.v1.Drafts/Buy\tperson\tOK\t\n";
    const ERROR: &str = "caremesh.draft.v1.Drafts/Buy\tperson\tABORTED\tSOLD_OUT\n";
    const PERSON: &str = "caremesh.draft.v1.Drafts/Buy\tperson\tNOT_FOUND\tRESOURCE_NOT_FOUND\n";
    const SERVICE: &str = "caremesh.draft.v1.Drafts/Buy\tservice\tPERMISSION_DENIED\tROLE_MISSING\n";

    fn faults(recorded: &str) -> Vec<String> {
        let contract = draft(
            "service Drafts { rpc Buy(BuyRequest) returns (BuyResponse) {
             option (caremesh.options.v1.method) = {errors: \"SOLD_OUT\"}; } }
             message BuyRequest {} message BuyResponse {}",
        );
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("1.tsv"), recorded).unwrap();
        let mut findings = Findings::default();
        check(&contract, folder.path(), &mut findings).unwrap();
        let own = findings.faults().iter().filter(|fault| fault.starts_with("caremesh.draft"));
        own.map(|fault| fault.split_once(": ").unwrap().1.to_owned()).collect()
    }

    #[test]
    fn a_method_whose_answers_were_all_seen_passes() {
        assert_eq!(faults(&[OK, ERROR, PERSON, SERVICE].concat()), [""; 0]);
    }

    #[test]
    fn each_answer_that_was_not_seen_fails() {
        assert_eq!(faults(&[ERROR, PERSON, SERVICE].concat()), ["no test has seen it succeed"]);
        assert_eq!(faults(&[OK, PERSON, SERVICE].concat()), ["no test has seen SOLD_OUT"]);
        assert_eq!(
            faults(&[OK, ERROR, SERVICE].concat()),
            ["no test has seen it refuse a person who may not"]
        );
        assert_eq!(
            faults(&[OK, ERROR, PERSON].concat()),
            ["no test has seen it refuse a service who may not"]
        );
    }

    #[test]
    fn a_line_that_is_no_recording_is_an_error() {
        assert_eq!(parse("caremesh.draft.v1.Drafts/Buy\tperson"), None);
        assert_eq!(parse(&format!("{}\textra", OK.trim_end_matches('\n'))), None);
    }

    #[test]
    fn an_empty_folder_is_an_error_and_no_success() {
        let folder = tempfile::tempdir().unwrap();
        let error = check(&draft(""), folder.path(), &mut Findings::default()).unwrap_err();
        assert!(error.to_string().starts_with("no recordings in"), "{error}");
    }
}
