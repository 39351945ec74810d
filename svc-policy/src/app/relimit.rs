//! Brings the accounts of a term to the limits that a change leaves: each is granted more or less, in one posting with the
//! change. What is used or held beyond a lowered limit is overdrawn, and recovered. It decides no limit.

use caremesh_db::Tx;
use caremesh_kernel::{
    AccountId, Date, DateRange, EventId, MemberId, PlanVersionId, PostingId, RecoveryId, TermId,
};

use super::change::{CHANGE_NAMESPACE, Draft};
use super::posting::written;
use super::{App, Error, events};
use crate::domain::account::Account;
use crate::domain::engine::{CoverLayer, Ground};
use crate::domain::ledger::{Action, Book, Entry, Event, Movement, Posting, Source, decide};
use crate::domain::plan::PlanVersion;
use crate::domain::relimit::{open_in_term, regrant};
use crate::store::ledger::{self, Query};
use crate::store::life::RecoveryRow;
use crate::store::{Error as StoreError, policy};

/// Accounts that are read at once.
const PAGE: u32 = 1_000;

/// What the limits of a term follow from.
pub(crate) struct Limits {
    segments: Vec<(DateRange, PlanVersionId)>,
    layers: Vec<CoverLayer>,
}

impl Limits {
    /// Those of a policy's last term.
    pub(crate) fn of(draft: &Draft) -> Result<Self, Error> {
        let term = draft.next.terms.last().map(|term| term.id);
        let of_term = |row: &&policy::SegmentRow| term == Some(row.term_id);
        let days = |row: &policy::SegmentRow| {
            let days =
                DateRange::new(row.starts_on, row.ends_on).map_err(|_| StoreError::Corrupt("a segment"))?;
            Ok::<_, Error>((days, row.plan_version_id))
        };
        let segments = draft.next.segments.iter().filter(of_term).map(days).collect::<Result<_, _>>()?;
        Ok(Self { segments, layers: draft.layers()? })
    }

    fn open(&self, plans: &[(DateRange, &PlanVersion)], ground: Ground<'_>, of: &Account) -> Option<Account> {
        let ground = Ground { layers: &self.layers, member_layers: &self.layers, ..ground };
        open_in_term(plans, ground, &of.key)
    }
}

/// Grants what differs between the limits before a change and those that the draft has after it, on every account of the last
/// term that has been opened. Recoveries go into the draft. `rule`: under which name it is booked.
pub(crate) async fn relimit(
    app: &App,
    tx: &Tx,
    draft: &mut Draft,
    before: &Limits,
    (from, rule): (Date, &str),
) -> Result<(), Error> {
    let term = draft.next.terms.last().ok_or(StoreError::Corrupt("a policy without a term"))?.id;
    tx.apply(ledger::move_on(draft.next.policy.id)).await?;
    let accounts = all_accounts(tx, term).await?;
    let member = draft.next.members.first().map(|row| row.id);
    let Some(member) = member.filter(|_| !accounts.is_empty()) else { return Ok(()) };
    let source = Source { service: "svc-policy".to_owned(), resource: draft.endorsement_id().to_string() };
    // The term may begin with days that nobody covers: a segment must lie on the day that is asked about.
    let first = draft.next.segments.iter().find(|row| row.term_id == term).map(|row| row.starts_on);
    let from = first.map_or(from, |first| from.max(first));
    let query = query(accounts, member, from, source.clone());
    let view = ledger::view(tx, tx.kind(), &query, tx.now()).await?;
    let cover = view.cover.clone().ok_or(StoreError::Corrupt("a term without its cover"))?;
    let movements = movements(app, draft, before, &view.accounts, (cover.ground(), rule))?;
    if movements.is_empty() {
        return Ok(());
    }
    let posting = Posting {
        id: PostingId::from_uuid(app.ids.uuid()),
        event: Event {
            id: EventId::derive(CHANGE_NAMESPACE, &[&source.resource]),
            date: from,
            member,
            cause: None,
        },
        source,
        revision: 0,
        movements,
        expected: std::collections::BTreeMap::new(),
        now: tx.now(),
    };
    let book = Book::new(view.accounts.clone(), view.holds, view.captured);
    let refused = |refusal| Error::Ledger { refusal, balances: Vec::new() };
    let decision = decide(book, &cover.term, &posting).map_err(refused)?;
    let recovered = recovered(draft, term, &view.accounts, &decision.entries, posting.now.as_micros());
    draft.next.recoveries.extend(recovered);
    tx.emit([events::benefit_posted(cover.policy, posting.id, tx.now())]);
    tx.apply(ledger::batch(tx.kind(), &cover, &posting, None, &decision)).await.map(drop).map_err(written)
}

async fn all_accounts(tx: &Tx, term: TermId) -> Result<Vec<AccountId>, Error> {
    let mut all: Vec<AccountId> = Vec::new();
    loop {
        let page = ledger::account_ids(tx, term, None, all.last().copied(), PAGE).await?;
        let last = page.len() < PAGE as usize;
        all.extend(page);
        if last {
            return Ok(all);
        }
    }
}

fn query(accounts: Vec<AccountId>, member: MemberId, day: Date, source: Source) -> Query {
    Query { accounts, holds: Vec::new(), reversed: Vec::new(), restored: None, member, day, source }
}

/// One movement an account: the layers that differ.
fn movements(
    app: &App,
    draft: &Draft,
    before: &Limits,
    accounts: &[Account],
    (ground, rule): (Ground<'_>, &str),
) -> Result<Vec<Movement>, Error> {
    let after = Limits::of(draft)?;
    let (then, now) = (app.plan_segments(&before.segments)?, app.plan_segments(&after.segments)?);
    let mut movements = Vec::new();
    for account in accounts {
        let opened = (before.open(&then, ground, account), after.open(&now, ground, account));
        let (Some(was), Some(will)) = opened else { continue };
        let grants = regrant(&was, &will, account, rule);
        if grants.is_empty() {
            continue;
        }
        let recovery = Some(recovery_id(draft, account.id()).to_string());
        let part = u32::try_from(movements.len()).unwrap_or(u32::MAX);
        movements.push(Movement { part, action: Action::Grant { grants, recovery } });
    }
    Ok(movements)
}

fn recovery_id(draft: &Draft, account: AccountId) -> RecoveryId {
    RecoveryId::derive(CHANGE_NAMESPACE, &[&draft.endorsement_id().to_string(), &account.to_string()])
}

fn recovered(
    draft: &Draft,
    term: TermId,
    accounts: &[Account],
    entries: &[Entry],
    now: i64,
) -> Vec<RecoveryRow> {
    let overdrawn = |account: AccountId| -> i64 {
        let raised = entries.iter().filter(|entry| entry.account == account && entry.overdrawn > 0);
        raised.map(|entry| entry.overdrawn).sum()
    };
    let row = |account: &Account| RecoveryRow {
        id: recovery_id(draft, account.id()),
        policy_id: draft.next.policy.id,
        endorsement_id: draft.endorsement_id(),
        term_id: term,
        account_id: account.id(),
        measure: account.key.measure,
        amount: overdrawn(account.id()),
        created_at: now,
    };
    accounts.iter().map(row).filter(|row| row.amount > 0).collect()
}
