//! Turns logged statements into a pgbench script: each text prepared once, then executed with its values, as
//! a driver with a statement cache does it.

use std::collections::HashMap;

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

/// One line, ended. pgbench leaves `:name` alone where it knows no such variable, so that a colon in a literal
/// stays what it is.
fn push_statement(script: &mut String, sql: &str) {
    script.push_str(&sql.replace('\n', " "));
    script.push_str(";\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(sql: &str, parameters: &[&str]) -> Logged {
        Logged {
            process: 1,
            database: "one".into(),
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
}
