//! DispenseItem: a fill at the counter. Everything that could forbid it is asked before stock is touched; the count, the
//! stock and the record change in one transaction.

use caremesh_kernel::{BranchId, Date, PrescriptionItemId, ProductId, ReservationId};
use caremesh_mesh::CallContext;
use prost::Message;

use super::fill::{Wish, fill_in};
use super::verify::checked;
use super::{Opened, Shown};
use crate::app::change::{Before, Done, Whose};
use crate::app::{App, Error, Once};
use crate::domain::prescription::{FillAsk, Item, Medicine, SubstitutionReason, may_replace};
use crate::domain::stock::{Ask, Refusal};
use crate::store::stock::{self, Place};
use crate::store::{fill, medicine, prescription};

/// Milliseconds that stock is put aside between reserving and handing out, both in one transaction.
const AT_ONCE_MS: i64 = 60_000;
/// Whose stock taken at the counter is.
const COUNTER: &str = "counter";

/// What is asked to be handed out.
#[derive(Clone, Debug)]
pub struct Input {
    /// Of which item.
    pub item: PrescriptionItemId,
    /// What.
    pub product: ProductId,
    /// How much, in which unit, and why it may be early.
    pub ask: FillAsk,
    /// Why another product than the prescribed one.
    pub substitution: Option<SubstitutionReason>,
    /// The patient has agreed to pay the difference.
    pub consent: bool,
}

/// What was handed out, and the prescription after it.
pub struct Dispensed {
    /// The record.
    pub record: fill::Row,
    /// What.
    pub product: ProductId,
    /// Whether it took another product's place.
    pub substituted: bool,
    /// The prescription.
    pub shown: Shown,
}

/// Hands out a fill at the counter, once per request_id.
///
/// # Errors
/// [`Error::NotRegistered`]; [`Error::Unlicensed`]; [`Error::NotFound`]; [`Error::Substitution`]; [`Error::Unsafe`];
/// [`Error::Fill`]; [`Error::State`]; [`Error::Shortage`]; [`Error::Stock`].
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Dispensed, T>,
    input: Input,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let (pharmacist, branch) = app.pharmacist(context).await?;
    let row = prescription::find_by_item(&app.db.read(context), input.item).await?.ok_or(Error::NotFound)?;
    let (key, patient) = (app.keys.key(context, row.patient).await?, row.patient);
    let opened = app.opened(context, row).await?;
    let today = branch.today(app.clock.now());
    let before = Before::new(app.may_hand_out(context, &opened, &input, branch.id, today).await);
    let wish = Wish {
        item: input.item,
        patient,
        ask: input.ask.clone(),
        branch: branch.id,
        product: input.product,
        substitution: input.substitution,
        pharmacist: pharmacist.registration.pharmacist,
        holder: COUNTER.to_owned(),
    };
    let at = Place { branch: branch.id, product: input.product };
    let again = app.clone();
    let answered = app.once(context, once, Whose::Shown(patient), move |tx| {
        let (app, key, mut wish, before) = (again.clone(), key.clone(), wish.clone(), before.clone());
        Box::pin(async move {
            let substituted = before.get()?;
            wish.substitution = wish.substitution.filter(|_| substituted);
            let ask = Ask {
                id: ReservationId::from_uuid(tx.uuid()),
                holder: COUNTER.to_owned(),
                quantity: wish.ask.quantity,
                unit: wish.ask.unit.clone(),
                expires: tx.now().plus_ms(AT_ONCE_MS),
            };
            stock::reserve(tx, at, &ask, today).await?;
            let lots = stock::consume(tx, ask.id, ask.quantity, today).await?;
            let filled = fill_in(tx, &key, &wish, lots, today).await?;
            let (resource, version) = (filled.after.row.id.to_string(), filled.after.row.version);
            let shown = app.shown(&key, filled.after, tx.now())?;
            let product = wish.product;
            let outcome = Dispensed { record: filled.record, product, substituted, shown };
            Ok(Done { resource, version, outcome })
        })
    });
    match answered.await {
        Err(Error::Stock(Refusal::Shortage { .. })) => Err(Error::Shortage {
            next: app.next_with_stock(context, &branch, at, input.ask.quantity).await?,
        }),
        other => other,
    }
}

impl App {
    /// Whether the branch is licensed (INV-R10), the product may be handed out for the item (INV-R7), and nothing severe has
    /// come up since the verification (INV-R8): the patient may have begun something else. Says whether the product takes
    /// another's place.
    async fn may_hand_out(
        &self,
        context: &CallContext,
        opened: &Opened,
        input: &Input,
        branch: BranchId,
        today: Date,
    ) -> Result<bool, Error> {
        self.licensed_branch(context, branch).await?;
        let item = item_of(opened, input.item)?;
        let given = self.medicine(context, input.product).await?.ok_or(Error::NotFound)?;
        let brand = match item.prescribed.product {
            Some(product) => self.medicine(context, product).await?,
            None => None,
        };
        let (reason, consent) = (input.substitution, input.consent);
        let substituted = may_replace(&item.prescribed, brand.as_ref(), &given, reason, consent)?;
        let (patient, of, new) = (opened.row.patient, opened.row.id, vec![checked(item)]);
        self.assess(context, patient, new, &[of], today).await?.must_pass()?;
        Ok(substituted)
    }

    /// A product of the catalogue as a medicine.
    pub(crate) async fn medicine(
        &self,
        context: &CallContext,
        id: ProductId,
    ) -> Result<Option<Medicine>, Error> {
        Ok(medicine::find(&self.db.read(context), id).await?)
    }
}

fn item_of(opened: &Opened, id: PrescriptionItemId) -> Result<&Item, Error> {
    opened.items.iter().find(|(row, _)| row.id == id).map(|(_, item)| item).ok_or(Error::NotFound)
}
