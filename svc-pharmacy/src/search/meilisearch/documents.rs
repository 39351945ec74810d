//! How a document, a query and the settings of an index look to Meilisearch. Words arrive as `text.rs` writes them, so that
//! both engines know the same words; the engine's own typo tolerance is off, because digits and look-alikes must not be
//! guessed at.

use meilisearch_sdk::settings::{
    FacetingSettings, MinWordSizeForTypos, PaginationSetting, Settings, TypoToleranceSettings,
};
use serde::{Deserialize, Serialize};

use super::super::index::{Document, Facet, Query};
use super::super::understand::{Choice, Reach, Slot};

/// Version of documents and settings: an index of another one is built anew.
pub(super) const VERSION: u32 = 2;
/// Keys at most of one search: what a search reaches.
const MOST_HITS: usize = 200;
/// After this the engine gives what it has found so far.
const CUTOFF_MS: u64 = 500;

/// A document.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) version: i64,
    rank: u16,
    lead: String,
    name: String,
    generic: String,
    maker: String,
    strength: String,
    form_words: String,
    country_code: String,
    form: String,
    dispensing_class: String,
}

impl Row {
    pub(super) fn of(document: &Document) -> Self {
        let terms = &document.terms;
        let [country_code, form, dispensing_class] = document.facets.clone();
        Self {
            id: document.key.simple().to_string(),
            version: document.version,
            rank: document.rank,
            lead: terms.lead.join(" "),
            name: terms.name.join(" "),
            generic: terms.generic.join(" "),
            maker: terms.maker.join(" "),
            strength: terms.strength.iter().map(|number| one_word(number)).collect::<Vec<_>>().join(APART),
            form_words: terms.form.join(" "),
            country_code,
            form,
            dispensing_class,
        }
    }
}

/// Between two numbers: the engine takes `500` for `50 0` where these stand side by side.
const APART: &str = " . ";

/// A number with a point as one word of the engine, which would make two of it.
fn one_word(text: &str) -> String {
    text.replace('.', "p")
}

/// What is read of a document.
#[derive(Debug, Deserialize)]
pub(super) struct Key {
    pub(super) id: String,
}

/// Settings as code. They are set on an empty index, whole: a part alone would reset others.
pub(super) fn settings() -> Settings {
    let facets = Facet::ALL.map(Facet::name).into_iter().chain(["id"]);
    let typos = TypoToleranceSettings {
        enabled: Some(false),
        disable_on_attributes: Some(vec!["strength".to_owned()]),
        disable_on_words: Some(Vec::new()),
        min_word_size_for_typos: Some(MinWordSizeForTypos { one_typo: Some(5), two_typos: Some(9) }),
        disable_on_numbers: Some(true),
    };
    let mut settings = Settings::new()
        .with_searchable_attributes(["lead", "generic", "name", "strength", "form_words", "maker"])
        .with_displayed_attributes(["id", "version"])
        .with_ranking_rules(["words", "attribute", "exactness", "rank:asc"])
        .with_filterable_attributes(facets)
        .with_typo_tolerance(typos)
        .with_pagination(PaginationSetting { max_total_hits: MOST_HITS })
        .with_faceting(FacetingSettings { max_values_per_facet: 20, ..FacetingSettings::default() });
    settings.proximity_precision = Some("byAttribute".to_owned());
    settings.search_cutoff_ms = Some(CUTOFF_MS);
    settings
}

/// The words to search for when the pivot means its choice `of`: whole words first, the unfinished one last. A blank at the
/// end says that the last word is whole: without it the engine takes `50` for a beginning of `500`.
pub(super) fn words(query: &Query, pivot: usize, of: usize) -> String {
    let mut whole = Vec::new();
    let mut begun = None;
    for (place, slot) in query.slots.iter().enumerate() {
        let choice = if place == pivot { slot.choices.get(of) } else { telling(slot) };
        match choice {
            Some(choice) if choice.reach == Reach::Beginning => begun = Some(choice.text.as_str()),
            Some(choice) => whole.push(one_word(&choice.text)),
            None => {}
        }
    }
    let end = begun.unwrap_or_default();
    let gap = if whole.is_empty() { "" } else { " " };
    format!("{}{gap}{end}", whole.join(" "))
}

/// The choice of a part that is asked for when the engine is asked once: of a strength the number in milligrams, because
/// products that have only a number in their name have that.
fn telling(slot: &Slot) -> Option<&Choice> {
    let number = |choice: &&Choice| choice.text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let first = slot.choices.first()?;
    if first.text.ends_with("mg") && first.text.starts_with(|c: char| c.is_ascii_digit()) {
        return slot.choices.iter().find(number).or(Some(first));
    }
    slot.choices
        .iter()
        .find(|choice| choice.text != first.text && choice.text.ends_with("mg"))
        .or(Some(first))
}

/// The filter of a query: values are always quoted, because `IN` is a word of the filter language.
pub(super) fn filter(query: &Query) -> Option<String> {
    let quoted = |value: &String| format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    let one = |(facet, values): &(Facet, Vec<String>)| {
        format!("{} IN [{}]", facet.name(), values.iter().map(quoted).collect::<Vec<_>>().join(", "))
    };
    let mut parts: Vec<String> = query.filters.iter().map(one).collect();
    if let Some(only) = &query.only {
        let ids: Vec<String> = only.iter().map(|key| format!("\"{}\"", key.simple())).collect();
        parts.push(format!("id IN [{}]", ids.join(", ")));
    }
    (!parts.is_empty()).then(|| parts.join(" AND "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_values_are_always_quoted() {
        let filters = vec![
            (Facet::Country, vec!["IN".to_owned()]),
            (Facet::Form, vec!["a\" OR form EXISTS \\".to_owned(), "Tablet".to_owned()]),
        ];
        let filter = filter(&Query { filters, ..Query::default() });
        let expected = r#"country_code IN ["IN"] AND form IN ["a\" OR form EXISTS \\", "Tablet"]"#;
        assert_eq!(filter.as_deref(), Some(expected));
    }
}
