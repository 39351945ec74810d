//! A product of the catalogue as far as a prescription cares. The catalogue's own rows are another file's.

use caremesh_kernel::ProductId;
use sea_orm::ConnectionTrait;

use super::Error;
use crate::domain::prescription::Medicine;
use caremesh_db::sql::statement;

/// A product as a medicine.
pub(crate) async fn find<C: ConnectionTrait>(c: &C, id: ProductId) -> Result<Option<Medicine>, Error> {
    let sql = "SELECT generic, strength, form, atc, price FROM product WHERE id = $1";
    let row = c.query_one_raw(statement(c, sql, vec![id.to_string().into()])).await?;
    row.map(|row| {
        let atc: String = row.try_get_by_index(3)?;
        Ok(Medicine {
            product: id,
            generic: row.try_get_by_index(0)?,
            strength: row.try_get_by_index(1)?,
            form: row.try_get_by_index(2)?,
            atc: Some(atc).filter(|code| !code.is_empty()),
            price: row.try_get_by_index(4)?,
        })
    })
    .transpose()
}
