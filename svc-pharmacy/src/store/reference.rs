//! Reference tables of substances: names, classes, interactions, allergies, ages. Loaded by an import, read narrowed to the
//! substances of one check.

use std::collections::{BTreeMap, BTreeSet};

use caremesh_db::{Batch, Expect, Kind};
use sea_orm::{ConnectionTrait, QueryResult};
use serde::Serialize;

use super::Error;
use crate::domain::safety::{AgeRule, Allergen, Interaction, Reference, Severity};
use caremesh_db::sql::Column::{Number, Text};
use caremesh_db::sql::{Column, insert, json, list, statement};

/// A row of one of the reference tables, as an import writes it.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Fact {
    /// `reference_name`.
    Name { name: String, canonical: String },
    /// `reference_class`.
    Class { substance: String, class: String },
    /// `reference_atc`.
    Atc { substance: String, atc: String },
    /// `reference_interaction`.
    Interaction { a: String, b: String, source: String, severity: String, effect: String, management: String },
    /// `reference_allergen`.
    Allergen { name: String, terms: String, atc: String, cross_atc: String, cross_severity: String },
    /// `reference_age`.
    Age {
        atc: String,
        least_years: i64,
        below_years: Option<i64>,
        severity: String,
        effect: String,
        source: String,
    },
}

/// Table, columns and what of a row that is there already is replaced.
struct Table {
    name: &'static str,
    columns: &'static [Column],
    key: &'static str,
}

const NAMES: Table =
    Table { name: "reference_name", columns: &[Text("name"), Text("canonical")], key: "name" };
const CLASSES: Table =
    Table { name: "reference_class", columns: &[Text("substance"), Text("class")], key: "substance, class" };
const ATC: Table =
    Table { name: "reference_atc", columns: &[Text("substance"), Text("atc")], key: "substance, atc" };
const INTERACTIONS: Table = Table {
    name: "reference_interaction",
    columns: &[Text("a"), Text("b"), Text("source"), Text("severity"), Text("effect"), Text("management")],
    key: "a, b, source",
};
const ALLERGENS: Table = Table {
    name: "reference_allergen",
    columns: &[Text("name"), Text("terms"), Text("atc"), Text("cross_atc"), Text("cross_severity")],
    key: "name",
};
const AGES: Table = Table {
    name: "reference_age",
    columns: &[
        Text("atc"),
        Number("least_years"),
        Number("below_years"),
        Text("severity"),
        Text("effect"),
        Text("source"),
    ],
    key: "atc, least_years",
};

impl Fact {
    fn table(&self) -> &'static Table {
        match self {
            Self::Name { .. } => &NAMES,
            Self::Class { .. } => &CLASSES,
            Self::Atc { .. } => &ATC,
            Self::Interaction { .. } => &INTERACTIONS,
            Self::Allergen { .. } => &ALLERGENS,
            Self::Age { .. } => &AGES,
        }
    }

    /// What a table holds at most once.
    fn key(&self) -> (&'static str, String) {
        let key = match self {
            Self::Name { name, .. } | Self::Allergen { name, .. } => name.clone(),
            Self::Class { substance, class } => format!("{substance}|{class}"),
            Self::Atc { substance, atc } => format!("{substance}|{atc}"),
            Self::Interaction { a, b, source, .. } => format!("{a}|{b}|{source}"),
            Self::Age { atc, least_years, .. } => format!("{atc}|{least_years}"),
        };
        (self.table().name, key)
    }
}

/// Writes facts: what is there already takes the new values, so that an import may be repeated or replaced. Of several with
/// one key in one call the last counts.
pub(crate) fn save(kind: Kind, facts: Vec<Fact>) -> Vec<Batch> {
    let mut once: BTreeMap<(&'static str, String), Fact> = BTreeMap::new();
    for fact in facts {
        once.insert(fact.key(), fact);
    }
    let mut tables: BTreeMap<&'static str, Vec<Fact>> = BTreeMap::new();
    for fact in once.into_values() {
        tables.entry(fact.table().name).or_default().push(fact);
    }
    tables.into_values().map(|facts| save_one(kind, &facts)).collect()
}

fn save_one(kind: Kind, facts: &[Fact]) -> Batch {
    let mut batch = Batch::new();
    let Some(table) = facts.first().map(Fact::table) else { return batch };
    let keys: Vec<&str> = table.key.split(", ").collect();
    let rest = table.columns.iter().map(|column| column.name()).filter(|name| !keys.contains(name));
    let set: Vec<String> = rest.map(|name| format!("{name} = excluded.{name}")).collect();
    let change = if set.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", set.join(", ")) };
    // SQLite reads ON after SELECT … FROM as the ON of a join unless something stands between.
    let sql = format!(
        "{} WHERE true ON CONFLICT ({}) DO {change}",
        insert(kind, table.name, table.columns),
        table.key
    );
    batch.push("reference", sql, vec![json(facts)], Expect::Any);
    batch
}

/// The facts about substances by their plain names. Files call one substance by different names: what any of its names says
/// is said of the one canonical name.
pub(crate) async fn facts<C: ConnectionTrait>(
    c: &C,
    kind: Kind,
    names: &[String],
) -> Result<Reference, Error> {
    let mut canonical = named(c, kind, "t.name", names).await?;
    let one = |name: &String| canonical.get(name).unwrap_or(name).clone();
    let wanted: BTreeSet<String> = names.iter().map(one).collect();
    let wanted: Vec<String> = wanted.into_iter().collect();
    canonical.extend(named(c, kind, "t.canonical", &wanted).await?);
    let aliases: BTreeSet<String> = wanted.iter().chain(canonical.keys()).cloned().collect();
    let aliases: Vec<String> = aliases.into_iter().collect();
    let one = |name: &str| canonical.get(name).map_or(name, String::as_str).to_owned();

    let classes =
        grouped(c, kind, "SELECT t.substance, t.class FROM reference_class t", &aliases, one).await?;
    let atc = grouped(c, kind, "SELECT t.substance, t.atc FROM reference_atc t", &aliases, one).await?;
    let mut keys: BTreeSet<String> = aliases.iter().map(|name| format!("drug:{name}")).collect();
    keys.extend(classes.values().flatten().cloned());
    let keys: Vec<String> = keys.into_iter().collect();
    let (allergens, ages) = (allergens(c).await?, ages(c).await?);
    let mut known: BTreeSet<String> = classes.keys().cloned().collect();
    known.extend(spoken_of(c, kind, &aliases).await?.iter().map(|name| one(name)));
    Ok(Reference {
        known,
        interactions: interactions(c, kind, &keys, one).await?,
        has_interactions: any(c, "reference_interaction").await?,
        has_allergens: !allergens.is_empty(),
        has_ages: !ages.is_empty(),
        canonical,
        classes,
        atc,
        allergens,
        ages,
    })
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
}

fn names_parameter(names: &[String]) -> sea_orm::Value {
    json(&names.iter().map(|name| Named { name }).collect::<Vec<_>>())
}

fn names_table(kind: Kind) -> String {
    list(kind, "$1", "asked", &[Text("name")])
}

/// Names and their canonical ones, chosen by one of the two columns.
async fn named<C: ConnectionTrait>(
    c: &C,
    kind: Kind,
    column: &str,
    names: &[String],
) -> Result<BTreeMap<String, String>, Error> {
    let sql = format!(
        "SELECT t.name, t.canonical FROM reference_name t WHERE {column} IN (SELECT asked.name FROM {})",
        names_table(kind)
    );
    let rows = c.query_all_raw(statement(c, &sql, vec![names_parameter(names)])).await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).collect()
}

async fn grouped<C: ConnectionTrait>(
    c: &C,
    kind: Kind,
    select: &str,
    substances: &[String],
    one: impl Fn(&str) -> String,
) -> Result<BTreeMap<String, BTreeSet<String>>, Error> {
    let sql = format!("{select} WHERE t.substance IN (SELECT asked.name FROM {})", names_table(kind));
    let rows = c.query_all_raw(statement(c, &sql, vec![names_parameter(substances)])).await?;
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in &rows {
        let name: String = row.try_get_by_index(0)?;
        found.entry(one(&name)).or_default().insert(row.try_get_by_index(1)?);
    }
    Ok(found)
}

/// Substances that some interaction names.
async fn spoken_of<C: ConnectionTrait>(c: &C, kind: Kind, names: &[String]) -> Result<Vec<String>, Error> {
    let keys: Vec<String> = names.iter().map(|name| format!("drug:{name}")).collect();
    let sql = format!(
        "SELECT asked.name FROM {} WHERE EXISTS (SELECT 1 FROM reference_interaction t WHERE t.a = asked.name) \
         OR EXISTS (SELECT 1 FROM reference_interaction t WHERE t.b = asked.name)",
        names_table(kind)
    );
    let rows = c.query_all_raw(statement(c, &sql, vec![names_parameter(&keys)])).await?;
    let name = |row: &QueryResult| -> Result<String, Error> {
        let key: String = row.try_get_by_index(0)?;
        Ok(key.strip_prefix("drug:").unwrap_or(&key).to_owned())
    };
    rows.iter().map(name).collect()
}

async fn interactions<C: ConnectionTrait>(
    c: &C,
    kind: Kind,
    keys: &[String],
    one: impl Fn(&str) -> String,
) -> Result<Vec<Interaction>, Error> {
    let asked = names_table(kind);
    let sql = format!(
        "SELECT t.a, t.b, t.severity, t.effect, t.management, t.source FROM reference_interaction t \
         WHERE t.a IN (SELECT asked.name FROM {asked}) AND t.b IN (SELECT asked.name FROM {asked}) \
         ORDER BY t.a, t.b, t.source"
    );
    let party = |key: String| match key.strip_prefix("drug:") {
        Some(name) => format!("drug:{}", one(name)),
        None => key,
    };
    let rows = c.query_all_raw(statement(c, &sql, vec![names_parameter(keys)])).await?;
    rows.iter()
        .map(|row| {
            Ok(Interaction {
                a: party(row.try_get_by_index(0)?),
                b: party(row.try_get_by_index(1)?),
                severity: severity(row, 2)?,
                effect: row.try_get_by_index(3)?,
                management: row.try_get_by_index(4)?,
                source: row.try_get_by_index(5)?,
            })
        })
        .collect()
}

fn severity(row: &QueryResult, place: usize) -> Result<Severity, Error> {
    let word: String = row.try_get_by_index(place)?;
    Severity::of_word(&word).ok_or(Error::Corrupt("a severity"))
}

async fn any<C: ConnectionTrait>(c: &C, table: &str) -> Result<bool, Error> {
    Ok(c.query_one_raw(statement(c, &format!("SELECT 1 FROM {table} LIMIT 1"), vec![])).await?.is_some())
}

/// Lists inside a column, separated by bars.
fn split(text: &str) -> Vec<String> {
    text.split('|').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

async fn allergens<C: ConnectionTrait>(c: &C) -> Result<Vec<Allergen>, Error> {
    let sql = "SELECT terms, atc, cross_atc, cross_severity FROM reference_allergen ORDER BY name";
    let rows = c.query_all_raw(statement(c, sql, vec![])).await?;
    rows.iter()
        .map(|row| {
            Ok(Allergen {
                terms: split(&row.try_get_by_index::<String>(0)?),
                atc: split(&row.try_get_by_index::<String>(1)?),
                cross_reactive_atc: split(&row.try_get_by_index::<String>(2)?),
                cross_severity: severity(row, 3)?,
            })
        })
        .collect()
}

async fn ages<C: ConnectionTrait>(c: &C) -> Result<Vec<AgeRule>, Error> {
    let sql = "SELECT atc, least_years, below_years, severity, effect, source FROM reference_age ORDER BY atc, least_years";
    let rows = c.query_all_raw(statement(c, sql, vec![])).await?;
    let years = |value: i64| u32::try_from(value).map_err(|_| Error::Corrupt("an age"));
    rows.iter()
        .map(|row| {
            Ok(AgeRule {
                atc: row.try_get_by_index(0)?,
                least_years: years(row.try_get_by_index(1)?)?,
                below_years: row.try_get_by_index::<Option<i64>>(2)?.map(years).transpose()?,
                severity: severity(row, 3)?,
                effect: row.try_get_by_index(4)?,
                source: row.try_get_by_index(5)?,
            })
        })
        .collect()
}
