//! Ids, money, dates, clock: what every crate may know.
//!
//! Pure values and their arithmetic. Knows no tokio, tonic, prost or sea-orm, and no domain rule:
//! a plan, a claim or an order is none of its business.

mod arithmetic;
mod clock;
mod date;
mod id;
mod money;
mod zone;

pub use arithmetic::{Bps, Fraction, RateError, checked_half_up, half_up, split_largest_remainder};
pub use clock::{Clock, IdSource, SystemClock, SystemIds, Timestamp};
pub use date::{Date, DateError, DateRange};
pub use id::{
    Account, AccountId, AuditEvent, AuditEventId, Branch, BranchId, Dispense, DispenseId, Endorsement,
    EndorsementId, Episode, EpisodeId, Event, EventId, Hold, HoldId, Id, IdError, Kind, Layer, LayerId, Lot,
    LotId, Member, MemberId, Order, OrderId, Organisation, OrganisationId, OutboxEvent, OutboxEventId,
    Parcel, ParcelId, Payment, PaymentId, Person, PersonId, Pharmacist, PharmacistId, Plan, PlanId,
    PlanVersion, PlanVersionId, Policy, PolicyId, Posting, PostingId, Prescription, PrescriptionId,
    PrescriptionItem, PrescriptionItemId, Process, ProcessId, Product, ProductBatch, ProductBatchId,
    ProductId, Proposal, ProposalId, Quote, QuoteId, Receipt, ReceiptId, Recovery, RecoveryId, RefillPlan,
    RefillPlanId, Refund, RefundId, Reservation, ReservationId, Return, ReturnId, SafetyCheck, SafetyCheckId,
    Term, TermId, Upload, UploadId,
};
pub use money::{Currency, Money, MoneyError};
pub use uuid::Uuid;
pub use zone::{Zone, ZoneError};
