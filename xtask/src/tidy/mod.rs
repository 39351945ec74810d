//! The house rules that no lint knows (ARCHITECTURE.md). Lines are scanned, not parsed: rustfmt, which
//! `make check` runs first, makes the shape of a line dependable.

mod handlers;
mod imports;
mod size;
mod text;

use std::path::Path;

use crate::findings::Findings;
use crate::tree::Tree;

/// Applies every rule.
pub(crate) fn check(tree: &Tree, root: &Path, accept_long: bool) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    for file in tree.with_extension("rs") {
        imports::check(file, &mut findings);
        handlers::check(file, &mut findings);
        text::check_rust(file, &mut findings);
    }
    text::check_unfinished(tree, &mut findings);
    text::list_unscoped(tree, &mut findings);
    if accept_long {
        size::accept(tree, root)?;
    }
    size::check(tree, &size::known(root)?, &mut findings);
    Ok(findings)
}

/// The code of a line, without a comment that ends it. A `//` inside a string is taken for a comment:
/// that hides at most the rest of that line.
fn code(line: &str) -> &str {
    line.find("//").map_or(line, |at| &line[..at])
}

/// The same without what stands in strings: a target name for logs is no import.
fn code_outside_strings(line: &str) -> String {
    code(line).split('"').step_by(2).collect()
}

/// Whether `word` stands in `text` with no letter, digit or underscore beside it.
fn has_word(text: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(part_of_name) && !text[at + word.len()..].starts_with(part_of_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_not_a_part_of_a_longer_name() {
        assert!(has_word("use tonic::Status;", "Status"));
        assert!(!has_word("use http::StatusCode;", "Status"));
        assert!(!has_word("HealthStatus::Up", "Status"));
    }

    #[test]
    fn a_string_names_nothing() {
        assert_eq!(code_outside_strings(r#"filter("sea_orm", tonic)"#), "filter(, tonic)");
    }

    #[test]
    fn a_comment_is_not_code() {
        assert_eq!(code("let x = 1; // tonic"), "let x = 1; ");
    }

    #[test]
    fn the_repository_itself_is_read() {
        let root = crate::root().unwrap();
        let tree = Tree::read(&root).unwrap();
        assert!(tree.file("xtask/src/main.rs").is_some());
        assert!(!tree.paths.iter().any(|path| path.starts_with("target/")));
    }
}
