//! How a process ends: a signal, then not serving, then drained, then a hard end. Servers and workers
//! watch the same two tokens. It must not know what they do.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The process's way to its end. A cheap clone.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
}

/// How the drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Everything ended by itself.
    Clean,
    /// Some tasks were still running when time was up, and were told to drop what they do.
    Cut {
        /// How many.
        tasks: usize,
    },
}

impl Lifecycle {
    /// A life that nothing ends yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends softly on SIGTERM or SIGINT, and hard on a second one.
    ///
    /// # Errors
    /// When the system does not let signals be caught.
    pub fn end_on_signals(&self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let life = self.clone();
        tokio::spawn(async move {
            for end in [Self::end_softly, Self::end_hard] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                end(&life);
            }
        });
        Ok(())
    }

    /// Says that the end has begun: take nothing new, finish what is running.
    pub fn end_softly(&self) {
        self.soft.cancel();
    }

    /// Says that time is up: drop what is running.
    pub fn end_hard(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }

    /// Done once the end has begun.
    pub fn ending(&self) -> impl Future<Output = ()> + Send + 'static {
        self.soft.clone().cancelled_owned()
    }

    /// Done once time is up.
    pub fn over(&self) -> impl Future<Output = ()> + Send + 'static {
        self.hard.clone().cancelled_owned()
    }

    /// Whether the end has begun.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// A part of this life (one server of several in a process) with an end of its own, that also ends
    /// when this one does.
    #[must_use]
    pub fn part(&self) -> Self {
        Self { soft: self.soft.child_token(), hard: self.hard.child_token(), tasks: TaskTracker::new() }
    }

    /// A part that begins its end when it is told to, and is over at the latest when this life is.
    #[must_use]
    pub fn part_with_own_end(&self) -> Self {
        Self { soft: CancellationToken::new(), hard: self.hard.child_token(), tasks: TaskTracker::new() }
    }

    /// Runs a task that [`Lifecycle::drain`] waits for. It is dropped at its next await when time is up.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let over = self.over();
        self.tasks.spawn(async move {
            tokio::select! {
                () = task => {}
                () = over => {}
            }
        });
    }

    /// Waits until every task has ended by itself, for at most `limit`; then cuts what is left.
    pub async fn drain(&self, limit: Duration) -> Drained {
        self.end_softly();
        self.tasks.close();
        let waited = tokio::time::timeout(limit, async {
            tokio::select! {
                () = self.tasks.wait() => {}
                () = self.hard.cancelled() => {}
            }
        });
        // Elapsed or not, what counts is whether anything is left.
        drop(waited.await);
        match self.tasks.len() {
            0 => Drained::Clean,
            tasks => {
                self.end_hard();
                self.tasks.wait().await;
                Drained::Cut { tasks }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{Instant, sleep};

    #[tokio::test]
    async fn tasks_that_end_by_themselves_are_waited_for() {
        let life = Lifecycle::new();
        let ending = life.ending();
        life.spawn(async move {
            ending.await;
            sleep(Duration::from_millis(30)).await;
        });
        assert_eq!(life.drain(Duration::from_secs(5)).await, Drained::Clean);
    }

    #[tokio::test]
    async fn a_task_that_hangs_is_cut_when_time_is_up() {
        let life = Lifecycle::new();
        life.spawn(std::future::pending());
        let start = Instant::now();
        assert_eq!(life.drain(Duration::from_millis(50)).await, Drained::Cut { tasks: 1 });
        assert!(start.elapsed() < Duration::from_secs(2), "the hard end must not wait");
    }

    #[tokio::test]
    async fn a_hard_end_does_not_wait_for_the_limit() {
        let life = Lifecycle::new();
        life.spawn(std::future::pending());
        life.end_hard();
        let start = Instant::now();
        life.drain(Duration::from_secs(60)).await;
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[tokio::test]
    async fn a_part_ends_with_the_whole_and_not_the_other_way() {
        let life = Lifecycle::new();
        let (first, second) = (life.part(), life.part());
        first.end_softly();
        assert!(first.is_ending() && !life.is_ending() && !second.is_ending());
        life.end_softly();
        second.ending().await;
        assert!(second.is_ending());
    }

    async fn terminate_this_process() {
        let pid = std::process::id().to_string();
        let sent = tokio::process::Command::new("kill").args(["-TERM", &pid]).status().await;
        assert!(sent.expect("kill runs").success());
    }

    #[tokio::test]
    async fn the_first_signal_ends_softly_and_the_second_hard() {
        let life = Lifecycle::new();
        // Before this line SIGTERM would end the test run.
        life.end_on_signals().expect("signals can be caught");
        terminate_this_process().await;
        tokio::time::timeout(Duration::from_secs(5), life.ending()).await.expect("the end begins");
        let over = tokio::time::timeout(Duration::from_millis(50), life.over()).await;
        assert!(over.is_err(), "one signal cuts nothing");
        terminate_this_process().await;
        tokio::time::timeout(Duration::from_secs(5), life.over()).await.expect("it is over");
    }
}
