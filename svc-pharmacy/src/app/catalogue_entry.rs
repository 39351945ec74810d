//! From a product to what is stored and what is indexed of it: sorting, sameness, digest, terms. The one place that knows
//! both the catalogue and the index.

use aws_lc_rs::digest::{Context, SHA256};
use caremesh_kernel::Money;

use crate::domain::product::{Catalogued, Product};
use crate::search;
use crate::search::index::Document;
use crate::store::product::Entry;

/// What is stored of a product.
pub(crate) fn entry(product: Product) -> Entry {
    let sort_name: String = product.name.chars().take(200).flat_map(char::to_lowercase).collect();
    let same_as = search::same_medicine(&product.generic, &product.strength, &product.form);
    Entry { sort_name, same_as, digest: digest(&product), product }
}

/// What is indexed of a product; one that is no longer sold goes behind all others.
pub(crate) fn document(found: &Catalogued) -> Document {
    let product = &found.product;
    let texts = search::Texts {
        name: &product.name,
        generic: &product.generic,
        strength: &product.strength,
        form: &product.form,
        manufacturer: &product.manufacturer,
    };
    let facets =
        [product.country.clone(), search::form_value(&product.form), product.class.word().to_owned()];
    search::document(product.id().uuid(), found.version, &texts, facets, product.discontinued)
}

fn digest(product: &Product) -> String {
    let price = product.price.map(|Money { currency, minor }| format!("{minor} {}", currency.code()));
    let texts: [&str; 15] = [
        &product.code,
        &product.country,
        &product.name,
        &product.generic,
        &product.strength,
        &product.form,
        &product.route,
        &product.pack,
        &product.manufacturer,
        &product.atc,
        product.class.word(),
        &product.schedule,
        &price.unwrap_or_default(),
        &product.registration,
        if product.discontinued { "1" } else { "0" },
    ];
    let mut digest = Context::new(&SHA256);
    for text in texts {
        digest.update(&text.len().to_be_bytes());
        digest.update(text.as_bytes());
    }
    hex::encode(digest.finish())
}
