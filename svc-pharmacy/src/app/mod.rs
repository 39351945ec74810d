//! What svc-pharmacy does, one file per use case: authorise → load → decide → save expecting a version → outbox → commit.
//! Every use case takes the call's context first. It knows no Status.

use std::sync::Arc;

use caremesh_db::Db;
use caremesh_db::keys::{PersonKeys, Secrets};
use caremesh_kernel::{Clock, IdSource};
use caremesh_mesh::port::payment::Payments;
use caremesh_mesh::ticket::Tickets;

use crate::clients::{Documents, PolicyClient};
use crate::domain::prescription::Control;

pub mod branch;
mod change;
use crate::search::Search;

mod catalogue_entry;
mod catalogue_events;
mod error;
pub(crate) mod follow_catalogue;
pub mod import_products;
pub mod import_reference;
pub mod list_access;
pub mod list_events;
pub mod list_products;
pub mod order;
mod pharmacy_events;
pub mod prescription;
pub mod safety;
mod scope;
pub mod search_products;
pub mod stock;

pub use caremesh_db::Once;
pub use error::Error;

/// What every use case works with. A cheap clone.
#[derive(Clone)]
pub struct App {
    /// The store.
    pub(crate) db: Db,
    /// Prices, holds and persons.
    pub(crate) policy: PolicyClient,
    /// The service's own keys: blind look-ups and seals.
    pub(crate) secrets: Secrets,
    /// The data keys of persons, in a store of their own.
    pub(crate) keys: PersonKeys,
    /// Takes and gives back the own shares of members.
    pub(crate) payments: Arc<dyn Payments>,
    /// Controlled classes of medicine, by jurisdiction.
    pub(crate) control: Arc<Control>,
    /// Signs upload tickets and reads the gateway's receipts.
    pub(crate) tickets: Tickets,
    /// What the gateway stored; none: its receipts are believed without a look.
    pub(crate) documents: Option<Documents>,
    /// Finds medicines.
    pub(crate) search: Arc<Search>,
    /// Gives reads their instant; writes take theirs from their transaction.
    pub(crate) clock: Arc<dyn Clock>,
    /// Gives new records their ids.
    pub(crate) ids: Arc<dyn IdSource>,
}
