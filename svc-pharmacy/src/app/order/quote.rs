//! QuoteOrder: list price, plan share, own share and why. Reads the catalogue, asks svc-policy, changes nothing.

use caremesh_kernel::{
    BranchId, Currency, EventId, MemberId, Money, OrderId, PersonId, PolicyId, ProductId, Zone,
    checked_half_up,
};
use caremesh_mesh::{CallContext, Touched};
use caremesh_proto::policy::v1::{Policy, PolicyState};

use crate::app::{App, Error};
use crate::clients::{About, Billed, CallError};
use crate::domain::order::{Priced, PricedLine, Shares, Why, units_in};
use crate::store::goods::{self, Goods};

/// One product that is asked for.
#[derive(Clone, Debug)]
pub struct Item {
    /// What.
    pub product: ProductId,
    /// Units.
    pub quantity: i64,
    /// UCUM code of the unit.
    pub unit: String,
    /// From which prescription; a price does not ask.
    pub named: Option<super::Named>,
    /// Why another product than the prescribed one.
    pub substitution: Option<crate::domain::prescription::SubstitutionReason>,
    /// The patient agrees to pay the difference.
    pub consent: bool,
}

/// A quoted line.
#[derive(Clone, Debug)]
pub struct QuotedLine {
    /// From 1.
    pub sequence: u32,
    /// What.
    pub product: ProductId,
    /// Whether it is sold without a prescription.
    pub over_the_counter: bool,
    /// Who bears it.
    pub shares: Shares,
    /// Why the plan does not pay all of it.
    pub why: Vec<Why>,
}

/// A price, with what a placing needs to post it.
#[derive(Clone, Debug)]
pub struct Quote {
    /// Of all amounts.
    pub currency: Currency,
    /// Per line.
    pub lines: Vec<QuotedLine>,
    /// The membership that covers the patient.
    pub cover: Option<(PolicyId, MemberId)>,
    /// What svc-policy said; empty without cover.
    pub priced: Priced,
}

impl Quote {
    /// Over all lines.
    #[must_use]
    pub fn total(&self) -> Shares {
        self.lines.iter().fold(Shares::default(), |sum, line| sum.plus(line.shares))
    }
}

/// Prices items for a patient at a branch.
///
/// # Errors
/// [`Error::NotFound`] for a patient or branch that the caller may not know; [`Error::NotSold`]; [`Error::Stock`] for a unit
/// that a pack does not speak of; [`Error::Call`] when svc-policy does not answer: a price is never guessed.
pub async fn run(
    app: &App,
    context: &CallContext,
    patient: PersonId,
    branch: BranchId,
    items: &[Item],
) -> Result<Quote, Error> {
    let zone = super::super::branch::get(app, context, branch).await?.zone;
    let cover = app.cover_of(context, patient).await?;
    context.touched(Touched::read(patient, patient));
    let event = EventId::from_uuid(app.ids.uuid());
    app.quoted(context, cover, zone, event, items).await
}

impl App {
    /// Under which policy a patient is covered, of those that the caller may see.
    pub(super) async fn cover_of(
        &self,
        context: &CallContext,
        patient: PersonId,
    ) -> Result<Option<(PolicyId, MemberId)>, Error> {
        let policies = match self.policy.policies_of(context, patient).await {
            Ok(policies) => policies,
            Err(CallError::Refused(_)) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        if policies.is_empty() {
            self.must_see_person(context, patient).await?;
        }
        let patient = patient.to_string();
        let cover = policies.iter().filter(in_force).find_map(|policy| {
            let member = policy.members.iter().find(|member| member.person_id == patient)?;
            Some((policy.policy_id.parse().ok()?, member.member_id.parse().ok()?))
        });
        Ok(cover)
    }

    /// Prices items: the list price from the catalogue, the plan share from svc-policy.
    pub(super) async fn quoted(
        &self,
        context: &CallContext,
        cover: Option<(PolicyId, MemberId)>,
        zone: Zone,
        event: EventId,
        items: &[Item],
    ) -> Result<Quote, Error> {
        let (currency, listed) = self.listed(context, items).await?;
        let date = zone.day_of(self.clock.now());
        let billed: Vec<Billed> = listed.iter().map(|(billed, _)| *billed).collect();
        let mut priced = Priced::default();
        let mut insured = None;
        if let Some((policy, member)) = cover {
            let order = OrderId::from_uuid(event.uuid());
            let about = About { order, event, member, date, episode: context.episode_id() };
            match self.policy.price_order(context, &about, &billed, None).await {
                Ok(found) => (priced, insured) = (found, Some((policy, member))),
                // No cover on this day, or a policy in another currency: the member pays, and is told so.
                Err(CallError::Refused(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let lines = listed.iter().map(|(billed, goods)| line(*billed, goods, &priced)).collect();
        Ok(Quote { currency, lines, cover: insured, priced })
    }

    async fn listed(
        &self,
        context: &CallContext,
        items: &[Item],
    ) -> Result<(Currency, Vec<(Billed, Goods)>), Error> {
        let ids: Vec<ProductId> = items.iter().map(|item| item.product).collect();
        let known = goods::find_many(&self.db.read(context), self.db.kind(), &ids).await?;
        let mut listed = Vec::with_capacity(items.len());
        for (place, item) in items.iter().enumerate() {
            let goods = known.iter().find(|goods| goods.id == item.product && !goods.discontinued);
            let goods = goods.ok_or(Error::NotSold(item.product))?;
            let list = list_price(goods, item)?;
            listed.push((Billed { sequence: sequence(place), list }, goods.clone()));
        }
        let currency = listed.first().map_or(Currency::NGN, |(billed, _)| billed.list.currency);
        match listed.iter().find(|(billed, _)| billed.list.currency != currency) {
            Some((_, goods)) => Err(Error::NotSold(goods.id)),
            None => Ok((currency, listed)),
        }
    }
}

/// In grace a policy still covers; whether the day is covered is svc-policy's to say when it prices.
fn in_force(policy: &&Policy) -> bool {
    matches!(policy.state(), PolicyState::Active | PolicyState::InGrace)
}

fn sequence(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX - 1) + 1
}

/// The price of a quantity: that of a pack, by units, rounded once.
fn list_price(goods: &Goods, item: &Item) -> Result<Money, Error> {
    let pack = goods.price.ok_or(Error::NotSold(goods.id))?;
    let units = units_in(&goods.pack, &item.unit).ok_or(crate::domain::stock::Refusal::Unit)?;
    let minor = checked_half_up(pack.minor, item.quantity, units).ok_or(Error::NotSold(goods.id))?;
    Ok(Money::new(pack.currency, minor))
}

fn line(billed: Billed, goods: &Goods, priced: &Priced) -> QuotedLine {
    let found = priced.lines.iter().find(|line| line.sequence == billed.sequence);
    let uninsured = || PricedLine {
        sequence: billed.sequence,
        shares: Shares { list: billed.list.minor, plan: 0, discount: 0 },
        why: vec![Why { rule: String::new(), reason: "NO_COVER".to_owned(), amount: billed.list.minor }],
    };
    let PricedLine { sequence, shares, why } = found.cloned().unwrap_or_else(uninsured);
    QuotedLine { sequence, product: goods.id, over_the_counter: goods.over_the_counter, shares, why }
}
