//! Names of files, folders and make targets in the text of a document.

use std::collections::BTreeSet;

use crate::findings::Findings;
use crate::tree::{File, NOT_SOURCE, Tree};

/// Endings by which a name is known to mean a file.
const FILE_ENDINGS: [&str; 14] =
    ["rs", "proto", "md", "toml", "yaml", "yml", "txt", "ts", "js", "mjs", "py", "binpb", "json", "html"];

/// The tables of a configuration file.
const COMPONENTS: [&str; 6] = ["gateway", "identity", "issuer", "policy", "telemetry", "tls"];

/// Reports paths that are not there.
pub(crate) fn check_paths(document: &File, tree: &Tree, findings: &mut Findings) {
    for (number, line) in document.lines() {
        for name in quoted(line).chain(linked(line)) {
            if names_path(name, tree) && !exists(name, document, tree) {
                findings.fault(format!("{}:{number}", document.path), format!("`{name}` is not there"));
            }
        }
    }
}

/// Reports files that the opening lines of a Rust file name and that are not there: maps of a crate rot too.
pub(crate) fn check_map(source: &File, tree: &Tree, findings: &mut Findings) {
    for (number, line) in source.lines().take_while(|(_, line)| line.starts_with("//!")) {
        for name in quoted(line).filter(|name| name.ends_with(".rs") || name.ends_with(".md")) {
            // A crate speaks of its own rooms: `grpc/error.rs` may be any service's.
            let somewhere = tree.paths.iter().any(|path| ends_with(path, name));
            if names_path(name, tree) && !somewhere && !exists(name, source, tree) {
                findings.fault(format!("{}:{number}", source.path), format!("`{name}` is not there"));
            }
        }
    }
}

/// Reports `make` commands without a target.
pub(crate) fn check_targets(document: &File, makefile: &File, findings: &mut Findings) {
    let mut in_block = false;
    for (number, line) in document.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        }
        let commands = quoted(line).chain(in_block.then_some(line.trim()));
        for target in commands.filter_map(|command| command.strip_prefix("make ")) {
            let target = target.split([' ', '#', ';']).next().unwrap_or_default();
            let known = makefile.text.lines().any(|line| line.starts_with(&format!("{target}:")));
            if !target.is_empty() && target.starts_with(char::is_alphabetic) && !known {
                findings.fault(
                    format!("{}:{number}", document.path),
                    format!("`make {target}` is not in the Makefile"),
                );
            }
        }
    }
}

/// Reports settings in the first column of a table that no configuration struct has.
pub(crate) fn check_settings(document: &File, tree: &Tree, findings: &mut Findings) {
    for (number, line) in document.lines() {
        let Some(name) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) else { continue };
        let Some((component, rest)) = name.split_once('.') else { continue };
        let field = rest.rsplit('.').next().unwrap_or(rest);
        if COMPONENTS.contains(&component) && !is_setting(field, tree) {
            findings.fault(format!("{}:{number}", document.path), format!("`{name}` is not a setting"));
        }
    }
}

/// Whether a struct that refuses unknown keys has a field of this name.
fn is_setting(field: &str, tree: &Tree) -> bool {
    let declared = format!("    pub {field}: ");
    tree.with_extension("rs")
        .any(|file| file.text.contains("deny_unknown_fields") && file.text.contains(&declared))
}

/// Reports tests of invariants, named by their beginning (`inv_p1_`), that no test bears.
pub(crate) fn check_tests(document: &File, tree: &Tree, findings: &mut Findings) {
    for (number, line) in document.lines() {
        for name in quoted(line).filter(|name| name.starts_with("inv_")) {
            let function = format!("fn {name}");
            if !tree.with_extension("rs").any(|file| file.text.contains(&function)) {
                findings.fault(format!("{}:{number}", document.path), format!("no test is called `{name}…`"));
            }
        }
    }
}

/// Reports metrics that a document names and nothing counts, and counts that no document names.
pub(crate) fn check_metrics(document: &File, tree: &Tree, findings: &mut Findings) {
    let ours = |name: &str| ["caremesh_", "rpc_"].iter().any(|family| name.starts_with(family));
    let named: BTreeSet<&str> =
        document.text.split('`').skip(1).step_by(2).filter(|name| ours(name)).collect();
    let code: Vec<&File> = tree.with_extension("rs").filter(|file| is_counting(file)).collect();
    for name in &named {
        if !code.iter().any(|file| file.text.contains(&format!("\"{name}\""))) {
            findings.fault(&document.path, format!("`{name}` is counted nowhere"));
        }
    }
    let counted = code.iter().flat_map(|file| file.text.split("!(\"").skip(1));
    for name in counted.filter_map(|rest| rest.split('"').next()).filter(|name| ours(name)) {
        if !named.contains(name) {
            findings.fault(&document.path, format!("does not tell of the metric `{name}`"));
        }
    }
}

fn is_counting(file: &File) -> bool {
    !file.is_test() && file.text.contains("metrics::")
}

/// What stands between backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Targets of links that lead into the repository.
fn linked(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.starts_with('#'))
}

/// Whether a name means a path of the repository, and not a gRPC method, a media type or a pattern.
fn names_path(name: &str, tree: &Tree) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    if name.is_empty() || !name.chars().all(plain) || name.starts_with('/') || name.contains("...") {
        return false;
    }
    let folder =
        name.trim_start_matches("../").trim_start_matches("./").split('/').next().unwrap_or_default();
    let is_file =
        name.rsplit_once('.').is_some_and(|(before, end)| !before.is_empty() && FILE_ENDINGS.contains(&end));
    let in_known_folder = name.contains('/') && tree.paths.iter().any(|path| path == folder);
    is_file || name.ends_with('/') || in_known_folder
}

/// Whether the path is in the tree: from the root, from the document's folder, or, without a folder, anywhere.
fn exists(name: &str, document: &File, tree: &Tree) -> bool {
    let name = name.split('#').next().unwrap_or_default().trim_end_matches('/').trim_start_matches("./");
    if name.split('/').any(|part| NOT_SOURCE.contains(&part)) {
        return true;
    }
    let folder = document.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let relative = resolve(folder, name);
    tree.paths
        .iter()
        .any(|path| path == name || *path == relative || (!name.contains('/') && ends_with(path, name)))
}

fn ends_with(path: &str, name: &str) -> bool {
    path.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

/// `name` seen from `folder`, with `..` taken out.
fn resolve(folder: &str, name: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in name.split('/') {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(document: &str) -> Tree {
        Tree::of(&[
            ("README.md", document),
            ("docs/adr/0001-protox.md", "See [the mesh](../../mesh/src/server.rs)."),
            ("mesh/src/server.rs", "//! Server."),
            ("Makefile", "run: setup-run ## Run.\n"),
        ])
    }

    fn path_faults(document: &str) -> Vec<String> {
        let tree = tree(document);
        let mut findings = Findings::default();
        for file in tree.with_extension("md") {
            check_paths(file, &tree, &mut findings);
        }
        findings.faults().to_vec()
    }

    #[test]
    fn a_path_that_is_not_there_is_a_fault() {
        assert_eq!(path_faults("`mesh/src/sever.rs`"), ["README.md:1: `mesh/src/sever.rs` is not there"]);
        assert_eq!(path_faults("[read](docs/adr/0002.md)"), ["README.md:1: `docs/adr/0002.md` is not there"]);
        assert_eq!(path_faults("`web/`"), ["README.md:1: `web/` is not there"]);
    }

    #[test]
    fn a_crate_s_own_map_is_checked_too() {
        let tree =
            Tree::of(&[("db/src/lib.rs", "//! | `tx.rs`, `own.rs` |\n"), ("db/src/tx.rs", "//! Tx.\n")]);
        let mut findings = Findings::default();
        check_map(&tree.files[0], &tree, &mut findings);
        assert_eq!(findings.faults(), ["db/src/lib.rs:1: `own.rs` is not there"]);
    }

    #[test]
    fn a_path_that_is_there_passes_however_it_is_written() {
        for document in [
            "`mesh/src/server.rs`",
            "`mesh/`",
            "`server.rs`",
            "[adr](docs/adr/0001-protox.md)",
            "`target/buf`",
        ] {
            assert_eq!(path_faults(document), [""; 0], "{document}");
        }
    }

    #[test]
    fn what_is_no_path_is_left_alone() {
        for document in
            ["`caremesh.policy.v1.PlanService/ListPlans`", "`svc-*/src/`", "`application/grpc`", "`/metrics`"]
        {
            assert_eq!(path_faults(document), [""; 0], "{document}");
        }
    }

    #[test]
    fn a_setting_that_no_struct_has_is_a_fault() {
        let table = "| `gateway.listen` | 1 |\n| `gateway.limits.lissen` | 2 |\n| `rpc.method` | 3 |\n";
        let config =
            "#[serde(deny_unknown_fields)]\nstruct GatewayConfig {\n    pub listen: SocketAddr,\n}\n";
        let tree = Tree::of(&[("README.md", table), ("gateway/src/config.rs", config)]);
        let mut findings = Findings::default();
        check_settings(&tree.files[0], &tree, &mut findings);
        assert_eq!(findings.faults(), ["README.md:2: `gateway.limits.lissen` is not a setting"]);
    }

    #[test]
    fn an_invariant_without_its_test_is_a_fault() {
        let proof = format!("#[test]\n{} inv_p1_holds() {{}}\n", "fn");
        let tree = Tree::of(&[("A.md", "`inv_p1_` and\n`inv_p2_`"), ("a.rs", &proof)]);
        let mut findings = Findings::default();
        check_tests(&tree.files[0], &tree, &mut findings);
        assert_eq!(findings.faults(), ["A.md:2: no test is called `inv_p2_…`"]);
    }

    #[test]
    fn metrics_are_documented_and_documented_metrics_are_counted() {
        let tree = Tree::of(&[
            ("docs/operations.md", "| `caremesh_panics_total` | `caremesh_ghosts_total` |"),
            (
                "mesh/src/a.rs",
                "metrics::counter!(\"caremesh_panics_total\");\nmetrics::counter!(\"caremesh_new_total\");\n",
            ),
        ]);
        let mut findings = Findings::default();
        check_metrics(tree.file("docs/operations.md").unwrap(), &tree, &mut findings);
        assert_eq!(
            findings.faults(),
            [
                "docs/operations.md: `caremesh_ghosts_total` is counted nowhere",
                "docs/operations.md: does not tell of the metric `caremesh_new_total`"
            ]
        );
    }

    #[test]
    fn a_command_without_a_target_is_a_fault() {
        let tree = tree("`make run`, then\n```sh\nmake tea\n```\n");
        let mut findings = Findings::default();
        check_targets(&tree.files[0], tree.file("Makefile").unwrap(), &mut findings);
        assert_eq!(findings.faults(), ["README.md:3: `make tea` is not in the Makefile"]);
    }
}
