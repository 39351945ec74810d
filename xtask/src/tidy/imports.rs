//! Who may name what: the arrows of ARCHITECTURE.md, written as a table of places and forbidden names.

use super::{code_outside_strings, has_word};
use crate::findings::Findings;
use crate::tree::File;

/// One arrow that must not be drawn.
struct Rule {
    /// Whether the rule holds in this file.
    holds: fn(&File) -> bool,
    /// Names that must not appear in its code.
    forbidden: &'static [&'static str],
    /// Why.
    reason: &'static str,
}

const RULES: [Rule; 5] = [
    Rule {
        holds: is_domain,
        forbidden: &[
            "tokio",
            "tonic",
            "prost",
            "prost_types",
            "sea_orm",
            "sqlx",
            "caremesh_mesh",
            "caremesh_db",
            "caremesh_proto",
            "async",
            "await",
        ],
        reason: "domain/ is pure: sync, no I/O, no clock, no wire and no rows",
    },
    Rule {
        holds: |file| file.path.starts_with("kernel/src/"),
        forbidden: &["tokio", "tonic", "prost", "prost_types", "sea_orm", "sqlx", "caremesh_proto", "async"],
        reason: "kernel/ is what every crate may know, so it knows no transport and no store",
    },
    Rule {
        holds: |file| is_product(file) && !makes_status(file),
        forbidden: &["Status"],
        reason: "only grpc/, mesh/ and gateway/ make a Status; elsewhere an error says what happened",
    },
    Rule {
        holds: |file| is_product(file) && !knows_rows(file),
        forbidden: &["sea_orm", "sea_orm_migration", "sqlx"],
        reason: "only db/ and the store/ and migration/ of a service know the database library",
    },
    Rule {
        holds: |file| is_product(file) && !file.path.starts_with("proto/") && !file.path.starts_with("mesh/"),
        forbidden: &["tonic_prost", "prost_protovalidate"],
        reason: "generated code is reached through proto/, validation through mesh::accept",
    },
];

/// Reports each forbidden name, once a line.
pub(crate) fn check(file: &File, findings: &mut Findings) {
    for rule in RULES.iter().filter(|rule| (rule.holds)(file)) {
        for (number, line) in file.lines().take_while(|(_, line)| !line.starts_with("#[cfg(test)]")) {
            let code = code_outside_strings(line);
            let named = rule.forbidden.iter().find(|name| has_word(&code, name));
            if let Some(name) = named {
                findings.fault(format!("{}:{number}", file.path), format!("`{name}`: {}", rule.reason));
            }
        }
    }
}

fn is_domain(file: &File) -> bool {
    file.is_under("domain") && !file.is_test()
}

/// Code that ships: everything but tests, helpers of tests and this tool.
fn is_product(file: &File) -> bool {
    !file.is_test() && !file.path.starts_with("xtask/") && file.is_under("src")
}

fn makes_status(file: &File) -> bool {
    file.is_under("grpc") || ["mesh/", "gateway/", "proto/"].iter().any(|home| file.path.starts_with(home))
}

fn knows_rows(file: &File) -> bool {
    file.path.starts_with("db/") || file.is_under("store") || file.is_under("migration")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    fn faults(path: &str, text: &str) -> Vec<String> {
        let mut findings = Findings::default();
        check(&Tree::of(&[(path, text)]).files[0], &mut findings);
        findings.faults().to_vec()
    }

    #[test]
    fn domain_may_not_know_the_transport() {
        let found = faults("svc-policy/src/domain/term.rs", "//! Terms.\nuse tonic::Code;\n");
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("svc-policy/src/domain/term.rs:2: `tonic`"), "{}", found[0]);
    }

    #[test]
    fn domain_is_synchronous() {
        assert_eq!(faults("svc-policy/src/domain/term.rs", "pub async fn lapse() {}\n").len(), 1);
    }

    #[test]
    fn kernel_may_not_know_the_store() {
        assert!(!faults("kernel/src/id.rs", "use sea_orm::Value;\n").is_empty());
    }

    #[test]
    fn a_use_case_may_not_make_a_status() {
        assert_eq!(faults("svc-policy/src/app/buy.rs", "fn f() -> tonic::Status {\n").len(), 1);
        assert!(faults("svc-policy/src/grpc/error.rs", "fn f() -> tonic::Status {\n").is_empty());
        assert!(faults("mesh/src/refusal.rs", "fn f() -> tonic::Status {\n").is_empty());
    }

    #[test]
    fn only_the_store_knows_rows() {
        assert_eq!(faults("svc-policy/src/app/buy.rs", "use sea_orm::EntityTrait;\n").len(), 1);
        assert!(faults("svc-policy/src/store/account.rs", "use sea_orm::EntityTrait;\n").is_empty());
        assert!(faults("svc-policy/src/migration/mod.rs", "use sea_orm_migration::prelude::*;\n").is_empty());
    }

    #[test]
    fn validation_is_reached_through_accept() {
        assert_eq!(faults("svc-policy/src/grpc/plan.rs", "use prost_protovalidate::Validate;\n").len(), 1);
    }

    #[test]
    fn a_comment_may_name_anything() {
        assert!(faults("kernel/src/id.rs", "//! Knows no tokio.\n").is_empty());
    }
}
