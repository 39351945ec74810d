//! RecordPremiumPayment: one payment reference makes one receipt, whether it comes before the purchase, after it, or twice.

use std::sync::Arc;

use caremesh_db::keys::PersonKey;
use caremesh_db::{Answered, Batch, Error as DbError, Replay, Tx};
use caremesh_kernel::{Date, DateRange, Money, PolicyId, QuoteId, TermId, Timestamp, Uuid};
use caremesh_mesh::{Action, CallContext, Touched};
use prost::Message;

use super::change::{Draft, kept, same_version};
use super::ending::plan_money;
use super::life::{books, clocks, schedule};
use super::policy::{PremiumReceipt, receipt, reference_field};
use super::quote::{of_row, policy_state};
use super::{App, Error, Once, events};
use crate::domain::account::LayerKind;
use crate::domain::engine::CoverLayer;
use crate::domain::life::{Amount, ChangeRefusal, EndorsementKind, Standing, carried, next_bonus, standing};
use crate::domain::plan::PlanVersion;
use crate::domain::policy::{self as cover, Payment, receive};
use crate::store::{Scope, life, policy, quote};

/// Namespace of the ids of terms: that of the purchase, so that a term has one id whoever makes it.
const TERM_NAMESPACE: Uuid = Uuid::from_u128(0x4e0f_92d7_77a1_4c6b_8d15_0a6b_3f9e_51c2);

/// Tries of a payment that met the purchase of the same quote, or its own twin.
const TRIES: u32 = 5;

/// A payment as it was reported.
#[derive(Clone)]
pub struct Input {
    /// The quote that is paid for.
    pub quote: QuoteId,
    /// The payment provider's reference.
    pub reference: String,
    /// How much.
    pub amount: Money,
    /// When the money was received.
    pub received: Timestamp,
}

/// A payment that is booked.
#[derive(Clone, Debug)]
pub struct Booked {
    /// The receipt.
    pub receipt: PremiumReceipt,
    /// The policy, once the quote was bought.
    pub policy: Option<PolicyId>,
}

/// Books a payment, once per request_id and once per reference.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Payment`], [`Error::ReferenceReused`].
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Booked, T>,
    input: Input,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let scope = app.scope(context).await?;
    let found = quote::find(&app.db.read(context), app.db.kind(), &scope, input.quote)
        .await?
        .ok_or(Error::NotFound)?;
    let key = app.keys.key(context, found.quote.policyholder).await?;
    let payment = Payment {
        reference: app.secrets.blind_index("receipt.reference", &input.reference),
        amount: input.amount,
        received: input.received,
    };
    let booking = Arc::new(Booking { app: app.clone(), once, input, payment, key, scope });
    let mut outcome = Err(Error::Stale);
    for _ in 0..TRIES {
        outcome = try_once(app, context, &booking).await;
        if !matches!(outcome, Err(Error::Stale)) {
            break;
        }
    }
    outcome
}

struct Booking<R, T> {
    app: App,
    once: Once<R, Booked, T>,
    input: Input,
    payment: Payment,
    key: PersonKey,
    scope: Scope,
}

async fn try_once<R, T>(app: &App, context: &CallContext, booking: &Arc<Booking<R, T>>) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let of_work = Arc::clone(booking);
    let answered = app.db.idempotent(
        context,
        &booking.once.request_id,
        &booking.once.request,
        move |tx| {
            let booking = Arc::clone(&of_work);
            Box::pin(async move { booking.write(tx).await })
        },
        |context, replay: Replay| {
            context.touched(Touched::read(None, replay.resource));
            Box::pin(async { Ok(()) })
        },
    );
    answered.await
}

impl<R: Message, T: Message + Default + 'static> Booking<R, T> {
    async fn write(&self, tx: &Tx) -> Result<Answered<T>, Error> {
        let found =
            quote::find(tx, tx.kind(), &self.scope, self.input.quote).await?.ok_or(Error::NotFound)?;
        if let Some((quote, amount)) = quote::quote_of_reference(tx, &self.payment.reference).await? {
            return self.again(tx, &found, quote, amount);
        }
        if found.quote.waits() {
            return Err(Error::NotAccepted);
        }
        let mut offer = of_row(&found.quote, Vec::new())?;
        if let Some(agreed) = agreed(tx, &found).await? {
            offer.premium = quote::premium(&agreed)?;
        }
        let state = found.policy_state.as_ref().map(|row| policy_state(&found.quote, row)).transpose()?;
        // The first payment of a next term is accepted or refused by its offer alone.
        let state = state.filter(|_| found.quote.renews_policy_id.is_none() || !found.receipts.is_empty());
        let paid = u32::try_from(found.receipts.len()).unwrap_or(u32::MAX);
        self.in_time(&offer, paid, state)?;
        let booked = receive(&offer, paid, state, &self.payment, tx.now())?;
        self.book(tx, &found, &booked).await
    }

    /// A payment of a later instalment is judged by the day on which the money came, whoever books first, it or the lapse.
    fn in_time(
        &self,
        offer: &cover::Quote,
        paid: u32,
        state: Option<cover::PolicyState>,
    ) -> Result<(), Error> {
        let due = offer.premium.instalments.get(paid as usize).filter(|_| paid > 0);
        let running =
            matches!(state, Some(cover::PolicyState::Active { .. } | cover::PolicyState::Lapsed { .. }));
        let Some(due) = due.filter(|_| running) else { return Ok(()) };
        let (plan, law) = self.app.plan_and_law(offer.plan_version)?;
        let end = plan.term_from(offer.start).end();
        let day = law.zone.day_of(self.input.received);
        match standing(Some(due.due), end, clocks(law), day) {
            Standing::Lapsed { .. } => Err(cover::PaymentRefusal::Lapsed.into()),
            Standing::InForce | Standing::InGrace { .. } | Standing::TermOver { .. } => Ok(()),
        }
    }

    /// The same payment reported again by another request is the receipt it made; anything else is another payment under
    /// a used reference.
    fn again(
        &self,
        tx: &Tx,
        found: &quote::Found,
        quote: QuoteId,
        amount: i64,
    ) -> Result<Answered<T>, Error> {
        let same = quote == self.input.quote
            && amount == self.input.amount.minor
            && found.quote.currency == self.input.amount.currency;
        if !same {
            return Err(Error::ReferenceReused);
        }
        // Booked by another between the two reads: the first did not see its receipt yet. Look again.
        let row = found.receipts.iter().find(|row| row.reference_index == self.payment.reference);
        let row = row.ok_or(Error::Stale)?;
        tx.context().touched(Touched::read(found.quote.policyholder, row.id));
        self.answered(found, row)
    }

    async fn book(
        &self,
        tx: &Tx,
        found: &quote::Found,
        booked: &cover::Receipt,
    ) -> Result<Answered<T>, Error> {
        let sealed =
            self.key.seal(reference_field(&booked.id.to_string()), self.input.reference.as_bytes())?;
        let row = quote::ReceiptRow {
            id: booked.id,
            quote_id: found.quote.id,
            number: i64::from(booked.number),
            reference_index: self.payment.reference.clone(),
            reference_sealed: hex::encode(sealed),
            amount: self.input.amount.minor,
            received_at: self.input.received.as_micros(),
            created_at: tx.now().as_micros(),
        };
        let mut batch = quote::insert_receipt(tx.kind(), &row);
        let activated = booked.activates.and(found.quote.policy_id);
        let policy = found.quote.policy_id.or(found.quote.renews_policy_id);
        let renewed = match policy {
            Some(policy) => {
                let (changed, term) = self.on_policy(tx, policy, &row, (found, booked.activates)).await?;
                batch.append(changed);
                term
            }
            None => None,
        };
        batch.append(quote::advance(&found.quote, None, renewed));
        let key = policy.map_or(found.quote.id.to_string(), |policy| policy.to_string());
        let told = activated.map(|policy| events::policy_activated(policy, tx.now()));
        tx.emit([events::premium_received(&key, booked.id, tx.now())].into_iter().chain(told));
        tx.context().touched(Touched::new(found.quote.policyholder, booked.id, Action::Created));
        let answered = self.answered(found, &row)?;
        tx.answer(&answered)?;
        tx.apply(batch).await.map_err(met_another)?;
        Ok(answered)
    }

    /// What a payment changes on the policy that it is for: a new version, its next day to act, and its state. Answers the
    /// term that it began, if it did.
    async fn on_policy(
        &self,
        tx: &Tx,
        id: PolicyId,
        row: &quote::ReceiptRow,
        (paid, activates): (&quote::Found, Option<cover::PolicyState>),
    ) -> Result<(Batch, Option<TermId>), Error> {
        let before = policy::find(tx, tx.kind(), &Scope::any(), id).await?.ok_or(Error::NotFound)?;
        let (plan, law) = self.app.plan_and_law(paid.quote.plan_version_id)?;
        let day = law.zone.day_of(self.input.received);
        let mut renewed = None;
        let mut draft = Draft::new(&before, tx.now())?;
        draft.next.receipts.push(row.clone());
        if paid.quote.renews_policy_id.is_some() && paid.receipts.is_empty() {
            let state = self.app.living(&before, tx.now())?.state;
            let term = plan.term_from(paid.quote.starts_on);
            let claimed = has_claims(&self.app, tx, &draft).await?;
            let layers = next_layers(&draft, paid, plan, (term, claimed))?;
            let term = renew(&mut draft, paid, &layers, (term, day, state))?;
            draft.of_plan(plan);
            renewed = Some(term);
        } else if let Some(state) = activates {
            draft.state(state);
        } else if before.policy.state == "LAPSED" {
            reinstate(tx, &mut draft, day).await?;
        }
        schedule(&mut draft.next, law, law.zone.day_of(tx.now()))?;
        Ok((kept(tx, &before, &draft)?, renewed))
    }

    fn answered(&self, found: &quote::Found, row: &quote::ReceiptRow) -> Result<Answered<T>, Error> {
        let receipt = receipt(&self.key, found.quote.currency, row)?;
        let policy = found.quote.policy_id.or(found.quote.renews_policy_id);
        Ok(self.once.answered(row.id, 1, &Booked { receipt, policy }))
    }
}

/// Whether plan money of the last term is used or held by now.
async fn has_claims(app: &App, tx: &Tx, draft: &Draft) -> Result<bool, Error> {
    let Some(term) = draft.next.terms.last() else { return Ok(false) };
    let (used, held) = plan_money(tx, &draft.plans(app)?, term.id, term.ends_on).await?;
    Ok(used + held > 0)
}

/// The layers of the next term: what was bought, with its clocks, and the bonus of the last one.
fn next_layers(
    draft: &Draft,
    paid: &quote::Found,
    plan: &PlanVersion,
    (term, claimed): (DateRange, bool),
) -> Result<Vec<CoverLayer>, Error> {
    let before = draft.layers()?;
    let last_day = draft.books.term.end().plus_days(-1);
    let bonus = |layer: &&CoverLayer| layer.kind == LayerKind::Bonus && layer.valid.contains(last_day);
    let had: i64 = before.iter().filter(bonus).map(|layer| layer.amount_minor).sum();
    let mut layers = carried(&before, draft.books.term, paid.quote.sum_insured, term);
    let amount_minor = next_bonus(plan.bonus.as_ref(), had, paid.quote.sum_insured, claimed);
    let waiting_from = layers.iter().map(|layer| layer.waiting_from).min().unwrap_or(term.start());
    if amount_minor > 0 {
        let (kind, ordinal, valid) = (LayerKind::Bonus, 0, term);
        layers.push(CoverLayer { kind, ordinal, amount_minor, valid, waiting_from });
    }
    Ok(layers)
}

/// The next term, its days and its members. It follows the one before without a break; days between the end of that and the
/// day of the payment are in no segment, so that nothing on them is covered.
fn renew(
    draft: &mut Draft,
    paid: &quote::Found,
    layers: &[CoverLayer],
    (term, day, state): (DateRange, Date, cover::PolicyState),
) -> Result<TermId, Error> {
    let state = state.after(cover::LifeEvent::Renew).map_err(|_| ChangeRefusal::NotInForce)?;
    let number = draft.next.terms.last().map_or(1, |last| last.number + 1);
    let bonus = layers.iter().any(|layer| layer.kind == LayerKind::Bonus);
    let prior = draft.next.terms.last().map(|last| last.id).filter(|_| bonus);
    let policy = draft.next.policy.id;
    let id = TermId::derive(TERM_NAMESPACE, &[&policy.to_string(), &number.to_string()]);
    draft.next.terms.push(policy::TermRow {
        id,
        policy_id: policy,
        number,
        starts_on: term.start(),
        ends_on: term.end(),
        state: "OPEN".to_owned(),
        premium: None,
        quote_id: Some(paid.quote.id),
        layers: Some(policy::layers_text(layers)?),
        plans: None,
        bonus_for: prior,
    });
    let from = day.max(term.start());
    draft.next.segments.push(policy::SegmentRow {
        term_id: id,
        starts_on: from,
        ends_on: term.end(),
        plan_version_id: paid.quote.plan_version_id,
        sum_insured: paid.quote.sum_insured,
    });
    for member in draft.next.members.iter_mut().filter(|row| row.ends_on == term.start()) {
        if paid.members.iter().any(|stays| stays.person_id == member.person_id) {
            member.ends_on = term.end();
        } else {
            member.end_reason = Some("AGED_OUT".to_owned());
        }
        draft.persons.push(member.person_id);
    }
    (draft.next.policy.quote_id, draft.next.quote) = (paid.quote.id, paid.quote.clone());
    draft.state(state);
    let premium = quote::premium(&paid.quote.premium)?;
    let agreed = Amount { net: premium.net, tax: premium.tax };
    draft.endorse(EndorsementKind::Renew, (from, None), agreed, Amount::default());
    Ok(id)
}

/// What is agreed by now; of a policy whose lapse was written down, what was agreed before it.
async fn agreed(tx: &Tx, found: &quote::Found) -> Result<Option<String>, Error> {
    let Some(row) = &found.policy_state else { return Ok(None) };
    match found.quote.policy_id.or(found.quote.renews_policy_id) {
        Some(policy) if row.state == "LAPSED" => Ok(premium_before_lapse(tx, policy).await?),
        _ => Ok(row.premium.clone()),
    }
}

async fn premium_before_lapse(tx: &Tx, policy: PolicyId) -> Result<Option<String>, Error> {
    let known = life::before_lapse(tx, policy).await?;
    Ok(known.and_then(|known| known.terms.last().and_then(|term| term.premium.clone())))
}

/// The money came in time, and only its booking after the lapse: the lapse is taken back with what it wrote off, and no day
/// is left uncovered.
async fn reinstate(tx: &Tx, draft: &mut Draft, on: Date) -> Result<(), Error> {
    let premium = premium_before_lapse(tx, draft.next.policy.id).await?;
    if let Some(term) = draft.next.terms.last_mut() {
        term.premium = premium;
    }
    let (before, after) = (draft.books.agreement.clone(), books(&draft.next)?.agreement);
    let change = Amount { net: after.net() - before.net(), tax: after.tax - before.tax };
    let since = draft.next.policy.activated_at.map(Timestamp::from_micros);
    draft.state(cover::PolicyState::Active { since: since.ok_or(Error::NotFound)? });
    draft.terms("OPEN");
    let end = draft.books.term.end();
    for member in draft.next.members.iter_mut().filter(|row| row.end_reason.as_deref() == Some("LAPSED")) {
        (member.ends_on, member.end_reason) = (end, None);
    }
    draft.endorse(EndorsementKind::Reinstate, (on, None), change, Amount::default());
    Ok(())
}

/// The purchase of this quote, or the same payment through another node, was faster: look again.
fn met_another(error: DbError) -> Error {
    match error {
        DbError::Stale { statement: "quote" | "policy", .. } => Error::Stale,
        DbError::Duplicate { constraint } if constraint.contains("receipt") || same_version(&constraint) => {
            Error::Stale
        }
        other => other.into(),
    }
}
