//! Files over 400 lines and functions over 70, outside tests. What is long already is listed in
//! xtask/known-long.txt: the list may shrink, not grow.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::findings::Findings;
use crate::tree::{File, Tree};

const LONGEST_FILE: usize = 400;
const LONGEST_FUNCTION: usize = 70;
const KNOWN: &str = "xtask/known-long.txt";
const KNOWN_HEAD: &str = "# Files over 400 lines and functions over 70, outside tests: composition roots and tables, mostly.\n# The list may shrink, not grow; `cargo xtask tidy --accept-long` writes it anew.\n";

/// A function and the lines it takes, both ends included, counted from one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// The line of its `fn`.
    pub(crate) first: usize,
    /// The line of its closing brace.
    pub(crate) last: usize,
}

impl Function {
    fn lines(&self) -> usize {
        self.last + 1 - self.first
    }
}

/// What is long and was accepted.
pub(crate) fn known(root: &Path) -> anyhow::Result<BTreeSet<String>> {
    let text = fs::read_to_string(root.join(KNOWN)).with_context(|| format!("reading {KNOWN}"))?;
    Ok(text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect())
}

/// Writes today's list.
pub(crate) fn accept(tree: &Tree, root: &Path) -> anyhow::Result<()> {
    let list: String = long(tree).iter().map(|(entry, _)| format!("{entry}\n")).collect();
    fs::write(root.join(KNOWN), format!("{KNOWN_HEAD}{list}")).with_context(|| format!("writing {KNOWN}"))
}

/// Reports what is long and not in the list, and tells what of the list is long still.
pub(crate) fn check(tree: &Tree, known: &BTreeSet<String>, findings: &mut Findings) {
    let long = long(tree);
    for (entry, lines) in &long {
        if known.contains(entry) {
            findings.note(format!("long, and known: {entry} ({lines} lines)"));
        } else {
            findings.fault(
                entry,
                format!("{lines} lines; shorten it (files {LONGEST_FILE}, functions {LONGEST_FUNCTION})"),
            );
        }
    }
    for entry in known.iter().filter(|entry| !long.iter().any(|(now, _)| now == *entry)) {
        findings.note(format!("short now, take it off {KNOWN}: {entry}"));
    }
}

fn long(tree: &Tree) -> Vec<(String, usize)> {
    let mut long = Vec::new();
    for file in tree.with_extension("rs").filter(|file| !file.is_test()) {
        let lines = lines_of_code(file);
        if lines > LONGEST_FILE {
            long.push((file.path.clone(), lines));
        }
        let functions = functions(file).into_iter().filter(|function| function.first < lines);
        for function in functions.filter(|function| function.lines() > LONGEST_FUNCTION) {
            long.push((format!("{}::{}", file.path, function.name), function.lines()));
        }
    }
    long
}

/// Lines before the file's own tests.
fn lines_of_code(file: &File) -> usize {
    file.lines().find(|(_, line)| *line == "#[cfg(test)]").map_or(file.text.lines().count(), |(at, _)| at - 1)
}

/// Every function with a body. rustfmt closes one at the indentation of its `fn`.
pub(crate) fn functions(file: &File) -> Vec<Function> {
    let lines: Vec<&str> = file.text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        if let Some(last) = closing_line(&lines[at..], indent) {
            found.push(Function { name: name.to_owned(), first: at + 1, last: at + last + 1 });
        }
    }
    found
}

/// The name, if the line begins a function.
fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let words_before = before.split_whitespace().all(|word| {
        matches!(word, "pub" | "async" | "const" | "unsafe" | "default" | "extern" | "\"C\"" | "in")
            || word.starts_with("pub(")
            || word.ends_with(')')
    });
    let end = after.find(['(', '<'])?;
    (words_before && end > 0).then(|| &after[..end])
}

/// How many lines further the body closes; nothing when the function has no body.
fn closing_line(lines: &[&str], indent: &str) -> Option<usize> {
    for (at, line) in lines.iter().enumerate() {
        let same_depth = line.strip_prefix(indent).filter(|rest| !rest.starts_with(' '));
        match same_depth {
            Some("}") if at > 0 => return Some(at),
            Some(rest) if rest.ends_with(';') => return None,
            Some(rest) if at == 0 && rest.ends_with('}') => return Some(0),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(lines: usize) -> String {
        "// a line\n".repeat(lines)
    }

    fn function_of(lines: usize) -> String {
        format!(
            "//! Long.\n\npub(crate) async fn long<T>(it: T) {{\n{}}}\n",
            "    step();\n".repeat(lines - 2)
        )
    }

    fn faults(tree: &Tree, known: &[&str]) -> Vec<String> {
        let mut findings = Findings::default();
        check(tree, &known.iter().map(|&entry| entry.to_owned()).collect(), &mut findings);
        findings.faults().to_vec()
    }

    #[test]
    fn a_long_file_fails_unless_it_is_known() {
        let tree = Tree::of(&[("db/src/pool.rs", &file_of(401))]);
        assert_eq!(faults(&tree, &[]).len(), 1);
        assert!(faults(&tree, &["db/src/pool.rs"]).is_empty());
        assert!(faults(&Tree::of(&[("db/src/pool.rs", &file_of(400))]), &[]).is_empty());
    }

    #[test]
    fn a_long_function_fails_unless_it_is_known() {
        let tree = Tree::of(&[("db/src/pool.rs", &function_of(71))]);
        assert_eq!(faults(&tree, &[]).len(), 1);
        assert!(faults(&tree, &["db/src/pool.rs::long"]).is_empty());
        assert!(faults(&Tree::of(&[("db/src/pool.rs", &function_of(70))]), &[]).is_empty());
    }

    #[test]
    fn tests_may_be_long() {
        let own = format!("//! Short.\n#[cfg(test)]\nmod tests {{\n{}}}\n", file_of(500));
        assert!(
            faults(&Tree::of(&[("db/src/pool.rs", &own), ("db/tests/it/main.rs", &file_of(500))]), &[])
                .is_empty()
        );
    }

    #[test]
    fn functions_are_found_with_their_ends() {
        let text = "trait T {\n    fn declared(&self) -> u8;\n    fn given(&self) {\n        go();\n    }\n}\nfn one() {}\n";
        let found = functions(&Tree::of(&[("a.rs", text)]).files[0]);
        let ends: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.first, f.last)).collect();
        assert_eq!(ends, [("given", 3, 5), ("one", 7, 7)]);
    }
}
