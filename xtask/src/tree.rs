//! The files of the repository that people wrote, read once. Knows no rule about them.

use std::fs;
use std::path::Path;

use anyhow::Context;

/// Folders that hold no source: outputs, installed tools, data, generated code.
pub(crate) const NOT_SOURCE: [&str; 8] =
    [".git", ".tools", "target", "node_modules", "gen", "data", "dist", "__pycache__"];

/// A text file of the repository.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// Path from the root, with `/`.
    pub(crate) path: String,
    /// The whole text.
    pub(crate) text: String,
}

impl File {
    /// The lines with their numbers, counted from one.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, line))
    }

    /// Whether a folder of this name is on the path.
    pub(crate) fn is_under(&self, folder: &str) -> bool {
        self.path.split('/').rev().skip(1).any(|part| part == folder)
    }

    /// Whether the file holds tests only.
    pub(crate) fn is_test(&self) -> bool {
        self.is_under("tests")
            || self.path.ends_with("/tests.rs")
            || ["testkit/", "e2e/", "bench/"].iter().any(|helper| self.path.starts_with(helper))
    }
}

/// Every file that people wrote, sorted by path.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Files whose text is UTF-8.
    pub(crate) files: Vec<File>,
    /// Every path, folders and binary files included.
    pub(crate) paths: Vec<String>,
}

impl Tree {
    /// Reads the tree below `root`.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut tree = Self::default();
        tree.walk(root, "")?;
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    /// Files whose name ends with `.` and this.
    pub(crate) fn with_extension<'a>(&'a self, extension: &'a str) -> impl Iterator<Item = &'a File> {
        self.files
            .iter()
            .filter(move |file| file.path.rsplit_once('.').is_some_and(|(_, end)| end == extension))
    }

    /// The file at exactly this path.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    fn walk(&mut self, folder: &Path, prefix: &str) -> anyhow::Result<()> {
        for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            if entry.file_type()?.is_dir() {
                if !NOT_SOURCE.contains(&name.as_str()) {
                    self.walk(&entry.path(), &path)?;
                    self.paths.push(path);
                }
                continue;
            }
            if let Ok(text) = fs::read_to_string(entry.path()) {
                self.files.push(File { path: path.clone(), text });
            }
            self.paths.push(path);
        }
        Ok(())
    }
}

#[cfg(test)]
impl Tree {
    /// A tree of these files, for tests of rules.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let files: Vec<File> = files
            .iter()
            .map(|(path, text)| File { path: (*path).to_owned(), text: (*text).to_owned() })
            .collect();
        let mut paths: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
        for path in paths.clone() {
            let folders = path.match_indices('/').map(|(at, _)| path[..at].to_owned());
            paths.extend(folders);
        }
        Self { files, paths }
    }
}
