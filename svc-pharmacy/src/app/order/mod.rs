//! Orders: quote, place, pack, dispense, deliver, take back, cancel; and who may see and do what of them.

mod cancel;
mod deliver;
mod dispense;
pub(crate) mod flow;
mod pack;
mod place;
mod quote;
mod read;
mod scripts;
mod take_back;
mod watch;

use caremesh_db::{NewEvent, Tx};
use caremesh_kernel::{Date, OrderId, Timestamp};
use caremesh_mesh::policy::{Relationship, Role};
use caremesh_mesh::{Action, CallContext, Touched};
use caremesh_proto::pharmacy::v1::{Event, EventType};

pub use cancel::{expire_due, run as cancel};
pub use deliver::{Fail, deliver, fail};
pub use dispense::{Input as Dispense, run as dispense};
pub use pack::{Input as Pack, run as pack};
pub use place::{Input as Place, run as place};
pub use quote::{Item, Quote, QuotedLine, run as quote};
pub use read::{Cursor, Settlement, Wanted, get, list, settlement};
pub use scripts::Named;
pub use take_back::run as take_back;
pub use watch::watch;

use super::change::Done;
use super::scope::{is_granted, own_organisation};
use super::{App, Error};
use crate::domain::order::{Entry, Order};
use crate::store::order::{self, Row};

/// An order as it is shown: with what was sealed, opened.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The order.
    pub order: Order,
    /// Where a courier brings it, as it was given, encoded.
    pub address: Option<Vec<u8>>,
    /// Proofs of delivery, by parcel.
    pub proofs: Vec<(caremesh_kernel::ParcelId, String)>,
    /// Its version.
    pub version: i64,
}

impl App {
    /// An order that the caller may see.
    ///
    /// # Errors
    /// [`Error::NotFound`]: not allowed to know is answered like absent.
    pub(crate) async fn order(&self, context: &CallContext, id: OrderId) -> Result<Row, Error> {
        let found = order::find_unscoped(&self.db.read(context), id).await?.ok_or(Error::NotFound)?;
        self.must_see_order(context, &found.order).await?;
        context.touched(Touched::read(found.order.patient, id));
        Ok(found)
    }

    async fn must_see_order(&self, context: &CallContext, order: &Order) -> Result<(), Error> {
        let own = context.principal().person_id();
        if own.is_some() && own == order.placed_by {
            return Ok(());
        }
        if is_granted(context, Relationship::OwnBranch)
            && self.must_work_at(context, order.branch).await.is_ok()
        {
            return Ok(());
        }
        if is_granted(context, Relationship::OwnOrganisation) {
            return self.must_be_of_branch(context, order).await;
        }
        self.must_see_person(context, order.patient).await
    }

    /// A courier carries for the organisation that the branch belongs to.
    async fn must_be_of_branch(&self, context: &CallContext, order: &Order) -> Result<(), Error> {
        let branch = super::branch::get(self, context, order.branch).await?;
        let courier = context.principal().has_role(Role::Courier);
        if courier && own_organisation(context) == Some(branch.organisation) {
            Ok(())
        } else {
            Err(Error::NotFound)
        }
    }

    /// The day at the order's branch.
    pub(crate) async fn day_at(
        &self,
        context: &CallContext,
        order: &Order,
        now: Timestamp,
    ) -> Result<Date, Error> {
        Ok(super::branch::get(self, context, order.branch).await?.today(now))
    }

    /// Opens what is sealed of an order.
    pub(crate) async fn shown_order(&self, context: &CallContext, row: Row) -> Result<Shown, Error> {
        let sealed = row.order.parcels.iter().filter_map(|p| Some((p.id, p.proof_sealed.clone()?)));
        let sealed: Vec<_> = sealed.collect();
        let (mut address, mut proofs) = (None, Vec::new());
        if row.address_sealed.is_some() || !sealed.is_empty() {
            let key = self.keys.key(context, row.order.patient).await?;
            let id = row.order.id.to_string();
            let opened = row.address_sealed.as_ref().map(|bytes| key.open(address_field(&id), bytes));
            address = opened.transpose()?.map(|plain| plain.to_vec());
            for (parcel, proof) in sealed {
                let bytes = hex::decode(proof).map_err(|_| caremesh_db::Error::Corrupt("parcel.proof"))?;
                let plain = key.open(proof_field(&parcel.to_string()), &bytes)?;
                proofs.push((parcel, String::from_utf8_lossy(&plain).into_owned()));
            }
        }
        Ok(Shown { order: row.order, address, proofs, version: row.version })
    }
}

impl Done<Shown> {
    /// A changed order, shown with what was opened before the transaction.
    fn of_order(row: Row, shown: Shown) -> Self {
        let (resource, version) = (row.order.id.to_string(), row.version);
        Self { resource, version, outcome: Shown { order: row.order, version, ..shown } }
    }
}

fn address_field(row: &str) -> caremesh_db::keys::Field<'_> {
    caremesh_db::keys::Field { table: "medication_order", column: "address_sealed", row }
}

fn source_field(row: &str) -> caremesh_db::keys::Field<'_> {
    caremesh_db::keys::Field { table: "medication_order", column: "source_sealed", row }
}

fn proof_field(row: &str) -> caremesh_db::keys::Field<'_> {
    caremesh_db::keys::Field { table: "parcel", column: "proof_sealed", row }
}

/// The order inside a transaction, for a change at the version that is read here.
async fn order_in(tx: &Tx, id: OrderId) -> Result<Row, Error> {
    order::find_unscoped(tx, id).await?.ok_or(Error::NotFound)
}

/// Writes a changed order with its journal entries, and tells of it; the row as it will be.
fn save(tx: &Tx, mut order: Order, row: Row, entries: &[Entry]) -> Result<Row, Error> {
    order.updated = tx.now();
    order::save(tx, &order, row.version, entries)?;
    let kind = if order.records.len() > row.order.records.len() {
        EventType::OrderDispensed
    } else {
        EventType::OrderMoved
    };
    tx.emit([event(kind, order.id, row.version + 1)]);
    tx.context().touched(Touched::new(order.patient, order.id, Action::Changed));
    Ok(Row { order, version: row.version + 1, ..row })
}

/// Events of an order are told in the order of its versions.
fn event(kind: EventType, id: OrderId, version: i64) -> NewEvent {
    let payload =
        Event { r#type: kind.into(), key: id.to_string(), resource_id: id.to_string(), ..Event::default() };
    let name = kind.as_str_name().strip_prefix("EVENT_TYPE_").unwrap_or_default();
    NewEvent::of(name, id, version, &payload)
}
