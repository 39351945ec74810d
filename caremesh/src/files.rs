//! Files that must be whole or absent, and readable by their owner alone.
//! Must not know what is in them.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

/// Writes a file that only its owner may read: whole and on disk, or not at all.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // A named temporary file is made with mode 0600, and the rename replaces the old file in one step.
    let mut file = tempfile::NamedTempFile::new_in(folder)
        .with_context(|| format!("cannot write in {}", folder.display()))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}
