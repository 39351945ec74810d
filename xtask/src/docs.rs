//! What documents say must be so: paths and make targets they name exist, docs/layers.md names every layer, and
//! docs/errors.md is the contract's own list. Judges no prose.

mod errors;
mod layers;
mod names;

use std::fs;
use std::path::Path;

use anyhow::Context;
use prost_reflect::DescriptorPool;

use crate::findings::Findings;
use crate::tree::Tree;

const ERRORS: &str = "docs/errors.md";
const LAYERS: &str = "docs/layers.md";
const OPERATIONS: &str = "docs/operations.md";

/// Reports names that lead nowhere and an errors document that is not the contract's.
pub(crate) fn check(tree: &Tree, contract: &DescriptorPool) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let makefile = tree.file("Makefile").context("there is no Makefile")?;
    for document in tree.with_extension("md") {
        names::check_paths(document, tree, &mut findings);
        names::check_targets(document, makefile, &mut findings);
        names::check_tests(document, tree, &mut findings);
        names::check_settings(document, tree, &mut findings);
    }
    for source in tree.with_extension("rs") {
        names::check_map(source, tree, &mut findings);
    }
    if let Some(operations) = tree.file(OPERATIONS) {
        names::check_metrics(operations, tree, &mut findings);
    }
    match tree.file(LAYERS) {
        Some(document) => layers::check(document, tree, &mut findings),
        None => findings.fault(LAYERS, "is not there"),
    }
    let expected = errors::render(contract, tree)?;
    if tree.file(ERRORS).is_none_or(|file| file.text != expected) {
        findings.fault(ERRORS, "is not what the contract says; run `cargo xtask errors-doc`");
    }
    Ok(findings)
}

/// Writes docs/errors.md.
pub(crate) fn write_errors(root: &Path, contract: &DescriptorPool) -> anyhow::Result<Findings> {
    let text = errors::render(contract, &Tree::read(root)?)?;
    fs::write(root.join(ERRORS), text).with_context(|| format!("writing {ERRORS}"))?;
    let mut findings = Findings::default();
    findings.note(format!("wrote {ERRORS}"));
    Ok(findings)
}
