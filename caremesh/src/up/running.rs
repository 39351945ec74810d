//! The components that run side by side; when one ends, all end.
//! Must not know what they are.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use caremesh_mesh::lifecycle::Lifecycle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::process;

/// Longest that components may take to end after the last call was cut off.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// What runs.
pub(super) struct Running {
    tasks: JoinSet<(&'static str, Result<()>)>,
    life: Lifecycle,
}

impl Running {
    /// Nothing yet.
    pub(super) fn new(life: Lifecycle) -> Self {
        Self { tasks: JoinSet::new(), life }
    }

    /// Starts a component that ends when its token is cancelled.
    pub(super) fn start<F>(&mut self, name: &'static str, component: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let running = component(process::ending(&self.life));
        self.tasks.spawn(async move { (name, running.await) });
    }

    /// Does something while the components run; `false` when they were told to stop before it was done.
    pub(super) async fn unless_stopped(&mut self, work: impl Future<Output = Result<()>>) -> Result<bool> {
        tokio::select! {
            // The end first: components that end because of it have not ended by themselves.
            biased;
            () = self.life.ending() => Ok(false),
            done = work => done.map(|()| true),
            ended = self.tasks.join_next() => Err(early_end(ended)),
        }
    }

    /// Waits for a signal or the first component to end, then for all of them.
    pub(super) async fn until_stopped(mut self) -> Result<()> {
        let first = tokio::select! {
            biased;
            () = self.life.ending() => Ok(()),
            ended = self.tasks.join_next() => Err(early_end(ended)),
        };
        self.life.end_softly();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        tokio::select! {
            () = all => first,
            () = self.life.over() => first,
            () = tokio::time::sleep(STOP_LIMIT) => first.context("a component did not stop in time"),
        }
    }
}

fn early_end(ended: Option<Result<(&'static str, Result<()>), tokio::task::JoinError>>) -> anyhow::Error {
    match ended {
        Some(Ok((name, Err(error)))) => error.context(format!("{name} failed")),
        Some(Ok((name, Ok(())))) => anyhow!("{name} ended by itself"),
        Some(Err(error)) => anyhow!(error).context("a component panicked"),
        None => anyhow!("nothing runs"),
    }
}
