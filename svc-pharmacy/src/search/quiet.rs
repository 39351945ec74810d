//! Work that nobody waits for, on a thread that gives way to those that answer: reading many products, learning their words,
//! writing the index and merging it. Threads that such a thread starts give way as well.

use tokio::sync::oneshot;

/// How much such a thread gives way; 19 is the most.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 15;

/// Runs `work` so; None when it panicked or no thread could be had.
pub(crate) async fn quietly<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (tell, told) = oneshot::channel();
    let quiet = move || {
        // Linux knows a priority for each thread. Where it cannot be lowered the work is done all the same.
        #[cfg(target_os = "linux")]
        rustix::process::setpriority_process(None, NICENESS).unwrap_or(());
        drop(tell.send(work()));
    };
    std::thread::Builder::new().name("quiet".to_owned()).spawn(quiet).ok()?;
    told.await.ok()
}
