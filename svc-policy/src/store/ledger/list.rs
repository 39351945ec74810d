//! The ledger for readers: accounts of a term page by page, postings of a policy newest first, each whole.

use std::collections::HashMap;

use caremesh_db::Kind;
use caremesh_kernel::{AccountId, EventId, HoldId, MemberId, PolicyId, PostingId, TermId, Timestamp};
use sea_orm::ConnectionTrait;

use super::convert;
use super::read_sql::row_of;
use super::rows::{
    ACCOUNT, AccountRow, HOLD, HoldRow, ID, IdRow, LAYER, LEG, LINE, LayerRow, LegRow, LineRow, POSTING,
    PostingRow,
};
use crate::domain::account::Account;
use crate::domain::ledger::{Entry, LineKey, Source};
use crate::store::{Error, parse_id};
use caremesh_db::sql::{json, list, parse, statement, tagged};

/// Ids of the accounts of a term after an id, in their order; with a member, those of the member and of the family.
pub(crate) async fn account_ids<C: ConnectionTrait>(
    c: &C,
    term: TermId,
    member: Option<MemberId>,
    after: Option<AccountId>,
    limit: u32,
) -> Result<Vec<AccountId>, Error> {
    let sql = "SELECT a.id FROM account a WHERE a.term_id = $1 AND a.id > $2 AND ($3 = '' OR a.scope_kind NOT IN \
         ('MEMBER', 'ILLNESS') OR a.scope_id = $3 OR a.scope_id LIKE $4) ORDER BY a.id LIMIT $5";
    let member = member.map(|id| id.to_string()).unwrap_or_default();
    // An id's underscore stands for any character to LIKE; 26 further characters make the prefix exact all the same.
    let illness = format!("{member}:%");
    let values = vec![
        term.to_string().into(),
        after.map(|id| id.to_string()).unwrap_or_default().into(),
        member.into(),
        illness.into(),
        i64::from(limit).into(),
    ];
    let rows = c.query_all_raw(statement(c, sql, values)).await?;
    rows.iter().map(|row| parse_id(&row.try_get_by_index::<String>(0)?)).collect()
}

/// A posting as it was written.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) id: PostingId,
    pub(crate) term: TermId,
    pub(crate) source: Source,
    pub(crate) revision: u32,
    pub(crate) event: crate::domain::ledger::Event,
    pub(crate) episode: Option<String>,
    pub(crate) at: Timestamp,
    pub(crate) entries: Vec<Entry>,
    pub(crate) lines: Vec<LineKey>,
}

/// Postings with the accounts and holds that they name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    pub(crate) postings: Vec<Written>,
    pub(crate) accounts: Vec<Account>,
    pub(crate) expiries: HashMap<HoldId, Timestamp>,
}

/// Which postings are listed.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub(crate) policy: PolicyId,
    pub(crate) term: Option<TermId>,
    pub(crate) event: Option<EventId>,
    pub(crate) after: Option<(i64, PostingId)>,
    pub(crate) limit: u32,
}

/// A page of postings, newest first, in two statements: their ids, then everything of them.
pub(crate) async fn postings<C: ConnectionTrait>(c: &C, kind: Kind, filter: &Filter) -> Result<Page, Error> {
    let ids = posting_ids(c, filter).await?;
    if ids.is_empty() {
        return Ok(Page::default());
    }
    let wanted: Vec<IdRow<PostingId>> = ids.iter().map(|id| IdRow { id: *id }).collect();
    let mut rows = Rows::default();
    for (tag, body) in tagged(c, &page_sql(kind), vec![json(&wanted)]).await? {
        rows.add(&tag, &body)?;
    }
    rows.into_page(&ids)
}

async fn posting_ids<C: ConnectionTrait>(c: &C, filter: &Filter) -> Result<Vec<PostingId>, Error> {
    let sql = "SELECT o.id FROM posting o JOIN policy_term t ON t.id = o.term_id WHERE t.policy_id = $1 \
         AND ($2 = '' OR o.term_id = $2) AND ($3 = '' OR o.event_id = $3) \
         AND (o.posted_at < $4 OR (o.posted_at = $4 AND o.id < $5)) ORDER BY o.posted_at DESC, o.id DESC LIMIT $6";
    let (at, id) = filter.after.map_or((i64::MAX, String::new()), |(at, id)| (at, id.to_string()));
    let values = vec![
        filter.policy.to_string().into(),
        filter.term.map(|id| id.to_string()).unwrap_or_default().into(),
        filter.event.map(|id| id.to_string()).unwrap_or_default().into(),
        at.into(),
        id.into(),
        i64::from(filter.limit).into(),
    ];
    let rows = c.query_all_raw(statement(c, sql, values)).await?;
    rows.iter().map(|row| parse_id(&row.try_get_by_index::<String>(0)?)).collect()
}

fn page_sql(kind: Kind) -> String {
    format!(
        "WITH page AS (SELECT r.id FROM {ids}), moved AS \
         (SELECT DISTINCT k.account_id AS id FROM posting_leg k WHERE k.posting_id IN (SELECT id FROM page)) \
         SELECT 'posting' AS tag, {posting} AS body FROM posting o WHERE o.id IN (SELECT id FROM page) UNION ALL \
         SELECT 'leg', {leg} FROM posting_leg k WHERE k.posting_id IN (SELECT id FROM page) UNION ALL \
         SELECT 'line', {line} FROM posting_line n WHERE n.posting_id IN (SELECT id FROM page) UNION ALL \
         SELECT 'hold', {hold} FROM hold h WHERE h.posting_id IN (SELECT id FROM page) UNION ALL \
         SELECT 'account', {account} FROM account a WHERE a.id IN (SELECT id FROM moved) UNION ALL \
         SELECT 'layer', {layer} FROM layer l WHERE l.account_id IN (SELECT id FROM moved)",
        ids = list(kind, "$1", "r", ID),
        posting = row_of(kind, "o", POSTING),
        leg = row_of(kind, "k", LEG),
        line = row_of(kind, "n", LINE),
        hold = row_of(kind, "h", HOLD),
        account = row_of(kind, "a", ACCOUNT),
        layer = row_of(kind, "l", LAYER),
    )
}

#[derive(Default)]
struct Rows {
    postings: Vec<PostingRow>,
    legs: Vec<LegRow>,
    lines: Vec<LineRow>,
    holds: Vec<HoldRow>,
    accounts: Vec<AccountRow>,
    layers: Vec<LayerRow>,
}

impl Rows {
    fn add(&mut self, tag: &str, body: &str) -> Result<(), Error> {
        match tag {
            "posting" => self.postings.push(parse(body)?),
            "leg" => self.legs.push(parse(body)?),
            "line" => self.lines.push(parse(body)?),
            "hold" => self.holds.push(parse(body)?),
            "account" => self.accounts.push(parse(body)?),
            "layer" => self.layers.push(parse(body)?),
            _ => return Err(Error::Corrupt("an unknown arm of a statement")),
        }
        Ok(())
    }

    fn into_page(mut self, ids: &[PostingId]) -> Result<Page, Error> {
        self.legs.sort_by_key(|leg| leg.number);
        let mut postings = Vec::with_capacity(ids.len());
        for id in ids {
            let row = self.postings.iter().find(|row| row.id == *id).cloned();
            postings.push(self.written(row.ok_or(Error::Corrupt("a posting vanished"))?)?);
        }
        let expiry = |hold: &HoldRow| (hold.id, Timestamp::from_micros(hold.expires_at));
        let expiries = self.holds.iter().map(expiry).collect();
        Ok(Page { postings, accounts: convert::accounts(self.accounts, self.layers)?, expiries })
    }

    fn written(&self, row: PostingRow) -> Result<Written, Error> {
        let legs = self.legs.iter().filter(|leg| leg.posting_id == row.id).cloned();
        let lines = self.lines.iter().filter(|line| line.posting_id == row.id);
        Ok(Written {
            id: row.id,
            term: row.term_id,
            source: Source { service: row.service, resource: row.source },
            revision: row.revision,
            event: crate::domain::ledger::Event {
                id: row.event_id,
                date: row.event_date,
                member: row.member_id,
                cause: row.cause_id,
            },
            episode: row.episode_id,
            at: Timestamp::from_micros(row.posted_at),
            entries: legs.map(convert::entry).collect::<Result<_, _>>()?,
            lines: lines.map(line_key).collect::<Result<_, _>>()?,
        })
    }
}

fn line_key(row: &LineRow) -> Result<LineKey, Error> {
    let kind = convert::line_kind(&row.kind)?;
    Ok(LineKey { movement: row.movement, line: row.line, revision: row.revision, kind, part: row.part })
}
