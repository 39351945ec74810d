//! docs/errors.md, written from the contract: every reason, its code, its sentence and what it means.

use std::fmt::Write as _;

use prost_reflect::{DescriptorPool, EnumDescriptor};

use crate::coverage::reasons;
use crate::tree::Tree;

const HEAD: &str = "# Errors

Written from the contract by `cargo xtask errors-doc`; `make check` compares. Change `proto/` instead.

Every error is a `google.rpc.Status` with exactly one `google.rpc.ErrorInfo`: `reason` is a name of this page,
`domain` is the service's (`policy.caremesh`). The sentence is fixed and never holds data of a person. Fields that
broke a rule come along in `google.rpc.BadRequest`; how long to wait comes along in `google.rpc.RetryInfo`. Only
UNAVAILABLE, and RESOURCE_EXHAUSTED with RetryInfo, may be answered by sending the same request again.
";

/// The whole document.
pub(crate) fn render(contract: &DescriptorPool, tree: &Tree) -> anyhow::Result<String> {
    let mut text = HEAD.to_owned();
    for reasons in reasons::enums(contract) {
        write!(text, "\n## {}\n\n", reasons.full_name())?;
        text.push_str("| reason | code | sentence | meaning |\n|---|---|---|---|\n");
        for reason in reasons::of(&reasons) {
            let meaning = meaning(tree, &reasons, &reason.value_name);
            writeln!(text, "| `{}` | {} | {} | {meaning} |", reason.name, reason.code, reason.message)?;
        }
    }
    Ok(text)
}

/// The comment above the value in its .proto file, on one line.
fn meaning(tree: &Tree, reasons: &EnumDescriptor, value: &str) -> String {
    let path = format!("proto/{}", reasons.parent_file().name());
    let mut comment: Vec<&str> = Vec::new();
    for line in tree.file(&path).map(|file| file.text.as_str()).unwrap_or_default().lines() {
        let line = line.trim();
        if let Some(said) = line.strip_prefix("//") {
            comment.push(said.trim());
        } else if line.strip_prefix(value).is_some_and(|rest| rest.trim_start().starts_with('=')) {
            return comment.join(" ").replace('|', "\\|");
        } else {
            comment.clear();
        }
    }
    String::new()
}
