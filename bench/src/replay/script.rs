//! Turns logged statements into a pgbench script: each text prepared once, then executed with its values, as
//! a driver with a statement cache does it.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::log::Logged;

/// A script that runs the statements in their order on one connection.
pub(crate) fn script(statements: &[Logged]) -> String {
    let mut names: HashMap<&str, usize> = HashMap::new();
    let (mut prepared, mut executed) = (String::new(), String::new());
    for logged in statements {
        if logged.parameters.is_empty() {
            push_statement(&mut executed, &logged.sql);
            continue;
        }
        let next = names.len();
        let name = *names.entry(&logged.sql).or_insert_with(|| {
            push_statement(&mut prepared, &format!("PREPARE s{next} AS {}", logged.sql));
            next
        });
        push_statement(&mut executed, &format!("EXECUTE s{name}({})", logged.parameters.join(", ")));
    }
    prepared + &executed
}

/// One line, ended. pgbench takes `:name` for a variable, so that a colon before a letter inside a literal is
/// written as a Unicode escape would be: by breaking the literal in two.
fn push_statement(script: &mut String, sql: &str) {
    let line = sql.replace('\n', " ");
    let mut previous = ' ';
    for (at, c) in line.char_indices() {
        let next = line[at + c.len_utf8()..].chars().next();
        let variable =
            c == ':' && previous != ':' && next.is_some_and(|n| n.is_ascii_alphanumeric() || n == '_');
        let _ = write!(script, "{}", if variable { ":'||'" } else { "" });
        if !variable {
            script.push(c);
        }
        previous = c;
    }
    script.push_str(";\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(sql: &str, parameters: &[&str]) -> Logged {
        Logged {
            process: 1,
            sql: sql.into(),
            parameters: parameters.iter().map(|p| (*p).to_owned()).collect(),
        }
    }

    #[test]
    fn a_text_is_prepared_once_and_executed_with_each_of_its_values() {
        let statements = [
            logged("BEGIN", &[]),
            logged("SELECT $1", &["'a'"]),
            logged("SELECT $1", &["NULL"]),
            logged("COMMIT", &[]),
        ];
        let expected = "PREPARE s0 AS SELECT $1;\nBEGIN;\nEXECUTE s0('a');\nEXECUTE s0(NULL);\nCOMMIT;\n";
        assert_eq!(script(&statements), expected);
    }

    #[test]
    fn a_colon_in_a_literal_is_no_variable_and_a_cast_stays_a_cast() {
        let statements = [logged("SELECT $1::text", &["'R:30'"])];
        assert_eq!(script(&statements), "PREPARE s0 AS SELECT $1::text;\nEXECUTE s0('R:'||'30');\n");
    }
}
