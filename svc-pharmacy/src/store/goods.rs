//! What an order needs to know of products: price and class come from the catalogue's rows, never from the search index.

use caremesh_kernel::{Money, ProductId};
use sea_orm::{ConnectionTrait, QueryResult};

use super::{Error, parse_id};
use caremesh_db::sql::{Column, json, list, statement};

/// A product as it is sold.
#[derive(Clone, Debug)]
pub(crate) struct Goods {
    /// Which.
    pub(crate) id: ProductId,
    /// What one pack is, in its maker's words.
    pub(crate) pack: String,
    /// Whether it is sold without a prescription.
    pub(crate) over_the_counter: bool,
    /// Price of a pack; none when it is not known.
    pub(crate) price: Option<Money>,
    /// Whether it is no longer sold.
    pub(crate) discontinued: bool,
}

/// The products of these ids that the catalogue has.
pub(crate) async fn find_many<C: ConnectionTrait>(
    c: &C,
    kind: caremesh_db::Kind,
    ids: &[ProductId],
) -> Result<Vec<Goods>, Error> {
    let wanted: Vec<_> = ids.iter().map(|id| serde_json::json!({ "id": id })).collect();
    let sql = format!(
        "SELECT p.id, p.pack, p.dispensing_class, p.price, p.currency, p.discontinued FROM product p JOIN {} ON w.id = p.id",
        list(kind, "$1", "w", &[Column::Text("id")])
    );
    c.query_all_raw(statement(c, &sql, vec![json(&wanted)])).await?.iter().map(read).collect()
}

fn read(row: &QueryResult) -> Result<Goods, Error> {
    let (class, discontinued): (String, i64) = (row.try_get_by_index(2)?, row.try_get_by_index(5)?);
    let (price, currency): (Option<i64>, Option<String>) =
        (row.try_get_by_index(3)?, row.try_get_by_index(4)?);
    let money = |(minor, code): (i64, String)| {
        Ok::<_, Error>(Money::new(code.parse().map_err(|_| Error::Corrupt("product.currency"))?, minor))
    };
    Ok(Goods {
        id: parse_id(&row.try_get_by_index::<String>(0)?)?,
        pack: row.try_get_by_index(1)?,
        over_the_counter: class == "OVER_THE_COUNTER",
        price: price.zip(currency).map(money).transpose()?,
        discontinued: discontinued != 0,
    })
}
