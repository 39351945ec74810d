//! What a person in a hurry finds, on every engine: typos, synonyms, strengths, beginnings; and what must never happen: a
//! look-alike that takes another medicine's place in silence, a digit that is guessed, a query that breaks something.

use proptest::prelude::*;

use super::super::understand::Why;
use super::*;

const SHELF: &[&str] = &[
    "Augmentin 625 Duo Tablet | Amoxycillin (500mg) + Clavulanic Acid (125mg) | 500mg; 125mg | Tablet | GSK",
    "Augmentin 375 Tablet | Amoxycillin (250mg) + Clavulanic Acid (125mg) | 250mg; 125mg | Tablet | GSK",
    "Glycomet 500 SR Tablet | Metformin | 500mg | SR Tablet | USV",
    "Glycomet 1000 SR Tablet | Metformin | 1000mg | SR Tablet | USV",
    "Glycomet 500 Tablet | Metformin | 500mg | Tablet | USV",
    "Crocin Tablet | Paracetamol | 500mg | Tablet | GSK",
    "Lasix Tablet | Furosemide | 40mg | Tablet | Sanofi",
    "Atarax 25 Tablet | Hydroxyzine | 25mg | Tablet | UCB",
    "Apresoline Tablet | Hydralazine | 25mg | Tablet | Novartis",
    "AB Phylline Capsule | Acebrophylline | 100mg | Capsule | Sun",
    "Thyronorm 50mcg Tablet | Levothyroxine | 50mcg | Tablet | Abbott",
    "Thyronorm 500 Tablet | Levothyroxine | 500mg | Tablet | Abbott",
];

#[tokio::test]
async fn typos_beginnings_synonyms_and_strengths_lead_to_the_medicine() {
    for engine in engines() {
        let search = search_over(Arc::clone(&engine), SHELF).await;
        for (text, first) in [
            ("augmentin 625", 0),
            ("augmentin 375", 1),
            ("agumentin 375 ", 1),
            ("augmntin 625mg", 0),
            ("metformin 500 sr", 2),
            ("glycomet 1000", 3),
            ("glycomet 1 g", 3),
            ("croc", 5),
            ("crosin", 5),
            ("acetaminophen", 5),
            ("acetominophen", 5),
            ("frusemide", 6),
            ("fruesmide ", 6),
            ("abphylline", 9),
            ("ab phyl", 9),
            ("lasix 40 mg tab", 6),
            ("CROCIN", 5),
            ("  crocin  ", 5),
        ] {
            assert_eq!(found(&search, text).await.first(), Some(&first), "{text:?} on {}", engine.engine());
        }
    }
}

#[tokio::test]
async fn digits_of_a_strength_are_never_matched_fuzzily() {
    for engine in engines() {
        let search = search_over(Arc::clone(&engine), SHELF).await;
        assert_eq!(found(&search, "thyronorm 50 ").await.first(), Some(&10), "{}", engine.engine());
        assert_eq!(found(&search, "thyronorm 500").await.first(), Some(&11), "{}", engine.engine());
        for strength in ["625", "626 ", "500 mg ", "5000 mg "] {
            let results = find(&search, strength).await;
            assert_eq!(results.corrections(), [], "{strength}");
        }
        assert_eq!(found(&search, "626 ").await, [0_usize; 0], "{}", engine.engine());
    }
}

#[tokio::test]
async fn a_look_alike_never_takes_the_others_place_in_silence() {
    for engine in engines() {
        let search = search_over(Arc::clone(&engine), SHELF).await;
        let warned = async |text: &str, number: usize| {
            let results = find(&search, text).await;
            if !results.keys.contains(&of_number(number)) {
                return None;
            }
            let parts: Vec<&str> = SHELF[number].split('|').map(str::trim).collect();
            let texts = Texts {
                name: parts[0],
                generic: parts[1],
                strength: parts[2],
                form: parts[3],
                manufacturer: parts[4],
            };
            Some(search.explain(&results, &texts).look_alikes)
        };
        for text in ["hydroxizine", "hydroxyzine", "hydroxyzin", "hidroxyzine 25"] {
            assert_eq!(found(&search, text).await.first(), Some(&7), "{text} on {}", engine.engine());
            assert_eq!(warned(text, 7).await, Some(Vec::new()), "{text}: what is meant carries no warning");
            if let Some(warnings) = warned(text, 8).await {
                assert_eq!(warnings[0].found, "hydrALAZINE", "{text}");
                assert_eq!(warnings[0].meant, "hydrOXYzine", "{text}");
            }
        }
        // The medicine that is meant is not there: its look-alike is shown with a warning or not at all.
        let without = search_over(engines().remove(0), &SHELF[8..9]).await;
        let results = find(&without, "hydroxyzine").await;
        if !results.keys.is_empty() {
            let texts = Texts { name: "Apresoline Tablet", generic: "Hydralazine", ..Texts::default() };
            let explained = without.explain(&results, &texts);
            assert_eq!(explained.look_alikes.len(), 1);
            assert_eq!(explained.why, Why::Misspelt);
        }
        assert_eq!(search.tall_man("Hydroxyzine 25 mg").as_deref(), Some("hydrOXYzine 25 mg"));
        assert_eq!(search.tall_man("Crocin"), None);
    }
}

#[tokio::test]
async fn every_known_pair_is_told_apart_where_both_are_on_the_shelf() {
    let pairs = super::super::look_alike::LookAlikes::built_in();
    let names: Vec<String> = pairs.names().map(str::to_owned).collect();
    let lines: Vec<String> =
        names.iter().map(|name| format!("{name} 10 mg Tablet | {name} | 10mg | Tablet")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    for engine in engines() {
        let search = search_over(Arc::clone(&engine), &lines).await;
        for (number, name) in names.iter().enumerate() {
            let results = find(&search, &format!("{name} ")).await;
            assert_eq!(results.keys.first(), Some(&of_number(number)), "{name} on {}", engine.engine());
            for other in
                results.keys.iter().map(|key| &names[usize::try_from(key.as_u128() - 1).expect("small")])
            {
                let is_partner =
                    pairs.partners(other).iter().any(|partner| partner.eq_ignore_ascii_case(name));
                let explained =
                    search.explain(&results, &Texts { name: other, generic: other, ..Texts::default() });
                assert!(!is_partner || !explained.look_alikes.is_empty(), "{name} finds {other} in silence");
            }
        }
    }
}

#[tokio::test]
async fn what_was_found_says_how_and_where_it_matches() {
    for engine in engines() {
        let search = search_over(engine, SHELF).await;
        let crocin = Texts {
            name: "Crocin Tablet",
            generic: "Paracetamol",
            strength: "500mg",
            form: "Tablet",
            manufacturer: "",
        };
        let why = async |text: &str| search.explain(&find(&search, text).await, &crocin);
        let at = |start, length| super::super::Highlight { start, length };
        let exact = why("crocin ").await;
        assert_eq!((exact.why, exact.highlights), (Why::Typed, vec![at(0, 6)]));
        let begun = why("cro").await;
        assert_eq!((begun.why, begun.highlights), (Why::Unfinished, vec![at(0, 3)]));
        let misspelt = why("crosin").await;
        assert_eq!((misspelt.why, misspelt.highlights), (Why::Misspelt, vec![at(0, 6)]));
        assert_eq!(why("acetaminophen ").await.why, Why::Synonym);
    }
}

#[tokio::test]
async fn odd_queries_give_results_or_nothing_on_every_engine() {
    let long = "paracetamol ".repeat(900);
    let odd = [
        "\"",
        "'",
        "\\",
        "\"crocin",
        "-crocin",
        "crocin AND OR NOT",
        "country_code = IN",
        "*",
        "?",
        "~2",
        "crocin^",
        "(",
        ")",
        "[",
        "{}",
        "💊",
        "كروسين",
        "קרוצין",
        "क्रोसिन",
        "\u{202e}nicorc",
        "\u{0}\u{1}\u{7f}",
        "\u{feff}",
        "a\u{300}\u{301}\u{302}",
        "ﷺ",
        "0.0.0.0",
        "1e9",
        "99999999999999999999999999",
        "%",
        "_",
        "--",
        "…",
        "",
        " ",
        "\t\n",
        "İstanbul",
        "ß",
        "ﬁ",
        "½",
        "１２",
        "<script>",
        "${jndi:ldap}",
        "%00",
        "NaN",
        "null",
        &long,
    ];
    for engine in engines() {
        let search = search_over(engine, SHELF).await;
        for text in odd {
            find(&search, text).await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn no_query_breaks_an_engine(texts in proptest::collection::vec("\\PC{0,40}|[a-z\"'\\\\ 0-9.%()*:=<>~^-]{0,60}|(?s).{0,20}", 1..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            for search in shelves().await {
                for text in &texts {
                    find(search, text).await;
                }
            }
        });
    }
}

/// The shelves of the property, put in once: Meilisearch takes a moment for each.
async fn shelves() -> &'static [Arc<Search>] {
    static SHELVES: tokio::sync::OnceCell<Vec<Arc<Search>>> = tokio::sync::OnceCell::const_new();
    SHELVES
        .get_or_init(|| async {
            let mut all = Vec::new();
            for engine in engines() {
                all.push(search_over(engine, SHELF).await);
            }
            all
        })
        .await
}
