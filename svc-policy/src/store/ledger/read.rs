//! Reading for a posting: accounts, layers, holds, captures, the member's cover and the queue, in one statement.

use caremesh_db::Kind;
use caremesh_kernel::{
    AccountId, Currency, Date, DateRange, HoldId, MemberId, PersonId, PlanVersionId, PolicyId, PostingId,
    Timestamp,
};
use sea_orm::{ConnectionTrait, Value};

use super::convert;
use super::read_sql::{Asked, CONFLICTS_BEFORE_TURN};
use super::rows::{AccountRow, CapturedRow, CoverRow, DrawRow, HoldLegRow, HoldRow, LayerRow, TurnRow};
use super::snapshot::DrawsAsked;
use super::texts;
use crate::domain::account::{Account, PriorDraw};
use crate::domain::engine::{CoverLayer, Ground};
use crate::domain::ledger::{Captured, Hold, Source, Term};
use crate::domain::plan::Relation;
use crate::store::Error;
use caremesh_db::sql::{ids, parse, statement};

/// What a posting needs to see.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// Accounts by id; those of the named holds come along.
    pub(crate) accounts: Vec<AccountId>,
    /// Holds that are captured or released.
    pub(crate) holds: Vec<HoldId>,
    /// Postings that are reversed.
    pub(crate) reversed: Vec<PostingId>,
    /// Accounts that are restored, if any: who drew on them decides whether they may be.
    pub(crate) restored: Option<DrawsAsked>,
    /// Whose event it is.
    pub(crate) member: MemberId,
    /// The day of the event.
    pub(crate) day: Date,
    /// Who posts.
    pub(crate) source: Source,
}

/// What a posting sees.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// Accounts that have a row.
    pub(crate) accounts: Vec<Account>,
    /// The named holds, and the expired ones of these accounts.
    pub(crate) holds: Vec<Hold>,
    /// What can be reversed.
    pub(crate) captured: Vec<Captured>,
    /// Who drew on the accounts that are restored.
    pub(crate) draws: Vec<PriorDraw>,
    /// The member's cover; none when no term lies on the day or there is no such member.
    pub(crate) cover: Option<Cover>,
    /// Who may post on the term now.
    pub(crate) turn: Turn,
}

/// A member's cover on the day of an event.
#[derive(Clone, Debug)]
pub(crate) struct Cover {
    /// The policy.
    pub(crate) policy: PolicyId,
    /// Version of the policy: it moves on when cover ends.
    pub(crate) version: i64,
    /// When the first unpaid premium is due.
    pub(crate) due: Option<Date>,
    /// The member's person.
    pub(crate) person: PersonId,
    /// Plan version of the segment.
    pub(crate) plan_version: PlanVersionId,
    /// The term as the ledger's rules see it.
    pub(crate) term: Term,
    /// What was bought.
    pub(crate) bought: Bought,
    /// How many accounts of the policy have been opened: who relies on an account that has no row relies on this.
    pub(crate) openings: i64,
}

/// What was bought for a member: by it accounts open.
#[derive(Clone, Debug)]
pub(crate) struct Bought {
    /// Days of the term.
    pub(crate) days: DateRange,
    /// Its currency.
    pub(crate) currency: Currency,
    /// Start of the policy's continuous cover.
    pub(crate) since: Date,
    /// The sum insured, layer by layer.
    pub(crate) layers: Vec<CoverLayer>,
    /// Which plan version holds from when in the term.
    pub(crate) plans: Vec<(DateRange, PlanVersionId)>,
    /// The member.
    pub(crate) member: MemberId,
    /// Relation to the policyholder.
    pub(crate) relation: Relation,
}

impl Cover {
    /// What the opening of accounts may ask.
    pub(crate) fn ground(&self) -> Ground<'_> {
        let bought = &self.bought;
        Ground {
            term: self.term.id,
            first_term: self.term.first,
            term_range: bought.days,
            currency: bought.currency,
            continuous_since: bought.since,
            layers: &bought.layers,
            member_layers: &bought.layers,
            member: bought.member,
            relation: bought.relation,
        }
    }
}

/// Who may post on a term that several contend for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    /// It is another source's turn: this posting must wait.
    pub(crate) of_another: bool,
    /// This source stands in the queue and leaves it with its posting.
    pub(crate) queued: bool,
}

/// Reads the view of a posting at an instant: one round trip.
pub(crate) async fn view<C: ConnectionTrait>(
    connection: &C,
    kind: Kind,
    query: &Query,
    now: Timestamp,
) -> Result<View, Error> {
    let asked = Asked { reversals: !query.reversed.is_empty(), restorations: query.restored.is_some() };
    let mut values: Vec<Value> = vec![
        ids(kind, &query.accounts),
        ids(kind, &query.holds),
        query.member.to_string().into(),
        query.day.to_string().into(),
        now.as_micros().into(),
        query.source.service.clone().into(),
        query.source.resource.clone().into(),
    ];
    values.extend(asked.reversals.then(|| ids(kind, &query.reversed)));
    values.extend(query.restored.iter().flat_map(|asked| asked.values(kind)));
    let rows = tagged(connection, texts::of(kind).posting_view(asked), values).await?;
    rows.into_view(query)
}

/// Reads accounts by id; those without a row are not in the answer.
pub(crate) async fn accounts<C: ConnectionTrait>(
    connection: &C,
    kind: Kind,
    wanted: &[AccountId],
) -> Result<Vec<Account>, Error> {
    let rows = tagged(connection, &texts::of(kind).accounts_view, vec![ids(kind, wanted)]).await?;
    convert::accounts(rows.accounts, rows.layers)
}

/// Takes the rows of the accounts, in the order of their ids, until the transaction ends. Used after a collision only.
pub(crate) async fn lock<C: ConnectionTrait>(
    connection: &C,
    kind: Kind,
    wanted: &[AccountId],
) -> Result<(), Error> {
    let sql = &texts::of(kind).lock_accounts;
    connection.query_all_raw(statement(connection, sql, vec![ids(kind, wanted)])).await?;
    Ok(())
}

/// Rows of several tables, by the tag of their arm.
#[derive(Default)]
pub(super) struct Tagged {
    pub(super) accounts: Vec<AccountRow>,
    pub(super) layers: Vec<LayerRow>,
    pub(super) holds: Vec<HoldRow>,
    pub(super) hold_legs: Vec<HoldLegRow>,
    captured: Vec<CapturedRow>,
    draws: Vec<DrawRow>,
    cover: Vec<CoverRow>,
    turns: Vec<TurnRow>,
}

pub(super) async fn tagged<C: ConnectionTrait>(
    connection: &C,
    sql: &str,
    values: Vec<Value>,
) -> Result<Tagged, Error> {
    let mut tagged = Tagged::default();
    for (tag, body) in caremesh_db::sql::tagged(connection, sql, values).await? {
        tagged.add(&tag, &body)?;
    }
    Ok(tagged)
}

impl Tagged {
    fn add(&mut self, tag: &str, body: &str) -> Result<(), Error> {
        match tag {
            "account" => self.accounts.push(parse(body)?),
            "layer" => self.layers.push(parse(body)?),
            "hold" => self.holds.push(parse(body)?),
            "hold_leg" => self.hold_legs.push(parse(body)?),
            "captured" => self.captured.push(parse(body)?),
            "draw" => self.draws.push(parse(body)?),
            "cover" => self.cover.push(parse(body)?),
            "turn" => self.turns.push(parse(body)?),
            _ => return Err(Error::Corrupt("an unknown arm of a statement")),
        }
        Ok(())
    }

    fn into_view(self, query: &Query) -> Result<View, Error> {
        let turn = self.turn();
        Ok(View {
            accounts: convert::accounts(self.accounts, self.layers)?,
            holds: convert::holds(self.holds, self.hold_legs)?,
            captured: self.captured.into_iter().map(convert::captured).collect(),
            draws: convert::draws(self.draws),
            cover: self.cover.first().map(|row| cover(row, query.member, query.day)).transpose()?,
            turn,
        })
    }

    fn turn(&self) -> Turn {
        let holder = self.turns.iter().find(|row| row.conflicts >= CONFLICTS_BEFORE_TURN);
        Turn {
            of_another: holder.is_some_and(|row| row.mine == 0),
            queued: self.turns.iter().any(|row| row.mine == 1),
        }
    }
}

fn cover(row: &CoverRow, member: MemberId, day: Date) -> Result<Cover, Error> {
    Ok(Cover {
        policy: row.policy_id,
        version: row.policy_version,
        due: row.policy_due,
        person: row.person_id,
        plan_version: row.plan_version_id,
        term: convert::term(row, day)?,
        bought: convert::bought(row, member)?,
        openings: row.openings,
    })
}
