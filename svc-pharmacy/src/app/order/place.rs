//! PlaceOrder: priced, then written in one transaction with its stock and its process. Benefit and own share follow in the
//! process, because they are other systems' and no transaction may wait for them.

use caremesh_db::Tx;
use caremesh_db::process::NewProcess;
use caremesh_kernel::{BranchId, EventId, OrderId, PersonId, ProcessId, ProductId, ReservationId};
use caremesh_mesh::{Action, CallContext, Touched};
use caremesh_proto::pharmacy::v1::EventType;
use prost::Message;

use super::quote::{Item, Quote};
use super::{Shown, address_field, event, flow, source_field};
use crate::app::change::{Before, Done, Whose};
use crate::app::{App, Error, Once};
use crate::domain::order::{Benefit, Method, Order, OrderLine, OrderState, Script};
use crate::domain::stock::{Ask, Refusal};
use crate::store::branch::Row as Branch;
use crate::store::order::{self, Row};
use crate::store::stock::{self, Place};

/// How long stock, benefit and payment are set aside: two days.
const RESERVED_MS: i64 = 2 * 24 * 3_600 * 1_000;

/// What is ordered.
#[derive(Clone, Debug)]
pub struct Input {
    /// Who will take it.
    pub patient: PersonId,
    /// Where.
    pub branch: BranchId,
    /// What.
    pub items: Vec<Item>,
    /// The most that the member agreed to pay, minor units.
    pub agreed_member_minor: i64,
    /// How the own share is paid.
    pub method: Method,
    /// The provider's name of the card. Secret.
    pub source: String,
    /// Where a courier brings it, encoded.
    pub address: Option<Vec<u8>>,
}

/// Places an order, once per request_id.
///
/// # Errors
/// As [`super::quote()`], and: [`Error::Price`]; [`Error::Prescription`] for what is not sold over the counter; whatever
/// forbids a line on prescription; [`Error::Unsafe`]; [`Error::Unlicensed`]; [`Error::Shortage`].
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Shown, T>,
    input: Input,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let branch = app.licensed_branch(context, input.branch).await?;
    let cover = app.cover_of(context, input.patient).await?;
    let id = OrderId::from_uuid(app.ids.uuid());
    let event = EventId::from_uuid(id.uuid());
    let quote = app.quoted(context, cover, branch.zone.clone(), event, &input.items).await?;
    let scripts = app.scripts(context, input.patient, &input.items).await?;
    refuse(&quote, &scripts, &input)?;
    let mut row = app.new_order(context, id, &branch, &quote, &input).await?;
    for (line, script) in row.order.lines.iter_mut().zip(scripts) {
        line.script = script;
    }
    let before = Before::new(app.may_order(context, &row.order, &row.order.lines, &branch).await);
    app.touch_scripts(context, &row.order);
    let (from, wanted) = (branch.clone(), short_of(&row.order));
    let whose = Whose::Person(input.patient);
    let address = input.address.clone();
    let placed = app.once(context, once, whose, move |tx| {
        let (mut row, today, address) = (row.clone(), branch.today(tx.now()), address.clone());
        let before = before.clone();
        Box::pin(async move {
            row.order.lines = before.get()?;
            reserve(tx, &row.order, today).await?;
            write(tx, &row)?;
            let shown = Shown { order: row.order, address, proofs: Vec::new(), version: 1 };
            Ok(Done { resource: shown.order.id.to_string(), version: 1, outcome: shown })
        })
    });
    match placed.await {
        Err(Error::Stock(Refusal::Shortage { .. })) => Err(app.shortage(context, &from, &wanted).await?),
        other => other,
    }
}

fn refuse(quote: &Quote, scripts: &[Option<Script>], input: &Input) -> Result<(), Error> {
    let mut lines = quote.lines.iter().zip(scripts);
    if let Some((line, _)) = lines.find(|(line, script)| !line.over_the_counter && script.is_none()) {
        return Err(Error::Prescription { sequence: line.sequence });
    }
    let member = quote.total().member();
    if member > input.agreed_member_minor {
        return Err(Error::Price { member });
    }
    Ok(())
}

/// Every product with how much of it is wanted, in the order of shelves: two who want the same never wait in a circle.
fn short_of(order: &Order) -> Vec<(ProductId, i64)> {
    let mut wanted: Vec<_> = order.lines.iter().map(|line| (line.product, line.quantity)).collect();
    wanted.sort_unstable();
    wanted
}

async fn reserve(tx: &Tx, order: &Order, today: caremesh_kernel::Date) -> Result<(), Error> {
    let mut lines: Vec<&OrderLine> = order.lines.iter().collect();
    lines.sort_unstable_by_key(|line| line.product);
    for line in lines {
        let ask = Ask {
            id: line.reservation,
            holder: order.id.to_string(),
            quantity: line.quantity,
            unit: line.unit.clone(),
            expires: order.reserved_until,
        };
        stock::reserve(tx, Place { branch: order.branch, product: line.product }, &ask, today).await?;
    }
    Ok(())
}

fn write(tx: &Tx, row: &Row) -> Result<(), Error> {
    order::insert(tx, row)?;
    tx.start_process(&NewProcess {
        id: ProcessId::from_uuid(row.order.id.uuid()),
        kind: flow::RESERVE,
        first_time: tx.now(),
        data: flow::data(row.order.id, None),
    });
    tx.emit([event(EventType::OrderPlaced, row.order.id, 1)]);
    tx.context().touched(Touched::new(row.order.patient, row.order.id, Action::Created));
    Ok(())
}

impl App {
    async fn new_order(
        &self,
        context: &CallContext,
        id: OrderId,
        branch: &Branch,
        quote: &Quote,
        input: &Input,
    ) -> Result<Row, Error> {
        let key = self.keys.key(context, input.patient).await?;
        let name = id.to_string();
        let address =
            input.address.as_ref().map(|plain| key.seal(address_field(&name), plain)).transpose()?;
        let source = key.seal(source_field(&name), input.source.as_bytes())?;
        let now = self.clock.now();
        let order = Order {
            id,
            patient: input.patient,
            placed_by: context.principal().person_id(),
            member: quote.cover.map(|(_, member)| member),
            policy: quote.cover.map(|(policy, _)| policy),
            branch: branch.id,
            state: OrderState::Reserving,
            currency: quote.currency,
            event: EventId::from_uuid(id.uuid()),
            event_date: branch.today(now),
            episode: context.episode_id(),
            lines: self.lines(quote, &input.items),
            parcels: Vec::new(),
            records: Vec::new(),
            benefit: Benefit { priced: quote.priced.clone(), hold: None, captures: Vec::new(), tried: None },
            agreed_member_minor: input.agreed_member_minor,
            method: input.method,
            payment: None,
            reserved_until: now.plus_ms(RESERVED_MS),
            reason: None,
            closing: false,
            revision: 0,
            created: now,
            updated: now,
        };
        Ok(Row { order, address_sealed: address, source_sealed: Some(source), version: 1 })
    }

    fn lines(&self, quote: &Quote, items: &[Item]) -> Vec<OrderLine> {
        let line = |(quoted, item): (&super::QuotedLine, &Item)| OrderLine {
            sequence: quoted.sequence,
            product: item.product,
            quantity: item.quantity,
            unit: item.unit.clone(),
            over_the_counter: quoted.over_the_counter,
            script: None,
            reservation: ReservationId::from_uuid(self.ids.uuid()),
            whole: quoted.shares,
            shares: quoted.shares,
            packed: 0,
            dispensed: 0,
            returned: 0,
        };
        quote.lines.iter().zip(items).map(line).collect()
    }

    /// What a refusal for lack of stock says: the nearest other branch that has the product that is short.
    async fn shortage(
        &self,
        context: &CallContext,
        from: &Branch,
        wanted: &[(ProductId, i64)],
    ) -> Result<Error, Error> {
        for (product, quantity) in wanted {
            let at = Place { branch: from.id, product: *product };
            let here = crate::app::stock::find_able(self, context, *product, *quantity).await?;
            if here.iter().all(|branch| branch.id != from.id) {
                return Ok(Error::Shortage {
                    next: self.next_with_stock(context, from, at, *quantity).await?,
                });
            }
        }
        Ok(Error::Shortage { next: None })
    }
}
