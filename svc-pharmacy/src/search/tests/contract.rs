//! What every index promises: documents with versions, positions, filters, facets, a swap that nobody sees half of.

use super::super::index::{Change, Facet, IndexError, MedicationIndex};
use super::super::meilisearch::{Meilisearch, MeilisearchConfig};
use super::*;

const SHELF: &[&str] = &[
    "Crocin 500 Tablet | Paracetamol | 500mg | Tablet | GSK | IN | OVER_THE_COUNTER",
    "Crocin 650 Tablet | Paracetamol | 650mg | Tablet | GSK | IN | OVER_THE_COUNTER",
    "Panadol Syrup | Paracetamol | 120mg/5ml | Syrup | GSK | NG | OVER_THE_COUNTER",
    "Amoxil 500 Capsule | Amoxicillin | 500mg | Capsule | GSK | NG | PRESCRIPTION_ONLY",
];

#[tokio::test]
async fn an_older_version_never_replaces_a_newer_one_and_a_deleted_document_is_gone() {
    for engine in engines() {
        let search = search_over(Arc::clone(&engine), SHELF).await;
        let newer = Document { version: 3, ..product(0, "Dolo 650 Tablet | Paracetamol | 650mg | Tablet") };
        search.put(vec![newer], 2).await.expect("a newer version");
        search.put(vec![product(0, SHELF[0])], 3).await.expect("an older version is passed over");
        assert_eq!(found(&search, "dolo").await, [0], "{}", engine.engine());
        assert_eq!(found(&search, "crocin 500 ").await.first(), Some(&1), "{}", engine.engine());
        engine.apply(vec![Change::Delete(of_number(0), 2)], 4).await.expect("an older deletion");
        assert_eq!(found(&search, "dolo").await, [0]);
        engine.apply(vec![Change::Delete(of_number(0), 3)], 5).await.expect("a deletion");
        assert_eq!(found(&search, "dolo ").await, [0_usize; 0]);
        let status = engine.status().await.expect("a status");
        assert_eq!((status.documents, status.position), (3, 5), "{}", engine.engine());
    }
}

#[tokio::test]
async fn the_same_changes_again_change_nothing() {
    for engine in engines() {
        let search = search_over(Arc::clone(&engine), SHELF).await;
        let first = found(&search, "paracetamol").await;
        for _ in 0..2 {
            let documents = SHELF.iter().enumerate().map(|(number, line)| product(number, line)).collect();
            search.put(documents, 1).await.expect("the same again");
        }
        assert_eq!(found(&search, "paracetamol").await, first);
        assert_eq!(engine.status().await.expect("a status").documents, 4);
    }
}

#[tokio::test]
async fn filters_narrow_even_where_a_value_is_a_word_of_the_filter_language() {
    for engine in engines() {
        let search = search_over(engine, SHELF).await;
        let only = async |facet, value: &str| {
            let filters = vec![(facet, vec![value.to_owned()])];
            let asked = Asked { text: "paracetamol".to_owned(), filters, ..Asked::default() };
            search.find(asked).await.expect("an answer").keys.len()
        };
        assert_eq!(only(Facet::Country, "IN").await, 2);
        assert_eq!(only(Facet::Country, "NG").await, 1);
        assert_eq!(only(Facet::Form, "syrup").await, 1);
        assert_eq!(only(Facet::Class, "PRESCRIPTION_ONLY").await, 0);
        for odd in ["\" OR 1 = 1", "IN] OR country_code IN [NG", "\\", "x\"]", "NOT", "🩺"] {
            assert_eq!(only(Facet::Form, odd).await, 0, "{odd}");
        }
    }
}

/// More products than a search reaches, of which the last few are wanted: what is in stock at a branch.
#[tokio::test]
async fn a_search_among_some_finds_them_however_many_others_match_better() {
    let mut lines = vec!["Crocin | Paracetamol | 500mg | Tablet".to_owned(); 600];
    lines
        .extend((0..3).map(|_| "Crocin Paediatric Cold Relief | Paracetamol | 120mg/5ml | Syrup".to_owned()));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    for engine in engines() {
        let search = search_over(engine, &lines).await;
        for text in ["crocin", "croc", "crosin "] {
            let only = Some(Arc::new((600..603).map(of_number).collect()));
            let asked = Asked { text: text.to_owned(), only, counting: true, ..Asked::default() };
            let results = search.find(asked).await.expect("an answer");
            let mut keys = results.keys.clone();
            keys.sort_unstable();
            assert_eq!(keys, [600, 601, 602].map(of_number), "{text}");
            assert_eq!(results.facets[1].1, [("syrup".to_owned(), 3)], "facets are of what is wanted");
        }
        let asked = Asked { text: "crocin".to_owned(), only: Some(Arc::default()), ..Asked::default() };
        assert!(search.find(asked).await.expect("an answer").keys.is_empty(), "nothing is in stock");
    }
}

#[tokio::test]
async fn facets_count_everything_that_matches() {
    for engine in engines() {
        let search = search_over(engine, SHELF).await;
        let asked = Asked { text: "paracetamol ".to_owned(), counting: true, ..Asked::default() };
        let results = search.find(asked).await.expect("an answer");
        let of = |facet| {
            let counts = results.facets.iter().find(|(other, _)| *other == facet);
            counts.map(|(_, counts)| counts.clone()).unwrap_or_default()
        };
        assert_eq!(of(Facet::Country), [("IN".to_owned(), 2), ("NG".to_owned(), 1)]);
        assert_eq!(of(Facet::Form), [("tablet".to_owned(), 2), ("syrup".to_owned(), 1)]);
        assert_eq!(results.total, 3);
    }
}

#[tokio::test]
async fn a_rebuild_is_seen_whole_or_not_at_all_while_searches_go_on() {
    for engine in engines() {
        let search = search_over(Arc::clone(&engine), SHELF).await;
        let mut building = engine.rebuild().await.expect("a rebuild");
        building
            .add(vec![product(10, "Calpol 500 Tablet | Paracetamol | 500mg | Tablet")])
            .await
            .expect("a document");
        assert_eq!(found(&search, "paracetamol ").await.len(), 3, "the old index answers");
        building
            .add(vec![product(11, "Metacin Tablet | Paracetamol | 500mg | Tablet")])
            .await
            .expect("a document");
        building.swap(7).await.expect("a swap");
        let mut now = found(&search, "paracetamol ").await;
        now.sort_unstable();
        assert_eq!(now, [10, 11], "{}", engine.engine());
        let status = engine.status().await.expect("a status");
        assert_eq!((status.documents, status.position), (2, 7));
    }
}

#[tokio::test]
async fn a_rebuild_that_is_dropped_leaves_everything_as_it_was() {
    for engine in engines() {
        let search = search_over(Arc::clone(&engine), SHELF).await;
        let mut building = engine.rebuild().await.expect("a rebuild");
        building.add(vec![product(10, "Calpol")]).await.expect("a document");
        drop(building);
        assert_eq!(found(&search, "paracetamol ").await.len(), 3);
        let mut again = engine.rebuild().await.expect("another rebuild");
        search.learn(&[product(10, "Calpol")]);
        again.add(vec![product(10, "Calpol")]).await.expect("a document");
        again.swap(9).await.expect("a swap");
        assert_eq!(found(&search, "calpol").await, [10]);
    }
}

/// Many small batches leave many segments, some with documents that were replaced since.
#[tokio::test]
async fn what_the_embedded_engine_finds_does_not_depend_on_how_it_came_in() {
    let names = ["Crocin", "Calpol", "Crosin Plus", "Calpol Crocin", "Metacin", "Paracin Forte"];
    let line = |number: usize| {
        let (name, other) = (names[number % names.len()], names[number * 7 % 5]);
        let strength = [500, 650, 125][number % 3];
        format!(
            "{name} {strength} {} | Paracetamol + {other} | {strength}mg | Tablet",
            "x".repeat(number % 9)
        )
    };
    let old: Vec<String> = (0..120).map(|number| line(number + 1)).collect();
    let new: Vec<String> = (0..120).map(line).collect();
    let documents = |lines: &[String], version| -> Vec<Document> {
        lines.iter().enumerate().map(|(number, line)| Document { version, ..product(number, line) }).collect()
    };
    let empty = || Arc::new(Search::new(Arc::new(Embedded::in_memory().expect("an index"))));
    let (at_once, bit_by_bit) = (empty(), empty());
    at_once.put(documents(&new, 2), 1).await.expect("documents go in");
    bit_by_bit.put(documents(&old, 1), 1).await.expect("documents go in");
    for (position, some) in (2..).zip(documents(&new, 2).chunks(17)) {
        bit_by_bit.put(some.to_vec(), position).await.expect("documents go in");
    }
    for text in ["crocin", "cro", "calpol 650", "crosin forte", "paracetamol 125 tablet", "c", "500"] {
        let (one, other) = (find(&at_once, text).await, find(&bit_by_bit, text).await);
        assert!(!one.keys.is_empty(), "{text}");
        assert_eq!((one.keys, one.total), (other.keys, other.total), "{text}");
    }
}

#[tokio::test]
async fn an_embedded_index_is_there_again_with_its_position_when_it_is_opened_again() {
    let home = tempfile::tempdir().expect("a folder");
    let engine: Arc<dyn MedicationIndex> = Arc::new(Embedded::open(home.path()).expect("an index"));
    search_over(Arc::clone(&engine), SHELF).await;
    let mut building = engine.rebuild().await.expect("a rebuild");
    building.add(vec![product(0, SHELF[0])]).await.expect("a document");
    building.swap(41).await.expect("a swap");
    drop(engine);
    let engine = Embedded::open(home.path()).expect("the index");
    let status = engine.status().await.expect("a status");
    assert_eq!((status.documents, status.position), (1, 41));
}

#[tokio::test]
async fn an_engine_that_is_away_is_told_as_away() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", taken.local_addr().expect("an address"));
    drop(taken);
    let config = MeilisearchConfig { url, search_key: None, write_key: None, index: "none".to_owned() };
    let search = Arc::new(Search::new(Arc::new(Meilisearch::new(&config).expect("a client"))));
    search.learn(&[product(0, SHELF[0])]);
    let asked = Asked { text: "crocin".to_owned(), ..Asked::default() };
    let error = search.find(asked).await.expect_err("nobody listens there");
    assert!(matches!(error, IndexError::Down(_)), "{error}");
}
