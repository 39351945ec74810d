//! GetProduct, ListProducts and ListAlternatives: the catalogue as it stands, public and without any person.

use caremesh_kernel::ProductId;
use caremesh_mesh::CallContext;
use caremesh_mesh::page::Page;

use super::{App, Error};
use crate::domain::product::{Catalogued, DispensingClass};
use crate::store::product::{self, Narrowed};

/// Where a list by name ended.
pub type ByName = (String, ProductId);

/// Which product is asked for.
#[derive(Clone, Debug)]
pub enum Named {
    /// By its id.
    Id(ProductId),
    /// By its code at its source.
    Code(String),
}

/// One product.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn get(app: &App, context: &CallContext, named: Named) -> Result<Catalogued, Error> {
    let reader = app.db.read(context);
    let found = match named {
        Named::Id(id) => product::find(&reader, id).await?,
        Named::Code(code) => product::find_by_code(&reader, &code).await?,
    };
    found.ok_or(Error::NotFound)
}

/// Products of a country by name.
///
/// # Errors
/// [`Error::Store`].
pub async fn list(
    app: &App,
    context: &CallContext,
    country: String,
    class: Option<DispensingClass>,
    atc_prefix: String,
    page: &Page<ByName>,
) -> Result<(Vec<Catalogued>, Option<ByName>), Error> {
    let narrowed = Narrowed { country, class, atc_prefix };
    let reader = app.db.read(context);
    let mut found = product::list_by_name(&reader, &narrowed, page.after.as_ref(), page.size + 1).await?;
    let more = found.len() > page.size as usize;
    found.truncate(page.size as usize);
    let place = |last: &Catalogued| {
        let entry = super::catalogue_entry::entry(last.product.clone());
        (entry.sort_name, last.product.id())
    };
    let next = found.last().filter(|_| more).map(place);
    Ok((found, next))
}

/// What may replace a product as a medicine, cheaper first.
///
/// # Errors
/// [`Error::NotFound`] for an unknown product.
pub async fn alternatives(
    app: &App,
    context: &CallContext,
    to: ProductId,
    page: &Page<u32>,
) -> Result<(Vec<Catalogued>, Option<u32>), Error> {
    let reader = app.db.read(context);
    product::find(&reader, to).await?.ok_or(Error::NotFound)?;
    let skip = page.after.unwrap_or(0);
    let mut found = product::alternatives(&reader, to, skip, page.size + 1).await?;
    let more = found.len() > page.size as usize;
    found.truncate(page.size as usize);
    Ok((found, more.then_some(skip.saturating_add(page.size))))
}
