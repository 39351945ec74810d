//! SearchProducts: the index finds keys, the catalogue gives what is shown. Price and stock never come from the index.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use caremesh_kernel::{BranchId, ProductId, Uuid};
use caremesh_mesh::CallContext;
use caremesh_mesh::page::Page;
use serde::{Deserialize, Serialize};

use super::{App, Error};
use crate::domain::product::{Catalogued, DispensingClass};
use crate::search::index::Facet;
use crate::search::{self, Asked, Correction, Explained, Results, Texts};
use crate::store::{branch, product};

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// As it was typed.
    pub query: String,
    /// Only this country; empty: all.
    pub country: String,
    /// Only these forms; empty: all.
    pub forms: Vec<String>,
    /// Only these classes; empty: all.
    pub classes: Vec<DispensingClass>,
    /// Only what this branch has in stock now; none: whether in stock or not.
    pub branch: Option<BranchId>,
    /// Whether to count facets.
    pub with_facets: bool,
}

/// Where a page ended: how many of the results were shown.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Cursor {
    shown: usize,
}

/// A product that was found.
#[derive(Clone, Debug)]
pub struct FoundProduct {
    /// As the catalogue has it now.
    pub product: Catalogued,
    /// Its name with the letters raised that tell it from its look-alikes.
    pub tall_man: Option<String>,
    /// Why it was found.
    pub explained: Explained,
}

/// One page of what was found.
#[derive(Clone, Debug)]
pub struct Output {
    /// Best first.
    pub hits: Vec<FoundProduct>,
    /// How many match in all; an estimate.
    pub total: u64,
    /// Counts of facet values.
    pub facets: Vec<(Facet, Vec<(String, u64)>)>,
    /// Words that were taken for misspellings.
    pub corrections: Vec<Correction>,
    /// Where the next page begins.
    pub next: Option<Cursor>,
}

/// Finds products.
///
/// # Errors
/// [`Error::Field`] for a query with control characters; [`Error::NotFound`] for an unknown branch; [`Error::Search`] of the
/// engine.
pub async fn run(
    app: &App,
    context: &CallContext,
    input: Input,
    page: &Page<Cursor>,
) -> Result<Output, Error> {
    if input.query.chars().any(char::is_control) {
        return Err(Error::Field { field: "query".to_owned(), rule: "string.no_control_characters" });
    }
    let only = match input.branch {
        Some(branch) => Some(Arc::new(stocked(app, context, branch).await?)),
        None => None,
    };
    let results = app.search.find(Asked { only, ..asked(&input) }).await?;
    let shown = page.after.map_or(0, |cursor| cursor.shown);
    let size = page.size as usize;
    let of_page = results.keys.iter().skip(shown).take(size).map(|key| ProductId::from_uuid(*key));
    let of_page: Vec<ProductId> = of_page.collect();
    let hits = read(app, context, &results, &of_page).await?;
    let end = shown.saturating_add(size);
    Ok(Output {
        hits,
        total: results.total,
        corrections: results.corrections(),
        next: (end < results.keys.len()).then_some(Cursor { shown: end }),
        facets: results.facets,
    })
}

/// What the branch has in stock now: the index does not know, because stock changes by the second.
async fn stocked(app: &App, context: &CallContext, branch: BranchId) -> Result<HashSet<Uuid>, Error> {
    let reader = app.db.read(context);
    let found = branch::find(&reader, branch).await?.ok_or(Error::NotFound)?;
    let today = found.today(app.clock.now());
    Ok(product::in_stock(&reader, branch, today).await?)
}

fn asked(input: &Input) -> Asked {
    let mut filters = Vec::new();
    if !input.country.is_empty() {
        filters.push((Facet::Country, vec![input.country.clone()]));
    }
    if !input.forms.is_empty() {
        filters.push((Facet::Form, input.forms.iter().map(|form| search::form_value(form)).collect()));
    }
    if !input.classes.is_empty() {
        filters.push((Facet::Class, input.classes.iter().map(|class| class.word().to_owned()).collect()));
    }
    Asked { text: input.query.clone(), filters, only: None, counting: input.with_facets }
}

/// The products of a page in its order; one that is gone from the catalogue is left out.
async fn read(
    app: &App,
    context: &CallContext,
    results: &Results,
    ids: &[ProductId],
) -> Result<Vec<FoundProduct>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = product::find_many(&app.db.read(context), ids).await?;
    let mut rows: HashMap<ProductId, Catalogued> =
        rows.into_iter().map(|row| (row.product.id(), row)).collect();
    let found = |product: Catalogued| {
        let row = &product.product;
        let texts = Texts {
            name: &row.name,
            generic: &row.generic,
            strength: &row.strength,
            form: &row.form,
            manufacturer: &row.manufacturer,
        };
        let explained = app.search.explain(results, &texts);
        FoundProduct { tall_man: app.search.tall_man(&row.name), explained, product }
    };
    Ok(ids.iter().filter_map(|id| rows.remove(id)).map(found).collect())
}
