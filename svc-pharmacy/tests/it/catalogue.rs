//! The catalogue from outside: entered, found, read, listed; what it refuses, and that it goes on without its search engine.

use std::time::Duration;

use caremesh_proto::pharmacy::v1::catalog_service_client::CatalogServiceClient;
use caremesh_proto::pharmacy::v1::*;
use caremesh_proto::r#type::v1::{Money, PageRequest};
use caremesh_svc_pharmacy::search::meilisearch::MeilisearchConfig;
use caremesh_svc_pharmacy::{Config, SearchConfig};
use caremesh_testkit::for_each_database;
use caremesh_testkit::mesh::CallerChannel;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::string::string_regex;
use proptest::test_runner::TestRunner;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::common::*;

type Client = CatalogServiceClient<CallerChannel>;

impl World {
    fn catalogue(&self) -> Client {
        CatalogServiceClient::new(self.mesh.nobody(&self.server).expect("a caller"))
    }

    fn operator(&self) -> Client {
        CatalogServiceClient::new(self.person(&staff("operator")))
    }

    async fn import(&self, rows: Vec<ProductRow>) -> ImportProductsResponse {
        let request = ImportProductsRequest { request_id: request_id(), rows };
        self.operator().import_products(request).await.expect("rows are entered").into_inner()
    }

    /// Searches until the index has followed the catalogue to `at_least` products.
    async fn followed(&self, at_least: i64) {
        for _ in 0..400 {
            let status = self.operator().get_index_status(GetIndexStatusRequest::default()).await;
            let status = status.expect("a status").into_inner();
            if status.document_count >= at_least && status.pending_changes == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the index never had {at_least} products");
    }
}

fn row(code: &str, name: &str, generic: &str, strength: &str, price: i64) -> ProductRow {
    ProductRow {
        code: code.to_owned(),
        country_code: "IN".to_owned(),
        name: name.to_owned(),
        generic: generic.to_owned(),
        strength: strength.to_owned(),
        form: "Tablet".to_owned(),
        manufacturer: "Canary Laboratories".to_owned(),
        dispensing_class: DispensingClass::PrescriptionOnly.into(),
        list_price: (price > 0).then(|| Money { currency_code: "INR".to_owned(), minor_units: price }),
        ..ProductRow::default()
    }
}

fn shelf() -> Vec<ProductRow> {
    vec![
        row("T-1", "Atarax 25 Tablet", "Hydroxyzine", "25mg", 90_00),
        row("T-2", "Hyzox 25 Tablet", "Hydroxyzine (Hydroxyzine Hydrochloride)", "25 mg", 40_00),
        row("T-3", "Hicope 25 Tablet", "Hydroxyzine", "25mg", 0),
        row("T-4", "Apresoline 25 Tablet", "Hydralazine", "25mg", 70_00),
        row("T-5", "Crocin 500 Tablet", "Paracetamol", "500mg", 20_00),
    ]
}

fn ask(query: &str) -> SearchProductsRequest {
    SearchProductsRequest { query: query.to_owned(), ..SearchProductsRequest::default() }
}

async fn codes(client: &mut Client, request: SearchProductsRequest) -> Vec<String> {
    let found = client.search_products(request).await.expect("an answer").into_inner();
    found.hits.into_iter().filter_map(|hit| hit.product).map(|product| product.code).collect()
}

for_each_database! { with world;
    async fn what_is_entered_is_found_with_what_the_catalogue_says_now(world: World) {
        let entered = world.import(shelf()).await;
        assert_eq!((entered.created, entered.updated, entered.unchanged), (5, 0, 0));
        world.followed(5).await;
        let mut client = world.catalogue();
        assert_eq!(codes(&mut client, ask("ataraks")).await.first().map(String::as_str), Some("T-1"));
        let found = client.search_products(ask("hydroxizine")).await.expect("an answer").into_inner();
        let first = &found.hits[0];
        assert_eq!(first.r#match(), MatchKind::Corrected);
        assert!(first.look_alike_warnings.is_empty());
        assert_eq!(found.corrections[0].candidates[0], "hydroxyzine");
        for hit in found.hits.iter().filter(|hit| hit.product.as_ref().is_some_and(|it| it.code == "T-4")) {
            assert_eq!(hit.look_alike_warnings[0].meant_name, "hydrOXYzine", "never in silence");
        }
        // The price is the catalogue's, whatever the index knows.
        let mut dearer = row("T-1", "Atarax 25 Tablet", "Hydroxyzine", "25mg", 95_00);
        let again = world.import(vec![dearer.clone()]).await;
        assert_eq!((again.created, again.updated), (0, 1));
        let found = client.search_products(ask("atarax")).await.expect("an answer").into_inner();
        let product = found.hits[0].product.clone().expect("a product");
        assert_eq!(product.list_price.expect("a price").minor_units, 95_00);
        assert_eq!(product.etag, "2");
        dearer.country_code = "NG".to_owned();
        world.import(vec![dearer]).await;
        world.followed(5).await;
        let mut abroad = Vec::new();
        for _ in 0..200 {
            abroad = codes(&mut client, SearchProductsRequest { country_code: "NG".to_owned(), ..ask("atarax") }).await;
            if !abroad.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        assert_eq!(abroad, ["T-1"]);
    }

    async fn an_import_again_changes_nothing_and_says_what_it_skipped(world: World) {
        let mut rows = shelf();
        rows.push(row("T-1", "Atarax again", "", "", 0));
        rows.push(row("", "Nameless", "", "", 0));
        rows.push(row("T-9", " - ", "", "", 0));
        rows.push(ProductRow { country_code: "India".to_owned(), ..row("T-8", "Crocin", "", "", 0) });
        let first = world.import(rows.clone()).await;
        let skipped: Vec<_> = first.skipped.iter().map(|it| (it.index, it.rule.as_str())).collect();
        let expected = [(5, "code_repeated"), (6, "code_missing"), (7, "name_missing"), (8, "country_malformed")];
        assert_eq!((first.created, skipped.as_slice()), (5, expected.as_slice()));
        let second = world.import(rows.clone()).await;
        assert_eq!((second.created, second.updated, second.unchanged), (0, 0, 5));
        let request = ImportProductsRequest { request_id: request_id(), rows };
        let mut operator = world.operator();
        let one = operator.import_products(request.clone()).await.expect("an answer").into_inner();
        let same = operator.import_products(request).await.expect("the same answer").into_inner();
        assert_eq!(one, same);
    }

    async fn products_are_read_by_either_name_and_listed_in_pages(world: World) {
        world.import(shelf()).await;
        let mut client = world.catalogue();
        let by_code = GetProductRequest { code: "T-5".to_owned(), ..GetProductRequest::default() };
        let product = client.get_product(by_code).await.expect("a product").into_inner().product.expect("it");
        let by_id = GetProductRequest { product_id: product.product_id.clone(), ..GetProductRequest::default() };
        assert_eq!(client.get_product(by_id).await.expect("a product").into_inner().product, Some(product.clone()));
        let unknown = GetProductRequest { product_id: fresh_id("prd"), ..GetProductRequest::default() };
        assert_eq!(refused(client.get_product(unknown).await), "RESOURCE_NOT_FOUND");
        let both = GetProductRequest { product_id: product.product_id, code: "T-5".to_owned() };
        assert_eq!(refused(client.get_product(both).await), "FIELD_INVALID");

        let page = |page_token| Some(PageRequest { page_size: 2, page_token });
        let mut listed = Vec::new();
        let mut token = String::new();
        loop {
            let request = ListProductsRequest {
                country_code: "IN".to_owned(),
                dispensing_class: DispensingClass::PrescriptionOnly.into(),
                page: page(token),
                ..ListProductsRequest::default()
            };
            let answer = client.list_products(request).await.expect("a page").into_inner();
            listed.extend(answer.products.into_iter().map(|product| product.code));
            token = answer.page.unwrap_or_default().next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(listed, ["T-4", "T-1", "T-5", "T-3", "T-2"], "by name");
    }

    async fn alternatives_are_the_same_medicine_cheaper_first(world: World) {
        world.import(shelf()).await;
        let mut client = world.catalogue();
        let by_code = GetProductRequest { code: "T-1".to_owned(), ..GetProductRequest::default() };
        let atarax = client.get_product(by_code).await.expect("a product").into_inner().product.expect("it");
        let request = ListAlternativesRequest { product_id: atarax.product_id, page: None };
        let answer = client.list_alternatives(request).await.expect("alternatives").into_inner();
        let codes: Vec<_> = answer.products.iter().map(|product| product.code.as_str()).collect();
        assert_eq!(codes, ["T-2", "T-3"], "never another substance, and what has no price comes last");
        let unknown = ListAlternativesRequest { product_id: fresh_id("prd"), page: None };
        assert_eq!(refused(client.list_alternatives(unknown).await), "RESOURCE_NOT_FOUND");
    }

    async fn odd_queries_give_results_or_invalid_argument(world: World) {
        world.import(shelf()).await;
        world.followed(5).await;
        let mut client = world.catalogue();
        for text in ["\"", "country_code = IN", "💊", "كروسين", "\u{202e}crocin", "%_*", &"é".repeat(256)] {
            client.search_products(ask(text)).await.unwrap_or_else(|refusal| panic!("{text:?}: {refusal:?}"));
        }
        for text in [String::new(), "a\u{0}b".to_owned(), "line\nline".to_owned(), "x".repeat(10_000)] {
            let refusal = client.search_products(ask(&text)).await.expect_err("refused");
            assert_eq!(refusal.code(), Code::InvalidArgument, "{text:?}");
        }
    }

    async fn no_query_and_no_filter_gives_anything_but_results_or_invalid_argument(world: World) {
        world.import(shelf()).await;
        world.followed(5).await;
        let mut client = world.catalogue();
        let strange = "\\PC{0,60}|[a-z\"'`\\\\ 0-9.%()*:=<>~^\\[\\]{}!&|-]{0,60}|(?s).{0,30}|[\u{600}-\u{6ff}\u{202e}\u{200f} ]{1,20}|\
            (crocin|IN|AND|NOT|OR|EXISTS|TO|\"|'|=|\\(|\\)|\\[|\\]|,|\\\\| ){1,12}|[\u{0}-\u{1f}\u{7f}-\u{9f}a-c]{1,8}|[🩺💊👩🏽‍⚕️ a]{1,12}|x{200,12000}";
        let queries = string_regex(strange).expect("an expression");
        let filters = proptest::collection::vec(string_regex(strange).expect("an expression"), 0..3);
        let mut runner = TestRunner::deterministic();
        let mut answered = [0, 0];
        for _ in 0..400 {
            let (query, forms) = (&queries, &filters).new_tree(&mut runner).expect("a draw").current();
            let told = format!("{query:?} {forms:?}");
            let asked = SearchProductsRequest { forms, with_facets: query.len() % 2 == 0, ..ask(&query) };
            match client.search_products(asked).await {
                Ok(_) => answered[0] += 1,
                Err(refusal) if refusal.code() == Code::InvalidArgument => answered[1] += 1,
                Err(refusal) => panic!("{told}: {refusal:?}"),
            }
        }
        assert!(answered[0] > 100 && answered[1] > 50, "both are met: {answered:?}");
    }

    async fn pages_give_what_one_page_of_all_gives_each_once(world: World) {
        world.import((0..23).map(|n| row(&format!("P-{n}"), &format!("Crocin {n}"), "Paracetamol", "500mg", n)).collect()).await;
        world.followed(23).await;
        let mut client = world.catalogue();
        let page = |page_size, page_token| Some(PageRequest { page_size, page_token });
        let whole = SearchProductsRequest { page: page(100, String::new()), ..ask("crocin") };
        let whole = codes(&mut client, whole).await;
        assert_eq!(whole.len(), 23);
        let (mut turned, mut token) = (Vec::new(), String::new());
        loop {
            let request = SearchProductsRequest { page: page(5, token), ..ask("crocin") };
            let answer = client.search_products(request).await.expect("a page").into_inner();
            assert_eq!(answer.total_estimate, 23);
            turned.extend(answer.hits.into_iter().filter_map(|hit| hit.product).map(|product| product.code));
            token = answer.page.unwrap_or_default().next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(turned, whole);
    }

    async fn a_search_can_ask_for_what_a_branch_has_in_stock_now(world: World) {
        world.import(shelf()).await;
        world.followed(5).await;
        world.execute(
            "INSERT INTO branch (id, organisation_id, name, jurisdiction, zone, latitude_e6, longitude_e6, version, created_at) \
             VALUES ('brn_00000000000000000000000001', 'org_00000000000000000000000001', 'Canary', 'IN', 'Asia/Kolkata', 0, 0, 1, 0)",
        ).await;
        world.execute(
            "INSERT INTO stock_item (branch_id, product_id, unit_code, version) \
             SELECT 'brn_00000000000000000000000001', id, '{tablet}', 1 FROM product WHERE code IN ('T-2', 'T-3')",
        ).await;
        world.execute(
            "INSERT INTO stock_lot (id, branch_id, product_id, number, expires_on, on_hand, reserved, recalled, version) \
             SELECT 'lot_0000000000000000000000000' || substr(code, 3), 'brn_00000000000000000000000001', id, 'L', \
             CASE WHEN code = 'T-2' THEN '2999-01-01' ELSE '2001-01-01' END, 10, 0, 0, 1 FROM product \
             WHERE code IN ('T-2', 'T-3')",
        ).await;
        let mut client = world.catalogue();
        let at = |branch: &str| SearchProductsRequest { in_stock_at_branch_id: branch.to_owned(), ..ask("hydroxyzine") };
        assert_eq!(codes(&mut client, at("brn_00000000000000000000000001")).await, ["T-2"], "what has expired is not in stock");
        assert_eq!(refused(client.search_products(at(&fresh_id("brn"))).await), "RESOURCE_NOT_FOUND");
    }

    async fn while_the_engine_is_away_searches_say_when_to_come_back_and_the_catalogue_goes_on(world: World) {
        world.import(shelf()).await;
        let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", gone.local_addr().expect("an address"));
        drop(gone);
        let search = MeilisearchConfig { url, search_key: None, write_key: None, index: "away".to_owned() };
        let config = Config { search: SearchConfig::Meilisearch(search), ..world.config.clone() };
        let (_service, server) = world.beside(&config).await;
        let mut client = CatalogServiceClient::new(world.mesh.nobody(&server).expect("a caller"));
        // The vocabulary has hydroxyzine from the start: it has look-alikes.
        let refusal = client.search_products(ask("hydroxyzine")).await.expect_err("the engine is away");
        assert_eq!((refusal.code(), reason(&refusal).as_str()), (Code::Unavailable, "SEARCH_DOWN"));
        assert!(refusal.get_details_retry_info().is_some_and(|info| info.retry_delay.is_some()));
        let mut operator = CatalogServiceClient::new(world.mesh.person(&server, &staff("operator")).expect("a caller"));
        assert_eq!(refused(operator.get_index_status(GetIndexStatusRequest::default()).await), "SEARCH_DOWN");
        let by_code = GetProductRequest { code: "T-5".to_owned(), ..GetProductRequest::default() };
        client.get_product(by_code).await.expect("prices and orders do not wait for the engine");
    }
}
