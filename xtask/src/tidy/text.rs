//! Rules about the text of a file: its opening lines, names of tests, and words that say it is unfinished.

use super::{code, has_word};
use crate::findings::Findings;
use crate::tree::{File, Tree};

/// Words of unfinished work, put together here so that this file does not find itself.
const UNFINISHED: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("todo", "!"), concat!("unimpl", "emented!")];

/// Kinds of files that people write and that must be finished.
const WRITTEN: [&str; 12] =
    ["rs", "proto", "md", "toml", "yaml", "sh", "bash", "ts", "js", "mjs", "py", "html"];

/// Reports a file without its `//!` lines and a test that is called `test_`.
pub(crate) fn check_rust(file: &File, findings: &mut Findings) {
    if !file.text.starts_with("//!") {
        findings.fault(&file.path, "does not open with `//!`: say what it is for and what it must not know");
    }
    let named = file.lines().filter(|(_, line)| code(line).contains(concat!("fn te", "st_")));
    for (number, _) in named {
        findings.fault(
            format!("{}:{number}", file.path),
            "a test's name is a sentence, without the prefix `test_`",
        );
    }
}

/// Reports words that mark work left for later.
pub(crate) fn check_unfinished(tree: &Tree, findings: &mut Findings) {
    for file in WRITTEN.iter().flat_map(|extension| tree.with_extension(extension)) {
        for (number, line) in file.lines() {
            if let Some(word) = UNFINISHED.iter().find(|word| has_word(line, word)) {
                findings.fault(
                    format!("{}:{number}", file.path),
                    format!("`{word}`: finish it or file an issue"),
                );
            }
        }
    }
}

/// Tells who skips the question whose data it is.
pub(crate) fn list_unscoped(tree: &Tree, findings: &mut Findings) {
    for file in tree.with_extension("rs").filter(|file| !file.is_test() && !file.path.starts_with("xtask/")) {
        for (number, line) in file.lines() {
            let line = code(line);
            if line.contains("_unscoped(") && !line.contains("fn ") {
                findings.note(format!("unscoped: {}:{number}: {}", file.path, line.trim()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(rule: impl Fn(&Tree, &mut Findings), path: &str, text: &str) -> Vec<String> {
        let mut findings = Findings::default();
        rule(&Tree::of(&[(path, text)]), &mut findings);
        findings.faults().to_vec()
    }

    fn rust(tree: &Tree, findings: &mut Findings) {
        check_rust(&tree.files[0], findings);
    }

    #[test]
    fn a_file_without_its_opening_lines_fails() {
        assert_eq!(faults(rust, "db/src/pool.rs", "use std::fmt;\n").len(), 1);
        assert!(faults(rust, "db/src/pool.rs", "//! Pools.\n").is_empty());
    }

    #[test]
    fn a_test_called_test_fails() {
        let text = format!("//! Pools.\nfn {}pool() {{}}\n", concat!("te", "st_"));
        assert_eq!(faults(rust, "db/src/pool.rs", &text).len(), 1);
    }

    #[test]
    fn unfinished_work_fails_wherever_it_is() {
        for word in UNFINISHED {
            let text = format!("//! Pools.\n// {word} later\n");
            assert_eq!(faults(check_unfinished, "db/src/pool.rs", &text).len(), 1, "{word}");
            assert_eq!(faults(check_unfinished, "docs/ports.md", &text).len(), 1, "{word}");
        }
    }

    #[test]
    fn unscoped_calls_are_told_and_their_definition_is_not() {
        let mut findings = Findings::default();
        let text = "fn find_unscoped(id: Id) {\n    row()\n}\nfn f() {\n    find_unscoped(id);\n}\n";
        list_unscoped(&Tree::of(&[("db/src/row.rs", text)]), &mut findings);
        let mut expected = Findings::default();
        expected.note("unscoped: db/src/row.rs:5: find_unscoped(id);");
        assert_eq!(findings, expected);
    }
}
