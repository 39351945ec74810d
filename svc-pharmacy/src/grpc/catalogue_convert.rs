//! Products and what was found of them: wire from and to domain. It decides nothing.

use caremesh_mesh::wire::{self, ToWire as _, Violation};
use caremesh_proto::pharmacy::v1 as pb;
use caremesh_proto::r#type::v1::PageInfo;

use crate::app::follow_catalogue::Standing;
use crate::app::import_products::Entered;
use crate::app::list_products::Named;
use crate::app::search_products::{FoundProduct, Input, Output};
use crate::domain::product::{Catalogued, DispensingClass, Product, RowRefusal};
use crate::search::index::Facet;
use crate::search::{Correction, Explained, Why};

/// Candidates of a correction that are told.
const CANDIDATES: usize = 10;

pub(super) fn search(request: pb::SearchProductsRequest) -> Result<Input, Violation> {
    let classes = request.dispensing_classes.iter().map(|class| class_of(*class)).collect();
    Ok(Input {
        query: request.query,
        country: request.country_code,
        forms: request.forms,
        classes,
        branch: wire::optional_id("in_stock_at_branch_id", &request.in_stock_at_branch_id)?,
        with_facets: request.with_facets,
    })
}

pub(super) fn named(request: pb::GetProductRequest) -> Result<Named, Violation> {
    match (request.product_id.is_empty(), request.code.is_empty()) {
        (false, true) => Ok(Named::Id(wire::id("product_id", &request.product_id)?)),
        (true, false) => Ok(Named::Code(request.code)),
        _ => Err(Violation::new(
            "product_id",
            "product.one_name",
            "Name the product by product_id or by code, not both.",
        )),
    }
}

pub(super) fn found(output: Output, page: PageInfo) -> pb::SearchProductsResponse {
    pb::SearchProductsResponse {
        hits: output.hits.into_iter().map(hit).collect(),
        total_estimate: i64::try_from(output.total).unwrap_or(i64::MAX),
        facets: output.facets.into_iter().map(facet).collect(),
        corrections: output.corrections.into_iter().map(correction).collect(),
        page: Some(page),
    }
}

fn hit(found: FoundProduct) -> pb::ProductHit {
    let Explained { why, highlights, look_alikes } = found.explained;
    let part = |part: &crate::search::Highlight| pb::Highlight {
        start: small(part.start),
        length: small(part.length),
    };
    pb::ProductHit {
        product: Some(product(&found.product, found.tall_man)),
        r#match: kind(why).into(),
        highlights: highlights.iter().map(part).collect(),
        look_alike_warnings: look_alikes
            .into_iter()
            .map(|pair| pb::LookAlikeWarning { found_name: pair.found, meant_name: pair.meant })
            .collect(),
    }
}

fn kind(why: Why) -> pb::MatchKind {
    match why {
        Why::Typed => pb::MatchKind::Exact,
        Why::Unfinished => pb::MatchKind::Prefix,
        Why::Synonym => pb::MatchKind::Synonym,
        Why::Misspelt => pb::MatchKind::Corrected,
    }
}

fn facet((facet, counts): (Facet, Vec<(String, u64)>)) -> pb::Facet {
    let count = |(value, count): (String, u64)| pb::FacetCount {
        value,
        count: i64::try_from(count).unwrap_or(i64::MAX),
    };
    pb::Facet { name: facet.name().to_owned(), counts: counts.into_iter().map(count).collect() }
}

fn correction(correction: Correction) -> pb::Correction {
    let candidates = correction.candidates.into_iter().take(CANDIDATES).collect();
    pb::Correction { typed: correction.typed, candidates }
}

pub(super) fn product(found: &Catalogued, tall_man: Option<String>) -> pb::Product {
    let product = &found.product;
    pb::Product {
        product_id: product.id().to_string(),
        code: product.code.clone(),
        country_code: product.country.clone(),
        name: product.name.clone(),
        generic: product.generic.clone(),
        strength: product.strength.clone(),
        form: product.form.clone(),
        route: product.route.clone(),
        pack: product.pack.clone(),
        manufacturer: product.manufacturer.clone(),
        atc_code: product.atc.clone(),
        dispensing_class: class(product.class).into(),
        controlled_schedule: product.schedule.clone(),
        list_price: product.price.map(|price| price.to_wire()),
        registration_number: product.registration.clone(),
        discontinued: product.discontinued,
        tall_man_name: tall_man.unwrap_or_default(),
        update_time: Some(found.updated.to_wire()),
        etag: found.version.to_string(),
    }
}

/// A row as it came; what of it cannot be meant is the domain's to say, but an amount in no currency is no amount.
pub(super) fn row(row: &pb::ProductRow) -> Result<Result<Product, RowRefusal>, Violation> {
    let price = wire::optional_money("rows.list_price", row.list_price.clone())?;
    Ok(Ok(Product {
        code: row.code.clone(),
        country: row.country_code.clone(),
        name: row.name.clone(),
        generic: row.generic.clone(),
        strength: row.strength.clone(),
        form: row.form.clone(),
        route: row.route.clone(),
        pack: row.pack.clone(),
        manufacturer: row.manufacturer.clone(),
        atc: row.atc_code.clone(),
        class: class_of(row.dispensing_class),
        schedule: row.controlled_schedule.clone(),
        price,
        registration: row.registration_number.clone(),
        discontinued: row.discontinued,
    }))
}

pub(super) fn entered(entered: &Entered) -> pb::ImportProductsResponse {
    let count = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    let skipped = |(place, refusal): &(usize, RowRefusal)| pb::SkippedRow {
        index: small(*place),
        rule: refusal.to_string(),
    };
    pb::ImportProductsResponse {
        created: count(entered.created),
        updated: count(entered.updated),
        unchanged: count(entered.unchanged),
        skipped: entered.skipped.iter().map(skipped).collect(),
    }
}

pub(super) fn standing(standing: Standing) -> pb::GetIndexStatusResponse {
    pb::GetIndexStatusResponse {
        engine: standing.engine.to_owned(),
        document_count: i64::try_from(standing.index.documents).unwrap_or(i64::MAX),
        index_name: standing.index.name,
        pending_changes: i64::try_from(standing.pending).unwrap_or(i64::MAX),
    }
}

/// The class that a list is narrowed to; unspecified: none.
pub(super) fn wanted_class(class: i32) -> Option<DispensingClass> {
    (class != pb::DispensingClass::Unspecified as i32).then(|| class_of(class))
}

fn class(class: DispensingClass) -> pb::DispensingClass {
    match class {
        DispensingClass::Unknown => pb::DispensingClass::Unspecified,
        DispensingClass::OverTheCounter => pb::DispensingClass::OverTheCounter,
        DispensingClass::PrescriptionOnly => pb::DispensingClass::PrescriptionOnly,
        DispensingClass::Controlled => pb::DispensingClass::Controlled,
    }
}

/// An unknown number is a class that this release does not know: sold like one that needs a prescription.
fn class_of(number: i32) -> DispensingClass {
    match pb::DispensingClass::try_from(number) {
        Ok(pb::DispensingClass::OverTheCounter) => DispensingClass::OverTheCounter,
        Ok(pb::DispensingClass::PrescriptionOnly) => DispensingClass::PrescriptionOnly,
        Ok(pb::DispensingClass::Controlled) => DispensingClass::Controlled,
        Ok(pb::DispensingClass::Unspecified) | Err(_) => DispensingClass::Unknown,
    }
}

fn small(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
