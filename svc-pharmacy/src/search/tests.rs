//! One suite for every engine: what an index promises, and what a person finds. The suite of Meilisearch runs when MEILI_URL
//! names one; otherwise it says that it is skipped.

mod contract;
mod finding;
mod recall;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use caremesh_kernel::Uuid;

use super::embedded::Embedded;
use super::index::{Document, IndexError, MedicationIndex};
use super::meilisearch::{Meilisearch, MeilisearchConfig};
use super::{Asked, Results, Search, Texts, document, form_value};

/// The engines of a test, each empty.
fn engines() -> Vec<Arc<dyn MedicationIndex>> {
    let mut engines: Vec<Arc<dyn MedicationIndex>> = vec![Arc::new(Embedded::in_memory().expect("an index"))];
    match meilisearch() {
        Some(engine) => engines.push(Arc::new(engine)),
        None => println!("SKIPPED on Meilisearch: set MEILI_URL to the address of one"),
    }
    engines
}

#[expect(clippy::disallowed_methods, reason = "the engine beside the tests is named by environment")]
fn meilisearch() -> Option<Meilisearch> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let url = std::env::var("MEILI_URL").ok()?;
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let index = format!("test-{}-{number}", std::process::id());
    let config = MeilisearchConfig { url, search_key: None, write_key: None, index };
    Some(Meilisearch::new(&config).expect("a client"))
}

fn of_number(number: usize) -> Uuid {
    Uuid::from_u128(number as u128 + 1)
}

/// A product as tests write it: name | generic | strength | form | maker | country | class.
fn product(number: usize, line: &str) -> Document {
    let parts: Vec<&str> = line.split('|').map(str::trim).collect();
    let part = |place: usize| parts.get(place).copied().unwrap_or_default();
    let texts =
        Texts { name: part(0), generic: part(1), strength: part(2), form: part(3), manufacturer: part(4) };
    let country = if part(5).is_empty() { "IN" } else { part(5) };
    let class = if part(6).is_empty() { "PRESCRIPTION_ONLY" } else { part(6) };
    document(of_number(number), 1, &texts, [country.to_owned(), form_value(part(3)), class.to_owned()], false)
}

/// A search over products.
async fn search_over(engine: Arc<dyn MedicationIndex>, lines: &[&str]) -> Arc<Search> {
    let search = Arc::new(Search::new(engine));
    let documents = lines.iter().enumerate().map(|(number, line)| product(number, line)).collect();
    search.put(documents, 1).await.expect("documents go in");
    search
}

/// Finds; an engine that is too busy for a moment is asked again, as its callers are told to.
async fn find(search: &Arc<Search>, text: &str) -> Results {
    for _ in 0..5 {
        let asked = Asked { text: text.to_owned(), ..Asked::default() };
        match search.find(asked).await {
            Err(IndexError::Down(_)) => tokio::time::sleep(std::time::Duration::from_millis(500)).await,
            found => return found.unwrap_or_else(|error| panic!("{text:?}: {error}")),
        }
    }
    panic!("the engine was away all the time")
}

/// The places of the products that a search finds.
async fn found(search: &Arc<Search>, text: &str) -> Vec<usize> {
    let number = |key: &Uuid| usize::try_from(key.as_u128() - 1).expect("a number of ours");
    find(search, text).await.keys.iter().map(number).collect()
}
