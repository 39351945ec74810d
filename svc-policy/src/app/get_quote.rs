//! GetQuote: an offer as it stands now.

use caremesh_kernel::{QuoteId, Timestamp};
use caremesh_mesh::{CallContext, Touched};

use super::{App, Error};
use crate::domain::policy::Quote;

/// The quote, and the instant at which it is looked at.
///
/// # Errors
/// [`Error::NotFound`], also when the caller may not know it.
pub async fn run(app: &App, context: &CallContext, id: QuoteId) -> Result<(Quote, Timestamp), Error> {
    let scope = app.scope(context).await?;
    let (quote, _) = app.get_quote(context, &scope, id).await?;
    context.touched(Touched::read(quote.policyholder, id));
    Ok((quote, app.clock.now()))
}
