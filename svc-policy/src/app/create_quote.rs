//! CreateQuote: a premium for a family, kept as an offer; with `validate_only` computed and not kept.

use std::sync::Arc;

use caremesh_db::Replay;
use caremesh_kernel::{Currency, Date, Money, PersonId, PlanVersionId, QuoteId, Timestamp};
use caremesh_mesh::{Action, CallContext, Touched};
use prost::Message;

use super::quote::row_name;
use super::{App, Error, Offer, Once};
use crate::domain::eligibility::FamilyBreach;
use crate::domain::life::{NotCredited, Ported, PriorCover};
use crate::domain::plan::{Jurisdiction, PlanVersion};
use crate::domain::policy::{self as cover, Instalment, MemberPremium, Premium, Quote, QuoteMember};
use crate::domain::premium::{self, PremiumError, Proposal};
use crate::store::{Scope, quote};

/// What is asked for.
#[derive(Clone)]
pub struct Input {
    /// The plan version.
    pub plan_version: PlanVersionId,
    /// The sum insured.
    pub sum_insured: Money,
    /// Who would hold the policy.
    pub policyholder: PersonId,
    /// Who would be covered.
    pub members: Vec<QuoteMember>,
    /// First day of cover.
    pub start: Date,
    /// How many instalments.
    pub instalments: u32,
    /// Cover with another insurer that it goes on from.
    pub prior: Option<(PriorCover, Currency)>,
}

/// How far ahead cover can be bought, in days.
const AHEAD_DAYS: i64 = 90;

/// Computes and checks only.
///
/// # Errors
/// [`Error::Offer`], [`Error::OtherCurrency`], [`Error::Field`], and [`Error::NotFound`] for a plan version or a person that
/// the caller may not know.
pub async fn validate(app: &App, context: &CallContext, input: &Input) -> Result<Quote, Error> {
    let scope = app.scope(context).await?;
    offer(app, context, &scope, input, QuoteId::from_uuid(app.ids.uuid())).await
}

/// Makes an offer, once per request_id.
///
/// # Errors
/// As [`validate`].
pub async fn run<R, T>(
    app: &App,
    context: &CallContext,
    once: Once<R, Quote, T>,
    input: &Input,
) -> Result<T, Error>
where
    R: Message + 'static,
    T: Message + Default + 'static,
{
    let scope = app.scope(context).await?;
    let quote = offer(app, context, &scope, input, QuoteId::from_uuid(app.ids.uuid())).await?;
    let rows = rows(app, context, &quote).await?;
    let change = Arc::new((once, quote, rows));
    let of_work = Arc::clone(&change);
    let (again, seen) = (app.clone(), scope.clone());
    let answered = app.db.idempotent(
        context,
        &change.0.request_id,
        &change.0.request,
        move |tx| {
            let change = Arc::clone(&of_work);
            Box::pin(async move {
                let (once, quote, (row, members)) = &*change;
                tx.context().touched(Touched::new(quote.policyholder, quote.id, Action::Created));
                let answered = once.answered(quote.id, 1, quote);
                tx.answer(&answered)?;
                tx.apply(quote::insert(tx.kind(), row, quote.premium.total, members)).await?;
                Ok(answered)
            })
        },
        move |context, replay| Box::pin(async move { replayed(&again, context, seen, replay).await }),
    );
    answered.await
}

async fn offer(
    app: &App,
    context: &CallContext,
    scope: &Scope,
    input: &Input,
    id: QuoteId,
) -> Result<Quote, Error> {
    let (plan, jurisdiction) = app.plan_and_law(input.plan_version)?;
    let now = app.clock.now();
    check_request(plan, jurisdiction, input, now)?;
    let members = app.proposed(context, scope, input.policyholder, &input.members).await?;
    let proposal = Proposal {
        members,
        sum_insured_minor: input.sum_insured.minor,
        start: input.start,
        instalments: input.instalments,
    };
    let premium = premium::quote(plan, jurisdiction, &proposal).map_err(refused)?;
    let births: Vec<Date> = proposal.members.iter().map(|member| member.birth).collect();
    let review = cover::needs_review(plan, &input.members, &births, input.start);
    Ok(Quote {
        id,
        plan_version: input.plan_version,
        policyholder: input.policyholder,
        members: input.members.clone(),
        sum_insured: input.sum_insured,
        review: review.then(|| "NEEDED".to_owned()),
        prior: ported(jurisdiction, input)?,
        start: input.start,
        premium: kept(&premium, &input.members),
        expires: cover::expiry(now, input.start, &jurisdiction.zone),
        created: now,
        policy: None,
        version: 1,
    })
}

fn check_request(plan: &PlanVersion, law: &Jurisdiction, input: &Input, now: Timestamp) -> Result<(), Error> {
    if input.sum_insured.currency != plan.currency {
        return Err(Error::OtherCurrency);
    }
    let today = law.zone.day_of(now);
    if input.start < today || input.start > today.plus_days(AHEAD_DAYS) {
        return Err(Error::Offer(Offer::StartDate));
    }
    Ok(())
}

/// Prior cover with what it counts for: within the break that the law allows, of persons who are to be covered.
fn ported(law: &Jurisdiction, input: &Input) -> Result<Option<Ported>, Error> {
    let Some((cover, currency)) = input.prior.clone() else { return Ok(None) };
    if currency != input.sum_insured.currency {
        return Err(Error::OtherCurrency);
    }
    if cover.sum_minor <= 0 {
        return Err(Error::Field { field: "prior_cover.sum_insured".to_owned(), rule: "money.positive" });
    }
    let covered = |person: &PersonId| input.members.iter().any(|member| member.person == *person);
    if !cover.persons.iter().all(covered) {
        return Err(Error::Field { field: "prior_cover.person_ids".to_owned(), rule: "prior_cover.members" });
    }
    match cover.credited_from(law, input.start) {
        Ok(credited_from) => Ok(Some(Ported { cover, credited_from })),
        Err(NotCredited::Break { .. }) => Err(Error::Offer(Offer::PriorCover)),
        Err(NotCredited::Days) => {
            Err(Error::Field { field: "prior_cover.period".to_owned(), rule: "prior_cover.before_start" })
        }
    }
}

pub(super) fn refused(error: PremiumError) -> Error {
    match error {
        PremiumError::NotOnSale(_) => Error::Offer(Offer::NotOnSale),
        PremiumError::SumInsuredNotOffered => Error::Offer(Offer::SumInsured),
        PremiumError::InstalmentsNotOffered(_) => {
            Error::Field { field: "instalment_count".to_owned(), rule: "plan.instalments" }
        }
        PremiumError::FamilyNotAllowed(breaches) => Error::Offer(family(breaches.first())),
        PremiumError::NoRate { member } => {
            Error::Offer(Offer::Family { member: Some(member), rule: "FAMILY_WITHOUT_RATE" })
        }
        PremiumError::Overflow => Error::Store(crate::store::Error::Corrupt("a premium beyond 64 bits")),
    }
}

fn family(breach: Option<&FamilyBreach>) -> Offer {
    let member = match breach {
        Some(
            FamilyBreach::RelationNotInsured { member }
            | FamilyBreach::TooYoung { member }
            | FamilyBreach::TooOld { member },
        ) => Some(*member),
        _ => None,
    };
    Offer::Family { member, rule: breach.map_or("FAMILY_SIZE", FamilyBreach::rule) }
}

/// The premium as it is kept with the offer, each part with the person it is for.
pub(super) fn kept(premium: &premium::Premium, members: &[QuoteMember]) -> Premium {
    let part = |(who, part): (&QuoteMember, &premium::MemberPremium)| MemberPremium {
        person: who.person,
        gross: part.gross_minor,
        net: part.net_minor,
        days: None,
    };
    let instalment = |due: &premium::Instalment| Instalment {
        number: due.number,
        due: due.due,
        amount: due.amount_minor(),
        tax: due.tax_minor,
    };
    Premium {
        members: members.iter().zip(&premium.members).map(part).collect(),
        gross: premium.gross_minor,
        discount: premium.discount_minor,
        net: premium.net_minor,
        tax: premium.tax_minor,
        total: premium.total_minor,
        retained: 0,
        instalments: premium.instalments.iter().map(instalment).collect(),
    }
}

pub(super) async fn rows(
    app: &App,
    context: &CallContext,
    quote: &Quote,
) -> Result<(quote::Row, Vec<quote::MemberRow>), Error> {
    let mut members = Vec::with_capacity(quote.members.len());
    for (position, member) in (0_i64..).zip(&quote.members) {
        let declared_sealed = app.seal_declared(context, &row_name(quote.id, position), member).await?;
        let (person_id, relation) = (member.person, member.relation);
        members.push(quote::MemberRow { quote_id: quote.id, position, person_id, relation, declared_sealed });
    }
    let row = quote::Row {
        id: quote.id,
        plan_version_id: quote.plan_version,
        policyholder: quote.policyholder,
        currency: quote.sum_insured.currency,
        sum_insured: quote.sum_insured.minor,
        starts_on: quote.start,
        premium: quote::premium_text(&quote.premium)?,
        policy_id: None,
        prior: quote.prior.as_ref().map(prior_text).transpose()?,
        review: quote.review.clone(),
        renews_policy_id: None,
        renewed_term_id: None,
        version: 1,
        expires_at: quote.expires.as_micros(),
        created_at: quote.created.as_micros(),
    };
    Ok((row, members))
}

fn prior_text(prior: &Ported) -> Result<String, Error> {
    serde_json::to_string(prior).map_err(|_| crate::store::Error::Corrupt("quote.prior").into())
}

async fn replayed(app: &App, context: &CallContext, scope: Scope, replay: Replay) -> Result<(), Error> {
    let id: QuoteId = replay.resource.parse().map_err(|_| Error::NotFound)?;
    let (quote, _) = app.get_quote(context, &scope, id).await?;
    context.touched(Touched::read(quote.policyholder, id));
    Ok(())
}
