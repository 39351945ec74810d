//! The file of what demo families buy. Must not know how it is bought.

use anyhow::{Context, Result};
use serde::Deserialize;

const FILE: &str = include_str!("../../demo/policy.toml");

/// What one family buys.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purchase {
    /// Which family.
    pub family: String,
    /// The plan's code.
    pub plan: String,
    /// The jurisdiction under which the plan is listed.
    pub jurisdiction: String,
    /// Which of the plan's sums insured, the smallest is 0.
    pub sum_insured: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    family: Vec<Purchase>,
}

/// All purchases.
///
/// # Errors
/// When the file that was built in breaks its own form.
pub fn purchases() -> Result<Vec<Purchase>> {
    let file: File = toml::from_str(FILE).context("demo/policy.toml")?;
    Ok(file.family)
}

/// Says which demo data this program would load: changes when a file does.
#[must_use]
pub fn digest() -> String {
    use aws_lc_rs::digest::{Context, SHA256};
    let mut context = Context::new(&SHA256);
    context.update(include_bytes!("../../demo/people.toml"));
    context.update(FILE.as_bytes());
    context.update(super::pharmacy::FILE.as_bytes());
    context.update(super::medicines::FILE.as_bytes());
    hex::encode(context.finish())
}
