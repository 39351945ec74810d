//! The threads that carry calls: one per core, each with a runtime of its own, so that a call is read,
//! checked, forwarded and answered without ever changing its thread. Must not know what a call is.

use std::cell::Cell;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

thread_local! {
    static LANE: Cell<usize> = const { Cell::new(0) };
}

/// The lane of the thread that asks: what is kept per lane is found by it. Threads that belong to no
/// crew share the first.
pub(crate) fn lane() -> usize {
    LANE.get()
}

/// All threads. They end when this is dropped.
pub(crate) struct Crew {
    workers: Vec<Worker>,
    end: CancellationToken,
}

struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
    thread: Option<thread::JoinHandle<()>>,
}

/// One connection that a worker carries; given back on drop.
pub(crate) struct Duty(Arc<AtomicUsize>);

impl Drop for Duty {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Crew {
    /// Starts `size` threads; 0 means one per core that this process may use.
    ///
    /// # Errors
    /// When the system gives no thread or no event queue.
    pub(crate) fn start(size: usize) -> io::Result<Self> {
        let size = match size {
            0 => thread::available_parallelism().map_or(1, NonZeroUsize::get),
            size => size,
        };
        let mut crew = Self { workers: Vec::new(), end: CancellationToken::new() };
        for lane in 0..size {
            let worker = Worker::start(lane, crew.end.clone())?;
            crew.workers.push(worker);
        }
        Ok(crew)
    }

    /// How many lanes there are.
    pub(crate) fn lanes(&self) -> usize {
        self.workers.len()
    }

    /// The runtime of a lane.
    pub(crate) fn runtime(&self, lane: usize) -> &Handle {
        &self.workers[lane % self.workers.len()].runtime
    }

    /// Hands a connection to the thread that has the fewest. Few long connections of proxies and browsers
    /// would fall unevenly if the kernel dealt them out by the hash of their addresses.
    pub(crate) fn hand_over<F>(&self, tasks: &TaskTracker, connection: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let count = |worker: &&Worker| worker.connections.load(Ordering::Relaxed);
        let Some(worker) = self.workers.iter().min_by_key(count) else { return };
        worker.connections.fetch_add(1, Ordering::Relaxed);
        let duty = Duty(worker.connections.clone());
        let carrying = async move {
            connection.await;
            drop(duty);
        };
        tasks.spawn_on(carrying, &worker.runtime);
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.end.cancel();
        for worker in &mut self.workers {
            // A panic of a task does not reach its thread; there is nothing to pass on.
            let _ = worker.thread.take().map(thread::JoinHandle::join);
        }
    }
}

impl Worker {
    fn start(lane: usize, end: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let thread = thread::Builder::new().name(format!("edge-{lane}")).spawn(move || {
            LANE.set(lane);
            runtime.block_on(end.cancelled());
            // What still runs here is cut off, not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, connections: Arc::default(), thread: Some(thread) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_are_dealt_out_to_the_thread_with_the_fewest() {
        let (crew, tasks) = (Crew::start(2).expect("threads"), TaskTracker::new());
        let (sender, mut lanes) = tokio::sync::mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        for _ in 0..6 {
            let (sender, stop) = (sender.clone(), stop.clone());
            crew.hand_over(&tasks, async move {
                let _ = sender.send(lane());
                stop.cancelled().await;
            });
        }
        let mut seen = [0; 2];
        for _ in 0..6 {
            seen[lanes.recv().await.expect("handed over")] += 1;
        }
        assert_eq!(seen, [3, 3]);
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        let left: usize = crew.workers.iter().map(|it| it.connections.load(Ordering::Relaxed)).sum();
        assert_eq!(left, 0, "every connection was given back");
    }
}
