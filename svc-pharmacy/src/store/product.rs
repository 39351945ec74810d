//! Rows of the catalogue. It holds no person's data, so its finders ask for no scope.

use std::collections::{HashMap, HashSet};

use caremesh_db::{Batch, Expect, Kind, Reader, Tx};
use caremesh_kernel::{BranchId, Currency, Date, Money, ProductBatchId, ProductId, Timestamp, Uuid};
use sea_orm::{ConnectionTrait, QueryResult, Value};
use serde::Serialize;

use super::Error;
use crate::domain::product::{Catalogued, DispensingClass, Product};
use caremesh_db::sql::{Column, insert, json, list, statement};

/// A product with what is stored beside it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) product: Product,
    /// Orders lists.
    pub(crate) sort_name: String,
    /// Alike for the same substance, strength and form.
    pub(crate) same_as: Option<String>,
    /// Of everything the product says: a row with the same digest is as it was.
    pub(crate) digest: String,
}

#[derive(Serialize)]
struct Row<'e> {
    id: String,
    code: &'e str,
    country: &'e str,
    name: &'e str,
    sort_name: &'e str,
    generic: &'e str,
    strength: &'e str,
    form: &'e str,
    route: &'e str,
    pack: &'e str,
    manufacturer: &'e str,
    atc: &'e str,
    dispensing_class: &'static str,
    schedule: &'e str,
    price: Option<i64>,
    currency: Option<String>,
    registration: &'e str,
    discontinued: i64,
    same_as: Option<&'e str>,
    digest: &'e str,
    batch_id: String,
    version: i64,
    created_at: i64,
    updated_at: i64,
}

const COLUMNS: &[Column] = &[
    Column::Text("id"),
    Column::Text("code"),
    Column::Text("country"),
    Column::Text("name"),
    Column::Text("sort_name"),
    Column::Text("generic"),
    Column::Text("strength"),
    Column::Text("form"),
    Column::Text("route"),
    Column::Text("pack"),
    Column::Text("manufacturer"),
    Column::Text("atc"),
    Column::Text("dispensing_class"),
    Column::Text("schedule"),
    Column::Number("price"),
    Column::Text("currency"),
    Column::Text("registration"),
    Column::Number("discontinued"),
    Column::Text("same_as"),
    Column::Text("digest"),
    Column::Text("batch_id"),
    Column::Number("version"),
    Column::Number("created_at"),
    Column::Number("updated_at"),
];

/// Columns that a change of a product leaves alone.
const KEPT: [&str; 3] = ["id", "version", "created_at"];

const READ: &str = "SELECT code, country, name, generic, strength, form, route, pack, manufacturer, atc, dispensing_class, \
     schedule, price, currency, registration, discontinued, version, updated_at FROM product";

const ID: &[Column] = &[Column::Text("id")];

#[derive(Serialize)]
struct IdRow {
    id: String,
}

fn ids(ids: &[ProductId]) -> Value {
    json(&ids.iter().map(|id| IdRow { id: id.to_string() }).collect::<Vec<_>>())
}

/// One product.
pub(crate) async fn find(reader: &Reader, id: ProductId) -> Result<Option<Catalogued>, Error> {
    one(reader, "WHERE id = $1", id.to_string()).await
}

/// One product by its code at its source.
pub(crate) async fn find_by_code(reader: &Reader, code: &str) -> Result<Option<Catalogued>, Error> {
    one(reader, "WHERE code = $1", code.to_owned()).await
}

/// Products by their ids, in no order; those that are not there are left out.
pub(crate) async fn find_many(reader: &Reader, wanted: &[ProductId]) -> Result<Vec<Catalogued>, Error> {
    let condition = format!("WHERE id IN (SELECT w.id FROM {})", list(reader.kind(), "$1", "w", ID));
    many(reader, &condition, vec![ids(wanted)]).await
}

/// What a list of products is narrowed to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Narrowed {
    pub(crate) country: String,
    pub(crate) class: Option<DispensingClass>,
    pub(crate) atc_prefix: String,
}

/// Products of a country by name, after a name and id.
pub(crate) async fn list_by_name(
    reader: &Reader,
    narrowed: &Narrowed,
    after: Option<&(String, ProductId)>,
    limit: u32,
) -> Result<Vec<Catalogued>, Error> {
    let (name, id) = after.map(|(name, id)| (name.clone(), id.to_string())).unwrap_or_default();
    let class = narrowed.class.map(|class| class.word().to_owned());
    let condition = "WHERE country = $1 AND (sort_name, id) > ($2, $3) AND (CAST($4 AS TEXT) IS NULL OR dispensing_class = $4) \
         AND substr(atc, 1, CAST($5 AS BIGINT)) = $6 ORDER BY sort_name, id LIMIT $7";
    let length = i64::try_from(narrowed.atc_prefix.len()).unwrap_or(0);
    let values: Vec<Value> = vec![
        narrowed.country.clone().into(),
        name.into(),
        id.into(),
        class.into(),
        length.into(),
        narrowed.atc_prefix.clone().into(),
        i64::from(limit).into(),
    ];
    let condition = if reader.kind() == Kind::Postgres {
        condition.replace("CAST($5 AS BIGINT)", "CAST($5 AS INTEGER)")
    } else {
        condition.to_owned()
    };
    many(reader, &condition, values).await
}

/// Products on sale of the same substance, strength, form and country, cheaper first, without a price last; the product
/// itself left out.
pub(crate) async fn alternatives(
    reader: &Reader,
    to: ProductId,
    skip: u32,
    limit: u32,
) -> Result<Vec<Catalogued>, Error> {
    let condition = "JOIN (SELECT same_as AS to_same, country AS to_country FROM product WHERE id = $1) t \
         ON same_as = t.to_same AND country = t.to_country WHERE id <> $1 AND discontinued = 0 \
         ORDER BY CASE WHEN price IS NULL THEN 1 ELSE 0 END, price, sort_name, id LIMIT $2 OFFSET $3";
    many(reader, condition, vec![to.to_string().into(), i64::from(limit).into(), i64::from(skip).into()])
        .await
}

/// The products that a branch has free on a day: on hand, not reserved, not recalled, not expired.
pub(crate) async fn in_stock(reader: &Reader, branch: BranchId, today: Date) -> Result<HashSet<Uuid>, Error> {
    let sql = "SELECT DISTINCT product_id FROM stock_lot WHERE branch_id = $1 AND recalled = 0 AND on_hand > reserved \
               AND expires_on > $2";
    let values = vec![branch.to_string().into(), today.to_string().into()];
    let rows = reader.query_all_raw(statement(reader, sql, values)).await?;
    let id = |row: &QueryResult| {
        let id: ProductId =
            row.try_get_by_index::<String>(0)?.parse().map_err(|_| Error::Corrupt("stock_lot.product_id"))?;
        Ok(id.uuid())
    };
    rows.iter().map(id).collect()
}

/// The rows that a batch wrote last.
pub(crate) async fn of_batch(reader: &Reader, batch: ProductBatchId) -> Result<Vec<Catalogued>, Error> {
    many(reader, "WHERE batch_id = $1", vec![batch.to_string().into()]).await
}

/// All products by id, after one.
pub(crate) async fn all_after(
    reader: &Reader,
    after: Option<ProductId>,
    limit: u32,
) -> Result<Vec<Catalogued>, Error> {
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    many(reader, "WHERE id > $1 ORDER BY id LIMIT $2", vec![after.into(), i64::from(limit).into()]).await
}

/// Digest and version of those products that are there.
pub(crate) async fn digests_in(tx: &Tx, wanted: &[ProductId]) -> Result<HashMap<String, String>, Error> {
    let sql = format!(
        "SELECT p.id, p.digest FROM product p WHERE p.id IN (SELECT w.id FROM {})",
        list(tx.kind(), "$1", "w", ID)
    );
    let rows = tx.query_all_raw(statement(tx, &sql, vec![ids(wanted)])).await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).collect()
}

/// Writes products: new ones as version 1, others with the next version.
pub(crate) fn upsert(tx: &Tx, entries: &[Entry], batch: ProductBatchId) -> Batch {
    let rows: Vec<Row<'_>> = entries.iter().map(|entry| row(entry, batch, tx.now())).collect();
    let changed = COLUMNS.iter().map(|column| column.name()).filter(|name| !KEPT.contains(name));
    let set: Vec<String> = changed.map(|name| format!("{name} = excluded.{name}")).collect();
    let sql = format!(
        "{} WHERE 1 = 1 ON CONFLICT (id) DO UPDATE SET {}, version = product.version + 1",
        insert(tx.kind(), "product", COLUMNS),
        set.join(", ")
    );
    let mut all = Batch::new();
    all.push("product", sql, vec![json(&rows)], Expect::Rows(rows.len() as u64));
    all
}

fn row<'e>(entry: &'e Entry, batch: ProductBatchId, now: Timestamp) -> Row<'e> {
    let product = &entry.product;
    Row {
        id: product.id().to_string(),
        code: &product.code,
        country: &product.country,
        name: &product.name,
        sort_name: &entry.sort_name,
        generic: &product.generic,
        strength: &product.strength,
        form: &product.form,
        route: &product.route,
        pack: &product.pack,
        manufacturer: &product.manufacturer,
        atc: &product.atc,
        dispensing_class: product.class.word(),
        schedule: &product.schedule,
        price: product.price.map(|price| price.minor),
        currency: product.price.map(|price| price.currency.code().to_owned()),
        registration: &product.registration,
        discontinued: i64::from(product.discontinued),
        same_as: entry.same_as.as_deref(),
        digest: &entry.digest,
        batch_id: batch.to_string(),
        version: 1,
        created_at: now.as_micros(),
        updated_at: now.as_micros(),
    }
}

async fn one(reader: &Reader, condition: &str, value: String) -> Result<Option<Catalogued>, Error> {
    let sql = format!("{READ} {condition}");
    let row = reader.query_one_raw(statement(reader, &sql, vec![value.into()])).await?;
    row.as_ref().map(convert).transpose()
}

async fn many(reader: &Reader, condition: &str, values: Vec<Value>) -> Result<Vec<Catalogued>, Error> {
    let sql = format!("{READ} {condition}");
    let rows = reader.query_all_raw(statement(reader, &sql, values)).await?;
    rows.iter().map(convert).collect()
}

fn convert(row: &QueryResult) -> Result<Catalogued, Error> {
    let text = |place: usize| row.try_get_by_index::<String>(place);
    let class = DispensingClass::of_word(&text(10)?).ok_or(Error::Corrupt("product.dispensing_class"))?;
    let (price, currency): (Option<i64>, Option<String>) =
        (row.try_get_by_index(12)?, row.try_get_by_index(13)?);
    let product = Product {
        code: text(0)?,
        country: text(1)?,
        name: text(2)?,
        generic: text(3)?,
        strength: text(4)?,
        form: text(5)?,
        route: text(6)?,
        pack: text(7)?,
        manufacturer: text(8)?,
        atc: text(9)?,
        class,
        schedule: text(11)?,
        price: price.zip(currency).map(|(minor, currency)| money(minor, &currency)).transpose()?,
        registration: text(14)?,
        discontinued: row.try_get_by_index::<i64>(15)? == 1,
    };
    let updated = Timestamp::from_micros(row.try_get_by_index(17)?);
    Ok(Catalogued { product, version: row.try_get_by_index(16)?, updated })
}

fn money(minor: i64, currency: &str) -> Result<Money, Error> {
    let currency: Currency = currency.parse().map_err(|_| Error::Corrupt("product.currency"))?;
    Ok(Money::new(currency, minor))
}
