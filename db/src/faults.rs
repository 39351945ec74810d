//! Points of a transaction where a test may make things go wrong. Production has none.
//! Must not know what a transaction does.

use std::sync::Arc;
use std::time::Duration;

/// Where in a transaction a fault can fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    /// Before BEGIN is sent.
    BeforeBegin,
    /// The work is done, COMMIT is not sent.
    BeforeCommit,
    /// COMMIT was acknowledged, the caller does not know yet.
    AfterCommit,
}

/// What happens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The transaction waits, as behind a slow disk.
    Wait(Duration),
    /// The attempt ends with [`crate::Error::Unreachable`], as when the server dies.
    Break,
}

type Decide = dyn Fn(Point) -> Option<Fault> + Send + Sync;

/// Decides at each point whether a fault fires. A cheap clone.
#[derive(Clone, Default)]
pub struct Faults(Option<Arc<Decide>>);

impl Faults {
    /// No fault, ever: what production uses.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Asks `decide` at every point of every transaction.
    pub fn by(decide: impl Fn(Point) -> Option<Fault> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(decide)))
    }

    pub(crate) async fn at(&self, point: Point) -> Result<(), crate::Error> {
        match self.0.as_ref().and_then(|decide| decide(point)) {
            None => Ok(()),
            Some(Fault::Wait(time)) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Some(Fault::Break) => {
                let broken = sea_orm::DbErr::Custom("injected fault".to_owned());
                Err(crate::Error::Unreachable(broken))
            }
        }
    }
}
