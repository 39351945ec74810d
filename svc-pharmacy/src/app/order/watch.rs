//! WatchOrder: an order's present state, each change, and a heartbeat in between. The version in the store is looked at, so
//! it does not matter which replica made the change.

use std::time::Duration;

use caremesh_kernel::OrderId;
use caremesh_mesh::CallContext;
use futures::Stream;
use futures::stream::unfold;

use super::Shown;
use crate::app::{App, Error};
use crate::domain::order::OrderState;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// Looks without a change before a heartbeat: ten seconds.
const QUIET_LOOKS: u32 = 40;

/// What one watcher knows.
struct Watch {
    app: App,
    context: CallContext,
    id: OrderId,
    known: String,
    over: bool,
}

/// Changes of an order; none is a heartbeat. Ends with the order, or with the call's own deadline.
pub fn watch(
    app: App,
    context: CallContext,
    id: OrderId,
    known: String,
) -> impl Stream<Item = Result<Option<Shown>, Error>> + Send + 'static {
    unfold(Watch { app, context, id, known, over: false }, |mut watch| async move {
        if watch.over {
            return None;
        }
        let seen = watch.look().await;
        watch.over |= seen.is_err();
        Some((seen, watch))
    })
}

impl Watch {
    async fn look(&mut self) -> Result<Option<Shown>, Error> {
        for _ in 0..QUIET_LOOKS {
            // Each look is one by the caller: a relation that ended is seen at once.
            let shown = super::get(&self.app, &self.context, self.id).await?;
            let version = shown.version.to_string();
            if version != self.known {
                self.known = version;
                self.over = is_over(&shown);
                return Ok(Some(shown));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(None)
    }
}

fn is_over(shown: &Shown) -> bool {
    let ends = matches!(
        shown.order.state,
        OrderState::DeliveryFailed | OrderState::Returned | OrderState::Cancelled | OrderState::Expired
    );
    ends && !shown.order.closing
}
