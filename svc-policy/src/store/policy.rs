//! Policies with terms, segments, members and receipts, and the cover of one member on one day.

use std::sync::LazyLock;

use caremesh_db::{Batch, Expect, Kind};
use caremesh_kernel::{MemberId, PersonId, PolicyId};
use sea_orm::{ConnectionTrait, Value};
use serde::Serialize;

use super::columns::{member_object, policy_object, segment_object, term_object};
use super::life::{self, EndorsementRow, RecoveryRow, RefundRow};
use super::quote::{self, ReceiptRow};
use super::scope::{self, Scope};
use super::{Error, parse_id};
use caremesh_db::sql::Column::{Number, Text};
use caremesh_db::sql::{bytes_of, json, list, parse, statement, tagged};

mod rows;

pub(crate) use rows::{
    Found, MemberRow, Row, SegmentRow, TermRow, layers_of, layers_text, plans_of, plans_text,
};

/// Ids of the scope's policies after a cursor, newest first: at most `limit`, and of one person if one is named.
pub(crate) async fn list_ids<C: ConnectionTrait>(
    c: &C,
    scope: &Scope,
    person: Option<PersonId>,
    after: Option<(i64, PolicyId)>,
    limit: u32,
) -> Result<Vec<(i64, PolicyId)>, Error> {
    let sql = format!(
        "SELECT p.created_at, p.id FROM policy p WHERE {} AND ($5 = '' OR p.policyholder = $5 OR EXISTS \
         (SELECT 1 FROM member lm WHERE lm.policy_id = p.id AND lm.person_id = $5)) \
         AND (p.created_at < $6 OR (p.created_at = $6 AND p.id < $7)) ORDER BY p.created_at DESC, p.id DESC LIMIT $8",
        scope::policy(1)
    );
    let (at, id) = after.map_or((i64::MAX, String::new()), |(at, id)| (at, id.to_string()));
    let person = person.map(|id| id.to_string()).unwrap_or_default();
    let own: [Value; 4] = [person.into(), at.into(), id.into(), i64::from(limit).into()];
    let rows = c.query_all_raw(statement(c, &sql, [scope.values().as_slice(), &own].concat())).await?;
    rows.iter()
        .map(|row| Ok((row.try_get_by_index(0)?, parse_id(&row.try_get_by_index::<String>(1)?)?)))
        .collect()
}

/// The policies with these ids that the scope holds, each whole, in one statement.
pub(crate) async fn find_many<C: ConnectionTrait>(
    c: &C,
    kind: Kind,
    scope: &Scope,
    ids: &[PolicyId],
) -> Result<Vec<Found>, Error> {
    #[derive(Serialize)]
    struct IdRow {
        id: PolicyId,
    }
    let wanted: Vec<IdRow> = ids.iter().map(|id| IdRow { id: *id }).collect();
    let values = [[json(&wanted)].as_slice(), &scope.values()].concat();
    let mut rows = Rows::default();
    for (tag, body) in tagged(c, &find_sql(kind), values).await? {
        rows.add(&tag, &body)?;
    }
    ids.iter().filter_map(|id| rows.take(*id)).collect()
}

/// The policy when the scope holds it.
pub(crate) async fn find<C: ConnectionTrait>(
    c: &C,
    kind: Kind,
    scope: &Scope,
    id: PolicyId,
) -> Result<Option<Found>, Error> {
    Ok(find_many(c, kind, scope, &[id]).await?.pop())
}

#[derive(Default)]
struct Rows {
    policies: Vec<Row>,
    quotes: Vec<quote::Row>,
    terms: Vec<TermRow>,
    segments: Vec<SegmentRow>,
    members: Vec<MemberRow>,
    receipts: Vec<ReceiptRow>,
    endorsements: Vec<EndorsementRow>,
    refunds: Vec<RefundRow>,
    recoveries: Vec<RecoveryRow>,
}

impl Rows {
    fn add(&mut self, tag: &str, body: &str) -> Result<(), Error> {
        match tag {
            "policy" => self.policies.push(parse(body)?),
            "quote" => self.quotes.push(parse(body)?),
            "term" => self.terms.push(parse(body)?),
            "segment" => self.segments.push(parse(body)?),
            "member" => self.members.push(parse(body)?),
            "receipt" => self.receipts.push(parse(body)?),
            "endorsement" => self.endorsements.push(parse(body)?),
            "refund" => self.refunds.push(parse(body)?),
            "recovery" => self.recoveries.push(parse(body)?),
            _ => return Err(Error::Corrupt("an unknown arm of a statement")),
        }
        Ok(())
    }

    fn take(&mut self, id: PolicyId) -> Option<Result<Found, Error>> {
        let policy = self.policies.iter().find(|row| row.id == id)?.clone();
        let Some(quote) = self.quotes.iter().find(|row| row.id == policy.quote_id).cloned() else {
            return Some(Err(Error::Corrupt("a policy without its quote")));
        };
        let of_policy = |row: &&quote::Row| row.policy_id.or(row.renews_policy_id) == Some(id);
        let mut quotes: Vec<quote::Row> = self.quotes.iter().filter(of_policy).cloned().collect();
        quotes.sort_by_key(|row| row.id);
        quotes.dedup_by_key(|row| row.id);
        let mut terms: Vec<TermRow> = self.terms.iter().filter(|row| row.policy_id == id).cloned().collect();
        terms.sort_by_key(|row| row.number);
        let of_terms = |row: &&SegmentRow| terms.iter().any(|term| term.id == row.term_id);
        let mut segments: Vec<SegmentRow> = self.segments.iter().filter(of_terms).cloned().collect();
        segments.sort_by_key(|row| row.starts_on);
        let mut members: Vec<MemberRow> =
            self.members.iter().filter(|row| row.policy_id == id).cloned().collect();
        members.sort_by_key(|row| row.position);
        let mut receipts: Vec<ReceiptRow> =
            self.receipts.iter().filter(|row| quotes.iter().any(|q| q.id == row.quote_id)).cloned().collect();
        receipts.sort_by_key(|row| (row.received_at, row.number, row.id));
        receipts.dedup_by_key(|row| row.id);
        let mut endorsements: Vec<EndorsementRow> =
            self.endorsements.iter().filter(|row| row.policy_id == id).cloned().collect();
        endorsements.sort_by_key(|row| row.number);
        let mut refunds: Vec<RefundRow> =
            self.refunds.iter().filter(|row| row.policy_id == id).cloned().collect();
        refunds.sort_by_key(|row| (row.created_at, row.id));
        let mut recoveries: Vec<RecoveryRow> =
            self.recoveries.iter().filter(|row| row.policy_id == id).cloned().collect();
        recoveries.sort_by_key(|row| (row.created_at, row.id));
        Some(Ok(Found {
            policy,
            quote,
            quotes,
            terms,
            segments,
            members,
            receipts,
            endorsements,
            refunds,
            recoveries,
        }))
    }
}

/// The policy of a member, with that member alone and without what happened since, when the scope holds the member.
pub(crate) async fn find_by_member<C: ConnectionTrait>(
    c: &C,
    kind: Kind,
    scope: &Scope,
    member: MemberId,
) -> Result<Option<Found>, Error> {
    static SQLITE: LazyLock<String> = LazyLock::new(|| member_sql(Kind::Sqlite));
    static POSTGRES: LazyLock<String> = LazyLock::new(|| member_sql(Kind::Postgres));
    let sql: &str = if kind == Kind::Postgres { &POSTGRES } else { &SQLITE };
    let values = [[member.to_string().into()].as_slice(), &scope.values()].concat();
    let mut rows = Rows::default();
    for (tag, body) in tagged(c, sql, values).await? {
        rows.add(&tag, &body)?;
    }
    let id = rows.policies.first().map(|row| row.id);
    id.and_then(|id| rows.take(id)).transpose()
}

fn find_sql(kind: Kind) -> String {
    let wanted = list(kind, "$1", "r", &[Text("id")]);
    whole_arms(
        kind,
        &format!("SELECT p.* FROM {wanted} JOIN policy p ON p.id = r.id WHERE {}", scope::policy(2)),
    )
}

fn member_sql(kind: Kind) -> String {
    let seen = format!(
        "SELECT p.* FROM member m JOIN policy p ON p.id = m.policy_id WHERE m.id = $1 AND {}",
        scope::member(2)
    );
    let member = member_object(kind);
    format!(
        "{} UNION ALL SELECT 'member', {member} FROM member m JOIN seen p ON m.id = $1 UNION ALL \
         SELECT 'receipt', {receipt} FROM receipt e JOIN seen p ON p.quote_id = e.quote_id",
        terms(kind, &seen),
        receipt = quote::receipt_object(kind),
    )
}

/// What cover and standing need of the policies that `seen` selects.
fn arms(kind: Kind, seen: &str) -> String {
    format!(
        "{} UNION ALL SELECT 'member', {member} FROM member m JOIN seen p ON p.id = m.policy_id UNION ALL \
         SELECT 'receipt', {receipt} FROM receipt e JOIN seen p ON p.quote_id = e.quote_id",
        terms(kind, seen),
        member = member_object(kind),
        receipt = quote::receipt_object(kind),
    )
}

/// Policies with their quotes, terms and segments.
fn terms(kind: Kind, seen: &str) -> String {
    format!(
        "WITH seen AS ({seen}) \
         SELECT 'policy' AS tag, {policy} AS body FROM seen p UNION ALL \
         SELECT 'quote', {quote} FROM quote q JOIN seen p ON p.quote_id = q.id UNION ALL \
         SELECT 'term', {term} FROM policy_term t JOIN seen p ON p.id = t.policy_id UNION ALL \
         SELECT 'segment', {segment} FROM term_segment s JOIN policy_term t ON t.id = s.term_id \
         JOIN seen p ON p.id = t.policy_id",
        policy = policy_object(kind),
        quote = quote::quote_object(kind),
        term = term_object(kind),
        segment = segment_object(kind),
    )
}

/// The same with what happened to them since.
fn whole_arms(kind: Kind, seen: &str) -> String {
    format!(
        "{arms} UNION ALL \
         SELECT 'quote', {quote} FROM quote q JOIN seen p ON q.policy_id = p.id UNION ALL \
         SELECT 'quote', {quote} FROM quote q JOIN seen p ON q.renews_policy_id = p.id \
         AND q.renewed_term_id IS NOT NULL UNION ALL \
         SELECT 'receipt', {receipt} FROM receipt e JOIN quote q ON q.id = e.quote_id \
         JOIN seen p ON q.policy_id = p.id UNION ALL \
         SELECT 'receipt', {receipt} FROM receipt e JOIN quote q ON q.id = e.quote_id \
         JOIN seen p ON q.renews_policy_id = p.id UNION ALL \
         SELECT 'endorsement', {endorsement} FROM endorsement n JOIN seen p ON p.id = n.policy_id UNION ALL \
         SELECT 'refund', {refund} FROM refund f JOIN seen p ON p.id = f.policy_id UNION ALL \
         SELECT 'recovery', {recovery} FROM recovery y JOIN seen p ON p.id = y.policy_id",
        arms = arms(kind, seen),
        quote = quote::quote_object(kind),
        receipt = quote::receipt_object(kind),
        endorsement = life::endorsement_object(kind),
        refund = life::refund_object(kind),
        recovery = life::recovery_object(kind),
    )
}

/// A policy that was bought, with its first term, one segment and its members.
pub(crate) fn insert(kind: Kind, bought: &Found) -> Batch {
    let mut batch = Batch::new();
    batch.push("policy", INSERT_POLICY, policy_values(&bought.policy), Expect::Rows(1));
    bought.terms.iter().for_each(|term| life::save_term(&mut batch, term, false));
    bought.segments.iter().for_each(|segment| life::save_segment(&mut batch, segment));
    let members = &bought.members;
    batch.push("member", insert_members(kind), vec![json(members)], Expect::Rows(members.len() as u64));
    batch
}

const INSERT_POLICY: &str = "INSERT INTO policy (id, quote_id, plan_id, policyholder, state, zone, currency, lead_carrier, \
     activated_at, version, created_at, updated_at, acts_on, due_on) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12, $13)";

fn policy_values(policy: &Row) -> Vec<Value> {
    vec![
        policy.id.to_string().into(),
        policy.quote_id.to_string().into(),
        policy.plan_id.to_string().into(),
        policy.policyholder.to_string().into(),
        policy.state.clone().into(),
        policy.zone.clone().into(),
        policy.currency.code().into(),
        policy.lead_carrier.clone().into(),
        policy.activated_at.into(),
        policy.version.into(),
        policy.created_at.into(),
        policy.acts_on.map(|day| day.to_string()).into(),
        policy.due_on.map(|day| day.to_string()).into(),
    ]
}

pub(super) fn insert_members(kind: Kind) -> String {
    let columns = [
        Text("id"),
        Text("policy_id"),
        Number("position"),
        Text("person_id"),
        Text("relation"),
        Text("starts_on"),
        Text("ends_on"),
        Text("continuous_from"),
        Text("end_reason"),
        Number("waiting_waived"),
        Text("facts_sealed"),
    ];
    format!(
        "INSERT INTO member (id, policy_id, position, person_id, relation, starts_on, ends_on, continuous_from, \
         end_reason, waiting_waived, facts_sealed) SELECT id, policy_id, position, person_id, relation, starts_on, ends_on, \
         continuous_from, end_reason, waiting_waived, {} FROM {}",
        bytes_of(kind, "facts_sealed"),
        list(kind, "$1", "r", &columns)
    )
}
