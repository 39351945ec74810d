//! What svc-policy does, one file per use case: authorise → load → decide → save expecting a version → outbox → commit.
//! Every use case takes the call's context first. It knows no Status.

use std::sync::Arc;

use caremesh_db::Db;
use caremesh_db::keys::{PersonKeys, Secrets};
use caremesh_kernel::{Clock, Date, IdSource, Zone};

use crate::domain::plan::Catalogue;

pub mod add_member;
pub mod age_policies;
pub mod booked;
pub mod cancel_policy;
pub(crate) mod change;
pub mod change_plan;
pub mod change_sum_insured;
pub mod check_eligibility;
mod cover;
pub mod create_person;
pub mod create_quote;
mod ending;
mod error;
mod events;
mod family;
pub mod get_cover;
pub mod get_person;
pub mod get_policy;
pub mod get_quote;
mod life;
pub mod list_access;
pub mod list_balances;
pub mod list_events;
pub mod list_policies;
pub mod list_postings;
pub mod load_plans;
pub mod parties;
mod person;
pub mod plans;
pub mod policy;
pub mod post;
pub(crate) mod posting;
pub mod price;
pub mod proposal;
pub mod purchase_policy;
mod quote;
pub mod record_premium_payment;
mod relimit;
pub mod remove_member;
pub mod renew_policy;
mod reprice;
mod scope;
pub mod sealed;
pub mod sweep_holds;
pub mod take_back_bonus;
pub mod underwrite;
pub mod update_person;

pub use caremesh_db::Once;
pub use error::{Error, Offer};

/// What every use case works with. A cheap clone.
#[derive(Clone)]
pub struct App {
    /// The store.
    pub(crate) db: Db,
    /// Every plan version that is known.
    pub(crate) plans: Arc<Catalogue>,
    /// The service's own keys: blind look-ups and seals.
    pub(crate) secrets: Secrets,
    /// The data keys of persons, in a store of their own.
    pub(crate) keys: PersonKeys,
    /// Gives reads their instant; writes take theirs from their transaction.
    pub(crate) clock: Arc<dyn Clock>,
    /// Gives new records their ids.
    pub(crate) ids: Arc<dyn IdSource>,
}

impl App {
    /// The issuer's name for a person as it is stored: a keyed hash, because it may be somebody's name. The
    /// issuer is part of it: another one's person of the same name is somebody else.
    pub(crate) fn subject_index(&self, person: &caremesh_mesh::Person) -> String {
        self.secrets.blind_index("person.subject", &person.key())
    }

    /// The latest day that it is anywhere on earth (UTC+14): nobody is born after it.
    pub(crate) fn today_anywhere(&self) -> Date {
        let hours_ahead_ms = 14 * 3_600 * 1_000;
        Zone::utc().day_of(self.clock.now().plus_ms(hours_ahead_ms))
    }
}
