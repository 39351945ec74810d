//! What changes in the life of a policy: endorsements, refunds, and every version of a policy as it was known. Nothing here
//! is ever changed or removed; the rows of the policy itself say how it stands now.

use caremesh_db::{Batch, Expect, Kind};
use caremesh_kernel::{
    AccountId, Date, EndorsementId, MemberId, PolicyId, RecoveryId, RefundId, TermId, Timestamp,
};
use sea_orm::{ConnectionTrait, QueryResult, Value};
use serde::{Deserialize, Serialize};

use super::ledger::Due;
use super::policy::{Found, MemberRow, Row, SegmentRow, TermRow, insert_members};
use super::{Error, parse_id};
use crate::domain::account::Measure;
use caremesh_db::sql::{Column, json, list, object, parse, statement};

/// A row of `endorsement`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EndorsementRow {
    pub(crate) id: EndorsementId,
    pub(crate) policy_id: PolicyId,
    pub(crate) number: i64,
    pub(crate) kind: String,
    pub(crate) effective_on: Date,
    pub(crate) member_id: Option<MemberId>,
    pub(crate) net: i64,
    pub(crate) tax: i64,
    pub(crate) made_at: i64,
}

/// A row of `refund`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RefundRow {
    pub(crate) id: RefundId,
    pub(crate) policy_id: PolicyId,
    pub(crate) endorsement_id: EndorsementId,
    /// The term whose premium it is of; the first where none is named.
    #[serde(default)]
    pub(crate) term_id: Option<TermId>,
    pub(crate) net: i64,
    pub(crate) tax: i64,
    pub(crate) created_at: i64,
}

/// A row of `recovery`: benefit that was used beyond a limit lowered later.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RecoveryRow {
    pub(crate) id: RecoveryId,
    pub(crate) policy_id: PolicyId,
    pub(crate) endorsement_id: EndorsementId,
    pub(crate) term_id: TermId,
    pub(crate) account_id: AccountId,
    pub(crate) measure: Measure,
    /// In the account's measure.
    pub(crate) amount: i64,
    pub(crate) created_at: i64,
}

/// A policy as it was known from an instant on.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Known {
    pub(crate) policy: Row,
    pub(crate) terms: Vec<TermRow>,
    pub(crate) segments: Vec<SegmentRow>,
    pub(crate) members: Vec<MemberRow>,
}

#[derive(Serialize)]
struct KnownRef<'a> {
    policy: &'a Row,
    terms: &'a [TermRow],
    segments: &'a [SegmentRow],
    members: &'a [MemberRow],
}

pub(super) fn endorsement_object(kind: Kind) -> String {
    let columns = [
        ("id", "n.id"),
        ("policy_id", "n.policy_id"),
        ("number", "n.number"),
        ("kind", "n.kind"),
        ("effective_on", "n.effective_on"),
        ("member_id", "n.member_id"),
        ("net", "n.net"),
        ("tax", "n.tax"),
        ("made_at", "n.made_at"),
    ];
    object(kind, &columns)
}

pub(super) fn refund_object(kind: Kind) -> String {
    let columns = [
        ("id", "f.id"),
        ("policy_id", "f.policy_id"),
        ("endorsement_id", "f.endorsement_id"),
        ("term_id", "f.term_id"),
        ("net", "f.net"),
        ("tax", "f.tax"),
        ("created_at", "f.created_at"),
    ];
    object(kind, &columns)
}

pub(super) fn recovery_object(kind: Kind) -> String {
    let names =
        ["id", "policy_id", "endorsement_id", "term_id", "account_id", "measure", "amount", "created_at"];
    let columns = names.map(|name| (name, format!("y.{name}")));
    let columns: Vec<(&str, &str)> = columns.iter().map(|(name, column)| (*name, column.as_str())).collect();
    object(kind, &columns)
}

/// The policy as `after` has it, when it is still at the version of `before`; what is new is inserted, what differs is
/// changed, and the new version is remembered as known from its instant on.
pub(crate) fn save(kind: Kind, before: &Found, after: &Found) -> Result<Batch, Error> {
    let mut batch = Batch::new();
    policy(&mut batch, before.policy.version, &after.policy);
    for term in after.terms.iter().filter(|term| !before.terms.contains(term)) {
        save_term(&mut batch, term, before.terms.iter().any(|old| old.id == term.id));
    }
    for segment in after.segments.iter().filter(|segment| !before.segments.contains(segment)) {
        save_segment(&mut batch, segment);
    }
    let known = |member: &&MemberRow| before.members.iter().any(|old| old.id == member.id);
    let new: Vec<MemberRow> = after.members.iter().filter(|member| !known(member)).cloned().collect();
    if !new.is_empty() {
        batch.push("member", insert_members(kind), vec![json(&new)], Expect::Rows(new.len() as u64));
    }
    for member in after.members.iter().filter(known).filter(|member| !before.members.contains(member)) {
        change_member(&mut batch, member);
    }
    after
        .endorsements
        .iter()
        .skip(before.endorsements.len())
        .for_each(|row| add_endorsement(&mut batch, row));
    after.refunds.iter().skip(before.refunds.len()).for_each(|row| add_refund(&mut batch, row));
    after.recoveries.iter().skip(before.recoveries.len()).for_each(|row| add_recovery(&mut batch, row));
    batch.append(remember(after)?);
    Ok(batch)
}

/// Remembers a version of a policy as known from its own last change on.
pub(crate) fn remember(found: &Found) -> Result<Batch, Error> {
    let body = KnownRef {
        policy: &found.policy,
        terms: &found.terms,
        segments: &found.segments,
        members: &found.members,
    };
    let body = serde_json::to_string(&body).map_err(|_| Error::Corrupt("policy_version.body"))?;
    let mut batch = Batch::new();
    let sql = "INSERT INTO policy_version (policy_id, version, known_from, body) VALUES ($1, $2, $3, $4)";
    let row = &found.policy;
    let values = vec![row.id.to_string().into(), row.version.into(), row.updated_at.into(), body.into()];
    batch.push("policy_version", sql, values, Expect::Rows(1));
    Ok(batch)
}

fn policy(batch: &mut Batch, version: i64, row: &Row) {
    let sql = "UPDATE policy SET state = $3, activated_at = $4, ended_on = $5, version = $6, updated_at = $7, acts_on = $8, quote_id = $9, due_on = $10, \
         plan_id = $11, lead_carrier = $12 \
         WHERE id = $1 AND version = $2";
    let values = vec![
        row.id.to_string().into(),
        version.into(),
        row.state.clone().into(),
        row.activated_at.into(),
        row.ended_on.map(|day| day.to_string()).into(),
        row.version.into(),
        row.updated_at.into(),
        row.acts_on.map(|day| day.to_string()).into(),
        row.quote_id.to_string().into(),
        row.due_on.map(|day| day.to_string()).into(),
        row.plan_id.to_string().into(),
        row.lead_carrier.clone().into(),
    ];
    batch.push("policy", sql, values, Expect::Rows(1));
}

pub(super) fn save_term(batch: &mut Batch, term: &TermRow, known: bool) {
    let sql = if known {
        "UPDATE policy_term SET policy_id = $2, number = $3, starts_on = $4, ends_on = $5, state = $6, premium = $7, quote_id = $8, layers = $9, \
         plans = $10, bonus_for = $11 \
         WHERE id = $1"
    } else {
        "INSERT INTO policy_term (id, policy_id, number, starts_on, ends_on, state, premium, quote_id, layers, plans, bonus_for) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
    };
    let values = vec![
        term.id.to_string().into(),
        term.policy_id.to_string().into(),
        term.number.into(),
        term.starts_on.to_string().into(),
        term.ends_on.to_string().into(),
        term.state.clone().into(),
        term.premium.clone().into(),
        term.quote_id.map(|id| id.to_string()).into(),
        term.layers.clone().into(),
        term.plans.clone().into(),
        term.bonus_for.map(|id| id.to_string()).into(),
    ];
    batch.push("policy_term", sql, values, Expect::Rows(1));
}

/// A segment never begins on another day; a change within it ends it earlier.
pub(super) fn save_segment(batch: &mut Batch, segment: &SegmentRow) {
    let sql = "INSERT INTO term_segment (term_id, starts_on, ends_on, plan_version_id, sum_insured) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (term_id, starts_on) DO UPDATE SET ends_on = excluded.ends_on, \
         plan_version_id = excluded.plan_version_id, sum_insured = excluded.sum_insured";
    let values = vec![
        segment.term_id.to_string().into(),
        segment.starts_on.to_string().into(),
        segment.ends_on.to_string().into(),
        segment.plan_version_id.to_string().into(),
        segment.sum_insured.into(),
    ];
    batch.push("term_segment", sql, values, Expect::Rows(1));
}

fn change_member(batch: &mut Batch, member: &MemberRow) {
    let sql = "UPDATE member SET starts_on = $2, ends_on = $3, end_reason = $4 WHERE id = $1";
    let values = vec![
        member.id.to_string().into(),
        member.starts_on.to_string().into(),
        member.ends_on.to_string().into(),
        member.end_reason.clone().into(),
    ];
    batch.push("member", sql, values, Expect::Rows(1));
}

fn add_endorsement(batch: &mut Batch, row: &EndorsementRow) {
    let sql = "INSERT INTO endorsement (id, policy_id, number, kind, effective_on, member_id, net, tax, made_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let values: Vec<Value> = vec![
        row.id.to_string().into(),
        row.policy_id.to_string().into(),
        row.number.into(),
        row.kind.clone().into(),
        row.effective_on.to_string().into(),
        row.member_id.map(|id| id.to_string()).into(),
        row.net.into(),
        row.tax.into(),
        row.made_at.into(),
    ];
    batch.push("endorsement", sql, values, Expect::Rows(1));
}

fn add_refund(batch: &mut Batch, row: &RefundRow) {
    let sql = "INSERT INTO refund (id, policy_id, endorsement_id, net, tax, created_at, term_id) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let values = vec![
        row.id.to_string().into(),
        row.policy_id.to_string().into(),
        row.endorsement_id.to_string().into(),
        row.net.into(),
        row.tax.into(),
        row.created_at.into(),
        row.term_id.map(|id| id.to_string()).into(),
    ];
    batch.push("refund", sql, values, Expect::Rows(1));
}

fn add_recovery(batch: &mut Batch, row: &RecoveryRow) {
    let sql = "INSERT INTO recovery (id, policy_id, endorsement_id, term_id, account_id, measure, amount, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let values = vec![
        row.id.to_string().into(),
        row.policy_id.to_string().into(),
        row.endorsement_id.to_string().into(),
        row.term_id.to_string().into(),
        row.account_id.to_string().into(),
        row.measure.name().into(),
        row.amount.into(),
        row.created_at.into(),
    ];
    batch.push("recovery", sql, values, Expect::Rows(1));
}

/// The policy as it was known at an instant; none when it was not known yet.
pub(crate) async fn known_at<C: ConnectionTrait>(
    c: &C,
    policy: PolicyId,
    instant: Timestamp,
) -> Result<Option<Known>, Error> {
    let sql = "SELECT body FROM policy_version WHERE policy_id = $1 AND known_from <= $2 ORDER BY version DESC LIMIT 1";
    let values = vec![policy.to_string().into(), instant.as_micros().into()];
    let row = c.query_one_raw(statement(c, sql, values)).await?;
    row.map(|row| parse(&row.try_get_by_index::<String>(0)?)).transpose()
}

/// The policy as it was known before its last lapse was written down.
pub(crate) async fn before_lapse<C: ConnectionTrait>(
    c: &C,
    policy: PolicyId,
) -> Result<Option<Known>, Error> {
    let sql = "SELECT body FROM policy_version WHERE policy_id = $1 AND version = \
         (SELECT MAX(number) - 1 FROM endorsement WHERE policy_id = $1 AND kind = 'LAPSE')";
    let row = c.query_one_raw(statement(c, sql, vec![policy.to_string().into()])).await?;
    row.map(|row| parse(&row.try_get_by_index::<String>(0)?)).transpose()
}

/// Policies that time may have changed by a day, those that wait the longest first.
pub(crate) async fn acting<C: ConnectionTrait>(
    c: &C,
    by: Date,
    after: Option<(Date, PolicyId)>,
    limit: u32,
) -> Result<Vec<(Date, PolicyId)>, Error> {
    let sql = "SELECT acts_on, id FROM policy WHERE acts_on <= $1 AND (acts_on > $2 OR (acts_on = $2 AND id > $3)) \
         ORDER BY acts_on, id LIMIT $4";
    let (day, id) =
        after.map_or((String::new(), String::new()), |(day, id)| (day.to_string(), id.to_string()));
    let values = vec![by.to_string().into(), day.into(), id.into(), i64::from(limit).into()];
    let read = |row: &QueryResult| {
        let day: String = row.try_get_by_index(0)?;
        let day = day.parse().map_err(|_| Error::Corrupt("policy.acts_on"))?;
        Ok((day, parse_id(&row.try_get_by_index::<String>(1)?)?))
    };
    c.query_all_raw(statement(c, sql, values)).await?.iter().map(read).collect()
}

/// Policies whose bonus was given for a term that has used plan money since.
pub(crate) async fn spoilt_bonuses<C: ConnectionTrait>(c: &C, limit: u32) -> Result<Vec<PolicyId>, Error> {
    let sql = "SELECT t.policy_id FROM policy_term t WHERE t.bonus_for IS NOT NULL AND EXISTS (SELECT 1 FROM account a \
         JOIN layer l ON l.account_id = a.id WHERE a.term_id = t.bonus_for AND a.measure = 'PLAN_PAID' AND l.used > 0) \
         ORDER BY t.policy_id LIMIT $1";
    let rows = c.query_all_raw(statement(c, sql, vec![i64::from(limit).into()])).await?;
    rows.iter().map(|row| parse_id(&row.try_get_by_index::<String>(0)?)).collect()
}

/// Open holds of a policy for events from a day on, of one member if one is named: those that time has not ended.
pub(crate) async fn holds_from<C: ConnectionTrait>(
    c: &C,
    policy: PolicyId,
    member: Option<MemberId>,
    from: Date,
    now: Timestamp,
) -> Result<Vec<Due>, Error> {
    let sql = "SELECT h.id, h.member_id, h.event_date FROM hold h JOIN policy_term t ON t.id = h.term_id \
         WHERE t.policy_id = $1 AND ($2 = '' OR h.member_id = $2) AND h.event_date >= $3 AND h.state = 'OPEN' \
         AND h.expires_at > $4 ORDER BY h.id";
    let member = member.map(|id| id.to_string()).unwrap_or_default();
    let values =
        vec![policy.to_string().into(), member.into(), from.to_string().into(), now.as_micros().into()];
    c.query_all_raw(statement(c, sql, values)).await?.iter().map(due).collect()
}

fn due(row: &QueryResult) -> Result<Due, Error> {
    let day: String = row.try_get_by_index(2)?;
    Ok(Due {
        hold: parse_id(&row.try_get_by_index::<String>(0)?)?,
        member: parse_id(&row.try_get_by_index::<String>(1)?)?,
        day: day.parse().map_err(|_| Error::Corrupt("hold.event_date"))?,
    })
}

/// Plan money of a term on the accounts with these codes: what is used, and what is held for events before a day.
pub(crate) async fn plan_money<C: ConnectionTrait>(
    c: &C,
    kind: Kind,
    term: TermId,
    codes: &[&str],
    before: Date,
    now: Timestamp,
) -> Result<(i64, i64), Error> {
    #[derive(Serialize)]
    struct Code<'a> {
        code: &'a str,
    }
    let wanted: Vec<Code<'_>> = codes.iter().map(|code| Code { code }).collect();
    let codes = format!("SELECT r.code FROM {}", list(kind, "$4", "r", &[Column::Text("code")]));
    let sql = format!(
        "SELECT CAST(COALESCE((SELECT SUM(l.used) FROM layer l JOIN account a ON a.id = l.account_id \
         WHERE a.term_id = $1 AND a.measure = 'PLAN_PAID' AND a.code IN ({codes})), 0) AS BIGINT), \
         CAST(COALESCE((SELECT SUM(g.amount - g.captured - g.released) FROM hold_leg g JOIN hold h ON h.id = g.hold_id \
         JOIN account a ON a.id = g.account_id WHERE a.term_id = $1 AND a.measure = 'PLAN_PAID' AND a.code IN ({codes}) AND h.state = 'OPEN' \
         AND h.expires_at > $2 AND h.event_date < $3), 0) AS BIGINT)"
    );
    let values =
        vec![term.to_string().into(), now.as_micros().into(), before.to_string().into(), json(&wanted)];
    let row = c.query_one_raw(statement(c, &sql, values)).await?;
    let row = row.ok_or(Error::Corrupt("a sum without a row"))?;
    Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))
}
