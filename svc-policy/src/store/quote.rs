//! Quotes with their members. Declared conditions are sealed; the premium names persons by id and amounts only.

use caremesh_db::{Batch, Expect, Kind};
use caremesh_kernel::{Currency, Date, PersonId, PlanVersionId, PolicyId, QuoteId, TermId};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

use super::Error;
use super::scope::{self, Scope};
use crate::domain::plan::Relation;
use crate::domain::policy::Premium;
use caremesh_db::sql::Column::{Number, Text};
use caremesh_db::sql::{bytes_of, hex_of, json, list, object, parse, tagged};

/// A row of `quote`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: QuoteId,
    pub(crate) plan_version_id: PlanVersionId,
    pub(crate) policyholder: PersonId,
    pub(crate) currency: Currency,
    pub(crate) sum_insured: i64,
    pub(crate) starts_on: Date,
    /// [`Premium`] as JSON text.
    pub(crate) premium: String,
    pub(crate) policy_id: Option<PolicyId>,
    /// Cover with another insurer, as JSON text.
    #[serde(default)]
    pub(crate) prior: Option<String>,
    /// `NEEDED` until an underwriter accepts it, then `ACCEPTED`; none where nobody need look.
    #[serde(default)]
    pub(crate) review: Option<String>,
    /// The policy whose next term it offers.
    pub(crate) renews_policy_id: Option<PolicyId>,
    /// The term that such an offer became.
    pub(crate) renewed_term_id: Option<TermId>,
    pub(crate) version: i64,
    pub(crate) expires_at: i64,
    pub(crate) created_at: i64,
}

/// A row of `quote_member`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MemberRow {
    pub(crate) quote_id: QuoteId,
    pub(crate) position: i64,
    pub(crate) person_id: PersonId,
    pub(crate) relation: Relation,
    /// Hexadecimal text.
    pub(crate) declared_sealed: Option<String>,
}

/// A row of `receipt`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ReceiptRow {
    pub(crate) id: caremesh_kernel::ReceiptId,
    pub(crate) quote_id: QuoteId,
    pub(crate) number: i64,
    pub(crate) reference_index: String,
    /// Hexadecimal text.
    pub(crate) reference_sealed: String,
    pub(crate) amount: i64,
    pub(crate) received_at: i64,
    pub(crate) created_at: i64,
}

/// A quote with everything that hangs on it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) quote: Row,
    pub(crate) members: Vec<MemberRow>,
    pub(crate) receipts: Vec<ReceiptRow>,
    /// State of the policy that it became.
    pub(crate) policy_state: Option<StateRow>,
}

/// State of a policy.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StateRow {
    pub(crate) state: String,
    pub(crate) activated_at: Option<i64>,
    pub(crate) ended_on: Option<Date>,
    /// The premium as it is agreed by now, when the policy has changed it.
    pub(crate) premium: Option<String>,
}

/// The quote when the scope holds it, in one statement.
pub(crate) async fn find<C: ConnectionTrait>(
    c: &C,
    kind: Kind,
    scope: &Scope,
    id: QuoteId,
) -> Result<Option<Found>, Error> {
    let values = [[id.to_string().into()].as_slice(), &scope.values()].concat();
    let (mut quote, mut members, mut receipts, mut policy_state) = (None, Vec::new(), Vec::new(), None);
    for (tag, body) in tagged(c, &find_sql(kind), values).await? {
        match tag.as_str() {
            "quote" => quote = Some(parse(&body)?),
            "member" => members.push(parse::<MemberRow>(&body)?),
            "receipt" => receipts.push(parse::<ReceiptRow>(&body)?),
            _ => policy_state = Some(parse(&body)?),
        }
    }
    members.sort_by_key(|row| row.position);
    receipts.sort_by_key(|row| row.number);
    Ok(quote.map(|quote| Found { quote, members, receipts, policy_state }))
}

fn find_sql(kind: Kind) -> String {
    let seen = scope::quote(2);
    format!(
        "WITH seen AS (SELECT q.* FROM quote q WHERE q.id = $1 AND {seen}) \
         SELECT 'quote' AS tag, {quote} AS body FROM seen q UNION ALL \
         SELECT 'member', {member} FROM quote_member m JOIN seen q ON q.id = m.quote_id UNION ALL \
         SELECT 'receipt', {receipt} FROM receipt e JOIN seen q ON q.id = e.quote_id UNION ALL \
         SELECT 'policy', {policy} FROM policy p JOIN seen q ON p.id = COALESCE(q.policy_id, q.renews_policy_id)",
        quote = quote_object(kind),
        member = member_object(kind),
        receipt = receipt_object(kind),
        policy = object(
            kind,
            &[
                ("state", "p.state"),
                ("activated_at", "p.activated_at"),
                ("ended_on", "p.ended_on"),
                (
                    "premium",
                    "(SELECT t.premium FROM policy_term t WHERE t.policy_id = p.id \
                     AND (t.quote_id = q.id OR (t.quote_id IS NULL AND q.policy_id = p.id)))"
                )
            ]
        ),
    )
}

pub(super) fn quote_object(kind: Kind) -> String {
    let columns = [
        ("id", "q.id"),
        ("plan_version_id", "q.plan_version_id"),
        ("policyholder", "q.policyholder"),
        ("currency", "q.currency"),
        ("sum_insured", "q.sum_insured"),
        ("starts_on", "q.starts_on"),
        ("premium", "q.premium"),
        ("policy_id", "q.policy_id"),
        ("prior", "q.prior"),
        ("review", "q.review"),
        ("renews_policy_id", "q.renews_policy_id"),
        ("renewed_term_id", "q.renewed_term_id"),
        ("version", "q.version"),
        ("expires_at", "q.expires_at"),
        ("created_at", "q.created_at"),
    ];
    object(kind, &columns)
}

fn member_object(kind: Kind) -> String {
    let sealed = hex_of(kind, "m.declared_sealed");
    let columns = [
        ("quote_id", "m.quote_id"),
        ("position", "m.position"),
        ("person_id", "m.person_id"),
        ("relation", "m.relation"),
        ("declared_sealed", sealed.as_str()),
    ];
    // SQLite's hex() of nothing is an empty text; nothing was declared either way.
    object(kind, &columns)
}

pub(super) fn receipt_object(kind: Kind) -> String {
    let sealed = hex_of(kind, "e.reference_sealed");
    let columns = [
        ("id", "e.id"),
        ("quote_id", "e.quote_id"),
        ("number", "e.number"),
        ("reference_index", "e.reference_index"),
        ("reference_sealed", sealed.as_str()),
        ("amount", "e.amount"),
        ("received_at", "e.received_at"),
        ("created_at", "e.created_at"),
    ];
    object(kind, &columns)
}

/// A new quote with its members.
pub(crate) fn insert(kind: Kind, quote: &Row, total: i64, members: &[MemberRow]) -> Batch {
    let mut batch = Batch::new();
    let sql = "INSERT INTO quote (id, plan_version_id, policyholder, currency, sum_insured, starts_on, premium, total, \
         policy_id, version, expires_at, created_at, renews_policy_id, prior, review) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL, 1, $9, $10, $11, $12, $13)";
    let values = vec![
        quote.id.to_string().into(),
        quote.plan_version_id.to_string().into(),
        quote.policyholder.to_string().into(),
        quote.currency.code().into(),
        quote.sum_insured.into(),
        quote.starts_on.to_string().into(),
        quote.premium.clone().into(),
        total.into(),
        quote.expires_at.into(),
        quote.created_at.into(),
        quote.renews_policy_id.map(|id| id.to_string()).into(),
        quote.prior.clone().into(),
        quote.review.clone().into(),
    ];
    batch.push("quote", sql, values, Expect::Rows(1));
    let columns =
        [Text("quote_id"), Number("position"), Text("person_id"), Text("relation"), Text("declared_sealed")];
    let sql = format!(
        "INSERT INTO quote_member (quote_id, position, person_id, relation, declared_sealed) \
         SELECT quote_id, position, person_id, relation, {} FROM {}",
        bytes_of(kind, "declared_sealed"),
        list(kind, "$1", "r", &columns)
    );
    batch.push("quote_member", sql, vec![json(members)], Expect::Rows(members.len() as u64));
    batch
}

/// The quote moves on, when it is still at the version that was read: purchase and payment meet here, so that of two
/// that come together the second sees the first. It becomes a policy, or an offer for a next term becomes that term.
pub(crate) fn advance(quote: &Row, policy: Option<PolicyId>, term: Option<TermId>) -> Batch {
    let mut batch = Batch::new();
    let sql = "UPDATE quote SET version = version + 1, policy_id = $3, renewed_term_id = $4 \
         WHERE id = $1 AND version = $2";
    let policy = policy.or(quote.policy_id).map(|id| id.to_string());
    let term = term.or(quote.renewed_term_id).map(|id| id.to_string());
    let values = vec![quote.id.to_string().into(), quote.version.into(), policy.into(), term.into()];
    batch.push("quote", sql, values, Expect::Rows(1));
    batch
}

/// An underwriter has accepted the quote, at this premium, when it is still at the version that was read.
pub(crate) fn accept(quote: &Row, premium: &str, total: i64) -> Batch {
    let mut batch = Batch::new();
    let sql = "UPDATE quote SET version = version + 1, review = 'ACCEPTED', premium = $3, total = $4 \
         WHERE id = $1 AND version = $2";
    let values = vec![quote.id.to_string().into(), quote.version.into(), premium.into(), total.into()];
    batch.push("quote", sql, values, Expect::Rows(1));
    batch
}

impl Row {
    /// Whether an underwriter must accept it before it can be bought or paid.
    pub(crate) fn waits(&self) -> bool {
        self.review.as_deref() == Some("NEEDED")
    }
}

/// A new receipt.
pub(crate) fn insert_receipt(kind: Kind, receipt: &ReceiptRow) -> Batch {
    let mut batch = Batch::new();
    let sql = format!(
        "INSERT INTO receipt (id, quote_id, number, reference_index, reference_sealed, amount, received_at, created_at) \
         VALUES ($1, $2, $3, $4, {}, $6, $7, $8)",
        bytes_of(kind, "$5")
    );
    let values = vec![
        receipt.id.to_string().into(),
        receipt.quote_id.to_string().into(),
        receipt.number.into(),
        receipt.reference_index.clone().into(),
        receipt.reference_sealed.clone().into(),
        receipt.amount.into(),
        receipt.received_at.into(),
        receipt.created_at.into(),
    ];
    batch.push("receipt", sql, values, Expect::Rows(1));
    batch
}

/// The quote that a payment reference was recorded for.
pub(crate) async fn quote_of_reference<C: ConnectionTrait>(
    c: &C,
    reference: &str,
) -> Result<Option<(QuoteId, i64)>, Error> {
    let sql = "SELECT quote_id, amount FROM receipt WHERE reference_index = $1";
    let row = c.query_one_raw(caremesh_db::sql::statement(c, sql, vec![reference.into()])).await?;
    row.map(|row| Ok((super::parse_id(&row.try_get_by_index::<String>(0)?)?, row.try_get_by_index(1)?)))
        .transpose()
}

/// The premium as it is stored.
pub(crate) fn premium_text(premium: &Premium) -> Result<String, Error> {
    serde_json::to_string(premium).map_err(|_| Error::Corrupt("quote.premium"))
}

/// The stored premium.
pub(crate) fn premium(text: &str) -> Result<Premium, Error> {
    serde_json::from_str(text).map_err(|_| Error::Corrupt("quote.premium"))
}
