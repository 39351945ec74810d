//! Lays out target/buf: a copy of the contract beside the rules it imports, so that buf needs no network.
//! The rules come out of the crate that ships them, whichever version Cargo.lock names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::findings::Findings;

/// Crates that carry protobuf files which the contract or its readers import: name, folder inside the
/// crate, file below it, and the path it is imported by.
const CARRIERS: [(&str, &str, &str); 2] = [
    ("prost-protovalidate-types", "proto/buf/validate/validate.proto", "buf/validate/validate.proto"),
    ("tonic-types", "proto/error_details.proto", "google/rpc/error_details.proto"),
];

/// The offline twin of buf.yaml: the same rules for our module, none for what others wrote.
const MODULES: &str = "version: v2\nmodules:\n  - path: proto\n  - path: imports\n    lint:\n      ignore: [imports]\n    breaking:\n      ignore: [imports]\n";

/// Writes target/buf anew.
pub(crate) fn write_workspace(root: &Path) -> anyhow::Result<Findings> {
    let workspace = root.join("target/buf");
    if workspace.exists() {
        fs::remove_dir_all(&workspace)?;
    }
    lay_out(root, &workspace)?;
    Ok(Findings::default())
}

fn lay_out(root: &Path, workspace: &Path) -> anyhow::Result<()> {
    copy_protos(&root.join("proto/caremesh"), &workspace.join("proto/caremesh"))?;
    for (name, inside, imported) in CARRIERS {
        let from = crate_folder(root, name)?.join(inside);
        copy(&from, &workspace.join("imports").join(imported))?;
    }
    let rules = fs::read_to_string(root.join("buf.yaml")).context("reading buf.yaml")?;
    fs::write(workspace.join("buf.yaml"), format!("{MODULES}{}", lint_and_breaking(&rules)?))?;
    Ok(())
}

/// The part of buf.yaml from `lint:` on, which holds for both layouts.
fn lint_and_breaking(rules: &str) -> anyhow::Result<&str> {
    let at = rules.find("\nlint:").context("buf.yaml has no `lint:` section")?;
    Ok(&rules[at + 1..])
}

fn copy_protos(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_protos(&entry.path(), &target)?;
        } else {
            copy(&entry.path(), &target)?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    // Read and write instead of fs::copy: the registry's read-only mode must not come along.
    let text = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    fs::write(to, text).with_context(|| format!("writing {}", to.display()))
}

/// Where cargo keeps the source of a dependency.
fn crate_folder(root: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root)
        .output()
        .context("running cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let package = packages.iter().find(|package| package["name"] == name);
    let manifest = package.and_then(|package| package["manifest_path"].as_str());
    let folder = manifest.map(Path::new).and_then(Path::parent);
    folder.map(Path::to_path_buf).with_context(|| format!("{name} is not a dependency"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts_share_the_rules() {
        let rules = "version: v2\nmodules:\n  - path: proto\nlint:\n  use: [STANDARD]\n";
        assert_eq!(lint_and_breaking(rules).unwrap(), "lint:\n  use: [STANDARD]\n");
    }

    /// The contract in a folder of its own, with the real buf to judge it.
    struct Judge {
        workspace: tempfile::TempDir,
        buf: PathBuf,
    }

    impl Judge {
        /// Nothing where `make setup` has not installed buf.
        fn of_the_contract() -> Option<Self> {
            let root = crate::root().unwrap();
            let buf = root.join(".tools/venv/bin/buf");
            if !buf.exists() {
                println!("SKIPPED: buf is not installed; run `make setup`");
                return None;
            }
            let workspace = tempfile::tempdir().unwrap();
            lay_out(&root, workspace.path()).unwrap();
            Some(Self { workspace, buf })
        }

        fn run(&self, arguments: &[&str]) -> Result<(), String> {
            let output =
                Command::new(&self.buf).args(arguments).current_dir(self.workspace.path()).output().unwrap();
            let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
            output.status.success().then_some(()).ok_or(said)
        }

        fn change(&self, from: &str, to: &str) {
            let path = self.workspace.path().join("proto/caremesh/type/v1/money.proto");
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(from));
            fs::write(path, text.replace(from, to)).unwrap();
        }
    }

    #[test]
    fn buf_refuses_a_field_without_a_comment_and_works_offline() {
        let Some(judge) = Judge::of_the_contract() else { return };
        assert_eq!(judge.run(&["lint"]), Ok(()));
        judge.change("  // The amount in minor units", "  string note = 3;\n  // The amount in minor units");
        let said = judge.run(&["lint"]).unwrap_err();
        assert!(said.contains("proto/caremesh/type/v1/money.proto") && said.contains("comment"), "{said}");
    }

    #[test]
    fn buf_refuses_to_take_a_field_away() {
        let Some(judge) = Judge::of_the_contract() else { return };
        assert_eq!(judge.run(&["build", "proto", "--output", "released.binpb"]), Ok(()));
        assert_eq!(judge.run(&["breaking", "proto", "--against", "released.binpb"]), Ok(()));
        judge.change("int64 minor_units = 2;", "");
        let said = judge.run(&["breaking", "proto", "--against", "released.binpb"]).unwrap_err();
        assert!(said.contains("minor_units"), "{said}");
    }

    #[test]
    fn the_crate_that_ships_the_rules_is_found() {
        let folder = crate_folder(&crate::root().unwrap(), CARRIERS[0].0).unwrap();
        assert!(folder.join(CARRIERS[0].1).is_file());
    }

    #[test]
    fn an_unknown_crate_is_an_error_with_its_name() {
        let error = crate_folder(&crate::root().unwrap(), "no-such-crate").unwrap_err();
        assert_eq!(error.to_string(), "no-such-crate is not a dependency");
    }
}
