//! How often the medicine that was meant is among the first, over real products and real misspellings, on every engine. The
//! data lies beside the project; where it does not, this says so. `caremesh-bench search` prints the whole set.

use std::collections::{HashMap, HashSet};
use std::io::Read as _;
use std::path::PathBuf;

use flate2::read::GzDecoder;

use super::*;

/// Every so manieth query is tried here; the bench tries all.
const STEP: usize = 9;
const ADDED_AT_ONCE: usize = 5_000;

#[expect(clippy::disallowed_methods, reason = "where the shared data lies is told by environment")]
fn folder() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let named = std::env::var_os("CAREMESH_SHARED_DATA").map(PathBuf::from);
    named.or(Some(beside)).filter(|folder| folder.join("catalogue/products_in.csv.gz").is_file())
}

fn rows(folder: &std::path::Path, file: &str) -> Vec<HashMap<String, String>> {
    let file = std::fs::File::open(folder.join(file)).expect("a file of the shared data");
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).expect("a whole file");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(|row| row.expect("a row")).collect()
}

struct Catalogue {
    search: Arc<Search>,
    codes: HashMap<Uuid, String>,
    words: HashMap<Uuid, String>,
}

async fn catalogue(folder: &std::path::Path, engine: Arc<dyn MedicationIndex>) -> Catalogue {
    let mut building = engine.rebuild().await.expect("a rebuild");
    let search = Arc::new(Search::new(Arc::clone(&engine)));
    let (mut codes, mut words) = (HashMap::new(), HashMap::new());
    let mut rows = rows(folder, "catalogue/products_in.csv.gz");
    rows.extend(self::rows(folder, "catalogue/products_ng.csv.gz"));
    for (chunk, some) in rows.chunks(ADDED_AT_ONCE).enumerate() {
        let mut documents = Vec::new();
        for (place, row) in some.iter().enumerate() {
            let key = of_number(chunk * ADDED_AT_ONCE + place);
            let texts = Texts {
                name: &row["name"],
                generic: &row["generic"],
                strength: &row["strength"],
                form: &row["form"],
                manufacturer: &row["manufacturer"],
            };
            let facets = [row["country"].clone(), form_value(&row["form"]), String::new()];
            documents.push(document(key, 1, &texts, facets, false));
            codes.insert(key, row["product_id"].clone());
            words.insert(key, format!("{} {}", row["name"], row["generic"]).to_lowercase());
        }
        search.learn(&documents);
        building.add(documents).await.expect("documents go in");
    }
    building.swap(1).await.expect("a swap");
    Catalogue { search, codes, words }
}

fn percent(hits: usize, of: usize) -> usize {
    100 * hits / of.max(1)
}

#[tokio::test]
async fn real_misspellings_lead_to_the_medicine_that_was_meant() {
    let Some(folder) = folder() else {
        println!(
            "SKIPPED: the shared catalogue is not beside the project; set CAREMESH_SHARED_DATA to its folder"
        );
        return;
    };
    for engine in engines() {
        let name = engine.engine();
        let catalogue = catalogue(&folder, engine).await;
        let (one, two) = brands(&folder, &catalogue).await;
        let redmed = redmed(&folder, &catalogue).await;
        println!("{name}: brands@10 one edit {one} %, two edits {two} %; RedMed@3 {redmed} %");
        assert!(one >= 96 && two >= 60 && redmed >= 96, "{name}: {one} {two} {redmed}");
    }
}

async fn brands(folder: &std::path::Path, catalogue: &Catalogue) -> (usize, usize) {
    let mut counts = [(0, 0); 2];
    for row in rows(folder, "queries/typos_brands.csv.gz").iter().step_by(STEP) {
        let meant: HashSet<&str> = row["product_ids"].split(';').collect();
        let found = find(&catalogue.search, &row["query"]).await;
        let hit = found.keys.iter().take(10).any(|key| meant.contains(catalogue.codes[key].as_str()));
        let count = &mut counts[usize::from(row["n_edits"] == "2")];
        *count = (count.0 + usize::from(hit), count.1 + 1);
    }
    (percent(counts[0].0, counts[0].1), percent(counts[1].0, counts[1].1))
}

async fn redmed(folder: &std::path::Path, catalogue: &Catalogue) -> usize {
    let (mut hits, mut of) = (0, 0);
    let there = |row: &&HashMap<String, String>| {
        row["confidence"] == "high"
            && (row["tokens_in_products_in"] != "0" || row["tokens_in_products_ng"] != "0")
    };
    for row in rows(folder, "queries/typos_redmed.csv.gz").iter().filter(there).step_by(STEP) {
        let found = find(&catalogue.search, &row["query"]).await;
        let is = |key: &Uuid| {
            catalogue.words[key].split(|c: char| !c.is_alphanumeric()).any(|word| word == row["correct"])
        };
        hits += usize::from(found.keys.iter().take(3).any(is));
        of += 1;
    }
    percent(hits, of)
}
