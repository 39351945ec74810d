//! docs/layers.md beside the three lists of layers: each layer has a row, and each row a test that is there.

use std::collections::BTreeSet;

use crate::findings::Findings;
use crate::tree::{File, Tree};

/// What stands in the list and decides nothing about a call.
const SHAPES: [&str; 1] = ["OneFuture"];

/// Reports layers without a row, rows without a layer and tests that nobody wrote.
pub(crate) fn check(document: &File, tree: &Tree, findings: &mut Findings) {
    let mut list: Option<&File> = None;
    let mut missing = BTreeSet::new();
    for (number, line) in document.lines() {
        let place = format!("{}:{number}", document.path);
        if let Some(path) = line.strip_prefix("## `").and_then(|rest| rest.strip_suffix('`')) {
            tell(&missing, list, document, findings);
            list = tree.file(path);
            missing = list.map(layers).unwrap_or_default();
        }
        let Some(name) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) else { continue };
        let stands =
            list.is_some_and(|file| file.text.contains(&format!("{name}::")) || layers(file).contains(name));
        if !stands {
            findings.fault(&place, format!("`{name}` is no layer there"));
        }
        missing.remove(name);
        let test = line.trim_end_matches(['|', ' ', '`']).rsplit('`').next().unwrap_or_default();
        if !tree.with_extension("rs").any(|file| has_test(file, test)) {
            findings.fault(&place, format!("no test is called `{test}`"));
        }
    }
    tell(&missing, list, document, findings);
}

fn tell(missing: &BTreeSet<&str>, list: Option<&File>, document: &File, findings: &mut Findings) {
    for name in missing {
        let path = list.map_or("", |file| file.path.as_str());
        findings.fault(&document.path, format!("names no test for the layer `{name}` of {path}"));
    }
}

/// The layers that a file puts in order, by the name of what is given to `.layer(`.
fn layers(file: &File) -> BTreeSet<&str> {
    let given = file.text.split(".layer(").skip(1).map(|given| {
        let given = given.strip_prefix("AroundLayer::new(").unwrap_or(given);
        let given = given.strip_prefix("At(").unwrap_or(given);
        let end = given.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.');
        &given[..end.unwrap_or(given.len())]
    });
    given.filter(|name| !SHAPES.contains(name)).collect()
}

fn has_test(file: &File, name: &str) -> bool {
    let head = format!("fn {name}()");
    file.text.find(&head).is_some_and(|at| {
        // The attribute stands on the line before, or on one before other attributes.
        let before = file.text[..at].rsplit("\n\n").next().unwrap_or_default();
        before.contains("#[test]") || before.contains("#[tokio::test")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "ServiceBuilder::new()\n.layer(cors::layer(&it))\n.layer(OneFuture)\n\
                        .layer(AroundLayer::new(At(Limit(it))))\n.layer(shared.metrics)\n";

    fn faults(rows: &str) -> Vec<String> {
        let proof = format!("#[tokio::test]\nasync {} calls_are_limited() {{}}\n", "fn");
        let document = format!("# Layers\n\n## `edge.rs`\n\n| layer | test |\n|---|---|\n{rows}");
        let tree = Tree::of(&[("docs/layers.md", &document), ("edge.rs", LIST), ("it.rs", &proof)]);
        let mut findings = Findings::default();
        check(&tree.files[0], &tree, &mut findings);
        findings.faults().to_vec()
    }

    #[test]
    fn a_layer_with_a_row_and_a_test_passes() {
        let row = |name| format!("| `{name}` | `calls_are_limited` |\n");
        assert_eq!(faults(&["cors", "Limit", "shared.metrics"].map(row).concat()), [""; 0]);
    }

    #[test]
    fn a_layer_without_a_row_a_row_without_a_layer_and_a_missing_test_are_faults() {
        let rows = "| `cors` | `calls_are_limited` |\n| `Limits` | `calls_are_limited` |\n| `Limit` | `nobody_calls` |\n";
        assert_eq!(
            faults(rows),
            [
                "docs/layers.md:8: `Limits` is no layer there",
                "docs/layers.md:9: no test is called `nobody_calls`",
                "docs/layers.md: names no test for the layer `shared.metrics` of edge.rs",
            ]
        );
    }
}
