//! ListPostings: what was posted on a policy, newest first.

use caremesh_kernel::{EventId, PolicyId, PostingId, TermId};
use caremesh_mesh::page::Page;
use caremesh_mesh::{CallContext, Touched};
use serde::{Deserialize, Serialize};

use super::booked::{Booked, of_page};
use super::{App, Error};
use crate::store::{ledger, policy};

/// Which postings.
#[derive(Clone, Debug)]
pub struct Input {
    /// The policy.
    pub policy: PolicyId,
    /// Only this term's.
    pub term: Option<TermId>,
    /// Only this event's.
    pub event: Option<EventId>,
}

/// Where a page ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cursor {
    at: i64,
    id: PostingId,
}

/// One page, and where the next begins.
///
/// # Errors
/// [`Error::NotFound`] for a policy that the caller may not know.
pub async fn run(
    app: &App,
    context: &CallContext,
    input: &Input,
    page: &Page<Cursor>,
) -> Result<(Vec<Booked>, Option<Cursor>), Error> {
    let scope = app.scope(context).await?;
    let (reader, kind) = (app.db.read(context), app.db.kind());
    let found = policy::find(&reader, kind, &scope, input.policy).await?.ok_or(Error::NotFound)?;
    context.touched(Touched::read(found.policy.policyholder, input.policy));
    let filter = ledger::Filter {
        policy: input.policy,
        term: input.term,
        event: input.event,
        after: page.after.as_ref().map(|cursor| (cursor.at, cursor.id)),
        limit: page.size + 1,
    };
    let mut booked = of_page(&ledger::postings(&reader, kind, &filter).await?);
    let more = booked.len() > page.size as usize;
    booked.truncate(page.size as usize);
    let next = booked.last().filter(|_| more).map(|last| Cursor { at: last.at.as_micros(), id: last.id });
    Ok((booked, next))
}
