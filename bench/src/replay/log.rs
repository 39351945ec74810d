//! Reads PostgreSQL's statement log. Knows its form (`log_line_prefix = '%p %d|'`) and nothing of who wrote it.

/// One statement as the server ran it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logged {
    /// The server process, which stands for the connection.
    pub(crate) process: u32,
    /// The database that it ran in.
    pub(crate) database: String,
    /// The text, with `$n` for parameters.
    pub(crate) sql: String,
    /// The parameters as SQL literals: `'text'` or `NULL`.
    pub(crate) parameters: Vec<String>,
}

/// Every statement of a log, in the order in which the server ran them.
pub(crate) fn parse(log: &str) -> Vec<Logged> {
    let mut statements: Vec<Logged> = Vec::new();
    for ((process, database), message) in messages(log) {
        if let Some(sql) = statement_of(&message) {
            statements.push(Logged { process, database, sql: sql.to_owned(), parameters: Vec::new() });
        } else if let Some(list) = parameters_of(&message) {
            let last = statements.iter_mut().rev().find(|logged| logged.process == process);
            if let Some(logged) = last {
                logged.parameters = literals(list);
            }
        }
    }
    statements
}

/// Log messages with the lines that continue them: those begin with a tab.
fn messages(log: &str) -> Vec<((u32, String), String)> {
    let mut messages: Vec<((u32, String), String)> = Vec::new();
    for line in log.lines() {
        match (started(line), line.strip_prefix('\t'), messages.last_mut()) {
            (Some((who, rest)), _, _) => messages.push((who, rest.to_owned())),
            (None, Some(more), Some((_, message))) => {
                message.push('\n');
                message.push_str(more);
            }
            _ => {}
        }
    }
    messages
}

/// The process and database of a line that begins a message, and the rest of it.
fn started(line: &str) -> Option<((u32, String), &str)> {
    let (who, rest) = line.split_once('|')?;
    let (process, database) = who.split_once(' ')?;
    Some(((process.parse().ok()?, database.to_owned()), rest))
}

/// `LOG:  statement: BEGIN` or `LOG:  execute name: SELECT …`.
fn statement_of(message: &str) -> Option<&str> {
    let text = message.strip_prefix("LOG:  ")?;
    if let Some(sql) = text.strip_prefix("statement: ") {
        return Some(sql);
    }
    text.strip_prefix("execute ")?.split_once(": ").map(|(_, sql)| sql)
}

/// `DETAIL:  parameters: $1 = 'a', $2 = NULL`.
fn parameters_of(message: &str) -> Option<&str> {
    let text = message.strip_prefix("DETAIL:  ")?;
    text.strip_prefix("parameters: ").or_else(|| text.strip_prefix("Parameters: "))
}

/// The literals of a parameter list. A quote inside a literal is doubled, as in SQL.
fn literals(list: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = list;
    while let Some((_, after)) = rest.split_once(" = ") {
        let length = literal_length(after);
        found.push(after[..length].to_owned());
        rest = &after[length..];
    }
    found
}

/// Bytes of the literal that a text begins with.
fn literal_length(text: &str) -> usize {
    if !text.starts_with('\'') {
        return text.find(',').unwrap_or(text.len());
    }
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'\'', Some(b'\'')) => at += 2,
            (b'\'', _) => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_keep_their_order_lines_and_parameters() {
        let log = "17 one|LOG:  statement: BEGIN\n\
                   18 two|LOG:  execute sqlx_s_2: SELECT 1\n\
                   17 one|LOG:  execute sqlx_s_1: UPDATE a\n\tSET b = $1 WHERE c = $2\n\
                   17 one|DETAIL:  parameters: $1 = 'it''s = , 1', $2 = NULL, $3 = '7'\n\
                   17 one|LOG:  statement: COMMIT\n";
        let statements = parse(log);
        let texts: Vec<_> = statements.iter().map(|logged| logged.sql.as_str()).collect();
        assert_eq!(texts, ["BEGIN", "SELECT 1", "UPDATE a\nSET b = $1 WHERE c = $2", "COMMIT"]);
        assert_eq!(statements[2].parameters, ["'it''s = , 1'", "NULL", "'7'"]);
        assert_eq!((statements[1].process, statements[1].database.as_str()), (18, "two"));
        assert!(statements[1].parameters.is_empty());
    }
}
