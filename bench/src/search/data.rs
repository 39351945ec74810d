//! What is entered and what is asked: the shared catalogue grown to size, and queries as people in a hurry type them. All of it
//! is the same at every run.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// How a query is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One whole word of a name.
    Word,
    /// A brand with a slip.
    Typo,
    /// A name with its strength or form.
    Several,
    /// The first 2 to 6 letters of a name.
    Prefix,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Word, Self::Typo, Self::Several, Self::Prefix];
}

/// A query.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

/// A product of the catalogue, as far as queries are made of it.
#[derive(Deserialize)]
struct Row {
    name: String,
}

/// A misspelt brand and the products that are meant.
#[derive(Deserialize)]
pub(crate) struct BrandTypo {
    pub(crate) query: String,
    pub(crate) product_ids: String,
    pub(crate) n_edits: u32,
}

/// A misspelt substance or brand, as somebody wrote it.
#[derive(Deserialize)]
pub(crate) struct RedMed {
    pub(crate) query: String,
    pub(crate) correct: String,
    confidence: String,
    tokens_in_products_in: u32,
    tokens_in_products_ng: u32,
}

/// Rows of the registers; what is beyond them is invented.
pub(crate) const REAL: usize = 157_311;

/// Everything that a run needs.
pub(crate) struct Data {
    /// The rows of the registers.
    pub(crate) real: PathBuf,
    /// The invented ones.
    pub(crate) rest: PathBuf,
    /// Rows in both.
    pub(crate) products: usize,
    pub(crate) brands: Vec<BrandTypo>,
    pub(crate) redmed: Vec<RedMed>,
    pub(crate) mix: Vec<Asked>,
}

impl Data {
    /// Writes the catalogue into `folder` and makes `queries` queries, a quarter of each kind.
    pub(crate) fn make(
        shared: &Path,
        folder: &Path,
        products: usize,
        queries: usize,
    ) -> anyhow::Result<Self> {
        ensure!(products > REAL, "--products must be more than the {REAL} of the registers");
        let (real, rest) = (folder.join("real.csv"), folder.join("rest.csv"));
        split(shared, &real, &rest, products)?;
        let brands: Vec<BrandTypo> = rows(gz(shared, "queries/typos_brands.csv.gz")?)?;
        let mut redmed: Vec<RedMed> = rows(gz(shared, "queries/typos_redmed.csv.gz")?)?;
        redmed.retain(|row| {
            row.confidence == "high" && row.tokens_in_products_in + row.tokens_in_products_ng > 0
        });
        let names: Vec<Row> = rows(File::open(&real)?)?;
        let mix = mixed(&names, &brands, queries);
        Ok(Self { real, rest, products, brands, redmed, mix })
    }
}

/// The script that lies beside the catalogue grows it: its rows first, then invented ones.
fn split(shared: &Path, real: &Path, rest: &Path, products: usize) -> anyhow::Result<()> {
    let whole = real.with_file_name("whole.csv");
    let grown = Command::new("python3")
        .arg(shared.join("scale_catalogue.py"))
        .arg(products.to_string())
        .stdout(File::create(&whole)?)
        .status()?;
    ensure!(grown.success(), "scale_catalogue.py failed");
    let mut lines = BufReader::new(File::open(&whole)?).lines();
    let header = lines.next().context("an empty catalogue")??;
    let mut files = [BufWriter::new(File::create(real)?), BufWriter::new(File::create(rest)?)];
    for file in &mut files {
        writeln!(file, "{header}")?;
    }
    for (place, line) in lines.enumerate() {
        // No text of the catalogue holds a line break.
        writeln!(files[usize::from(place >= REAL)], "{}", line?)?;
    }
    Ok(std::fs::remove_file(whole)?)
}

fn gz(shared: &Path, file: &str) -> anyhow::Result<impl Read> {
    Ok(GzDecoder::new(File::open(shared.join(file))?))
}

fn rows<T: DeserializeOwned>(source: impl Read) -> anyhow::Result<Vec<T>> {
    Ok(csv::Reader::from_reader(source).deserialize().collect::<Result<_, _>>()?)
}

fn mixed(names: &[Row], brands: &[BrandTypo], queries: usize) -> Vec<Asked> {
    let each = queries / Kind::ALL.len();
    let name = |place: usize| names[place * 7_919 % names.len()].name.to_lowercase();
    let typo = |place: usize| brands[place * 31 % brands.len()].query.clone();
    let made = |place: usize, kind: Kind| match kind {
        Kind::Word => name(place).split_whitespace().next().unwrap_or_default().to_owned(),
        Kind::Typo => typo(place),
        Kind::Several => name(place).split_whitespace().take(3).collect::<Vec<_>>().join(" "),
        Kind::Prefix => name(place).chars().filter(|c| c.is_ascii_alphabetic()).take(2 + place % 5).collect(),
    };
    let of = |place: usize| Kind::ALL.map(|kind| Asked { kind, text: made(place, kind) });
    (0..).flat_map(of).filter(|asked| asked.text.len() >= 2).take(each * Kind::ALL.len()).collect()
}
