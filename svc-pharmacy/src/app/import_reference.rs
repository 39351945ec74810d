//! Loads reference data for safety checks: files of interactions, classes, names, allergies and ages, each told by its header.
//! The product ships none; a tenant loads what it has a licence for. An import may be repeated: the same rows stay, changed
//! ones take the new values.

use std::io::Read;

use caremesh_db::Db;
use caremesh_mesh::CallContext;
use csv::StringRecord;

use super::Error;
use crate::domain::safety::{Severity, plain_name};
use crate::store::Error as StoreError;
use crate::store::reference::{Fact, save};

/// Rows written in one transaction.
const GROUP: usize = 1_000;
/// Skipped rows that are named; more are only counted.
const NAMED: usize = 100;

/// How far an import is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReferenceReport {
    /// Rows read.
    pub rows: u64,
    /// Facts written.
    pub facts: u64,
    /// Rows that could not be meant.
    pub skipped: u64,
    /// The first of them: line of the file, and why.
    pub reasons: Vec<(u64, &'static str)>,
}

/// What a file is, by its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Interactions,
    HighPriority,
    LowPriority,
    Classes,
    Variants,
    Vocabulary,
    Allergies,
    Ages,
}

impl Shape {
    fn of(header: &StringRecord) -> Option<Self> {
        let has =
            |names: &[&str]| names.iter().all(|name| header.iter().any(|column| column.trim() == *name));
        let shapes: [(Self, &[&str]); 8] = [
            (
                Self::Interactions,
                &["a_kind", "a_name", "b_kind", "b_name", "severity", "effect", "management"],
            ),
            (Self::LowPriority, &["rule", "class_a", "drug_a", "class_b", "drug_b"]),
            (Self::HighPriority, &["drug_a", "drugbank_a", "drug_b", "drugbank_b"]),
            (Self::Classes, &["class", "drug", "atc"]),
            (Self::Variants, &["variant", "canonical"]),
            (Self::Vocabulary, &["drugbank_id", "name", "synonyms"]),
            (
                Self::Allergies,
                &[
                    "allergen",
                    "allergen_terms",
                    "atc_prefixes",
                    "cross_reactive_atc",
                    "cross_reactive_severity",
                ],
            ),
            (Self::Ages, &["atc", "least_years", "below_years", "severity", "effect", "source"]),
        ];
        shapes.into_iter().find(|(_, names)| has(names)).map(|(shape, _)| shape)
    }
}

/// Loads a file; `progress` is told after every group of rows.
///
/// # Errors
/// [`Error::Field`] for a file whose header is none of those known; otherwise what the store answers. Everything before the
/// error is kept, and the import may be started again from the beginning.
pub async fn run<F: Read + Send>(
    db: &Db,
    context: &CallContext,
    file: F,
    mut progress: impl FnMut(&ReferenceReport) + Send,
) -> Result<ReferenceReport, Error> {
    let unknown = || Error::Field { field: "header".to_owned(), rule: "reference.known_columns" };
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
    let header = reader.headers().map_err(|_| unknown())?.clone();
    let shape = Shape::of(&header).ok_or_else(unknown)?;
    let mut report = ReferenceReport::default();
    let mut facts = Vec::new();
    let mut record = StringRecord::new();
    loop {
        let more = reader.read_record(&mut record);
        if matches!(more, Ok(false)) {
            break;
        }
        report.rows += 1;
        let read = more
            .map_err(|_| "row.readable")
            .and_then(|_| facts_of(shape, &Row { header: &header, record: &record }));
        match read {
            Ok(mut found) => facts.append(&mut found),
            Err(reason) => report.skip(reason),
        }
        if facts.len() >= GROUP {
            report.facts += write(db, context, std::mem::take(&mut facts)).await?;
            progress(&report);
        }
    }
    report.facts += write(db, context, facts).await?;
    progress(&report);
    Ok(report)
}

impl ReferenceReport {
    fn skip(&mut self, reason: &'static str) {
        self.skipped += 1;
        if self.reasons.len() < NAMED {
            // The header is line 1.
            self.reasons.push((self.rows + 1, reason));
        }
    }
}

async fn write(db: &Db, context: &CallContext, facts: Vec<Fact>) -> Result<u64, Error> {
    let count = facts.len() as u64;
    let written = db.write(context, move |tx| {
        let batches = save(tx.kind(), facts.clone());
        Box::pin(async move {
            for batch in batches {
                tx.apply(batch).await?;
            }
            Ok::<_, StoreError>(())
        })
    });
    written.await?;
    Ok(count)
}

struct Row<'a> {
    header: &'a StringRecord,
    record: &'a StringRecord,
}

impl Row<'_> {
    fn get(&self, column: &str) -> &str {
        let place = self.header.iter().position(|name| name.trim() == column);
        place.and_then(|place| self.record.get(place)).unwrap_or_default().trim()
    }

    /// A substance's name, plain.
    fn substance(&self, column: &str) -> Result<String, &'static str> {
        let name = plain_name(self.get(column));
        if name.is_empty() { Err("substance.named") } else { Ok(name) }
    }

    fn severity(&self, column: &str) -> Result<String, &'static str> {
        let severity = Severity::of_word(self.get(column)).ok_or("severity.known")?;
        Ok(severity.word().to_owned())
    }

    /// One side of an interaction: a substance or a class.
    fn party(&self, kind: &str, name: &str) -> Result<String, &'static str> {
        match self.get(kind) {
            "drug" => Ok(format!("drug:{}", self.substance(name)?)),
            "class" if !self.get(name).is_empty() => Ok(class(self.get(name))),
            _ => Err("party.drug_or_class"),
        }
    }
}

fn class(name: &str) -> String {
    format!("class:{}", name.split_whitespace().collect::<Vec<_>>().join(" ").to_uppercase())
}

fn facts_of(shape: Shape, row: &Row<'_>) -> Result<Vec<Fact>, &'static str> {
    match shape {
        Shape::Interactions => interaction(row),
        Shape::HighPriority => pair(row, Severity::High, "ONC high priority"),
        Shape::LowPriority => pair(row, Severity::Low, "ONC low priority"),
        Shape::Classes => member(row),
        Shape::Variants => {
            let (name, canonical) = (row.substance("variant")?, row.substance("canonical")?);
            Ok(vec![Fact::Name { name, canonical }])
        }
        Shape::Vocabulary => vocabulary(row),
        Shape::Allergies => allergen(row),
        Shape::Ages => age(row),
    }
}

fn interaction(row: &Row<'_>) -> Result<Vec<Fact>, &'static str> {
    let mut facts = vec![Fact::Interaction {
        a: row.party("a_kind", "a_name")?,
        b: row.party("b_kind", "b_name")?,
        source: "ANSM".to_owned(),
        severity: row.severity("severity")?,
        effect: row.get("effect").to_owned(),
        management: row.get("management").to_owned(),
    }];
    for side in ["a", "b"] {
        if row.get(&format!("{side}_kind")) == "drug" {
            let substance = row.substance(&format!("{side}_name"))?;
            facts.extend(codes(&substance, row.get(&format!("{side}_atc"))));
        }
    }
    Ok(facts)
}

fn pair(row: &Row<'_>, severity: Severity, source: &str) -> Result<Vec<Fact>, &'static str> {
    Ok(vec![Fact::Interaction {
        a: format!("drug:{}", row.substance("drug_a")?),
        b: format!("drug:{}", row.substance("drug_b")?),
        source: source.to_owned(),
        severity: severity.word().to_owned(),
        effect: String::new(),
        management: String::new(),
    }])
}

fn member(row: &Row<'_>) -> Result<Vec<Fact>, &'static str> {
    let substance = row.substance("drug")?;
    if row.get("class").is_empty() {
        return Err("class.named");
    }
    let mut facts = vec![Fact::Class { substance: substance.clone(), class: class(row.get("class")) }];
    facts.extend(codes(&substance, row.get("atc")));
    Ok(facts)
}

fn codes(substance: &str, codes: &str) -> Vec<Fact> {
    let codes = codes.split(';').map(str::trim).filter(|code| is_atc(code));
    codes.map(|atc| Fact::Atc { substance: substance.to_owned(), atc: atc.to_owned() }).collect()
}

/// A code of the ATC classification, or the beginning of one.
fn is_atc(code: &str) -> bool {
    let shaped = |(place, letter): (usize, char)| match place {
        0 | 3 | 4 => letter.is_ascii_uppercase(),
        _ => letter.is_ascii_digit(),
    };
    (1..=7).contains(&code.len()) && code.chars().enumerate().all(shaped)
}

fn vocabulary(row: &Row<'_>) -> Result<Vec<Fact>, &'static str> {
    let canonical = row.substance("name")?;
    let synonyms = row.get("synonyms").split(" | ").map(plain_name).filter(|name| !name.is_empty());
    Ok(synonyms.map(|name| Fact::Name { name, canonical: canonical.clone() }).collect())
}

fn allergen(row: &Row<'_>) -> Result<Vec<Fact>, &'static str> {
    let name = row.substance("allergen")?;
    let mut terms: Vec<String> = row.get("allergen_terms").split('|').map(plain_name).collect();
    terms.push(name.clone());
    terms.retain(|term| !term.is_empty());
    let severity = match row.get("cross_reactive_severity") {
        "" => Severity::Moderate.word().to_owned(),
        _ => row.severity("cross_reactive_severity")?,
    };
    Ok(vec![Fact::Allergen {
        name,
        terms: terms.join("|"),
        atc: row.get("atc_prefixes").to_owned(),
        cross_atc: row.get("cross_reactive_atc").to_owned(),
        cross_severity: severity,
    }])
}

fn age(row: &Row<'_>) -> Result<Vec<Fact>, &'static str> {
    let years = |text: &str| text.parse::<u32>().map(i64::from).map_err(|_| "years.a_number");
    if !is_atc(row.get("atc")) {
        return Err("atc.shaped");
    }
    let below = Some(row.get("below_years")).filter(|text| !text.is_empty());
    Ok(vec![Fact::Age {
        atc: row.get("atc").to_owned(),
        least_years: years(row.get("least_years"))?,
        below_years: below.map(years).transpose()?,
        severity: row.severity("severity")?,
        effect: row.get("effect").to_owned(),
        source: row.get("source").to_owned(),
    }])
}
