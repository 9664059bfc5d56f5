//! The threads that requests are served on.

use std::io;
use std::num::NonZeroUsize;

use tokio::runtime::Builder;

/// Cores that one thread can use, beside the share of the database and the clients.
const CORES_OF_ONE_THREAD: usize = 2;

/// One thread on up to two cores, otherwise one for each core.
///
/// Threads that take work from one another also wake one another: on two cores a greeting costs a
/// third more CPU time with two threads than with one.
#[must_use]
pub fn default_threads() -> NonZeroUsize {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    if cores.get() <= CORES_OF_ONE_THREAD {
        NonZeroUsize::MIN
    } else {
        cores
    }
}

/// Runs `future` to its end, and the tasks that it starts, on this many threads.
///
/// # Errors
/// When the system refuses threads or an event queue.
pub fn block_on<F: Future>(threads: NonZeroUsize, future: F) -> io::Result<F::Output> {
    let mut builder = if threads == NonZeroUsize::MIN {
        Builder::new_current_thread()
    } else {
        Builder::new_multi_thread()
    };
    let runtime = builder.worker_threads(threads.get()).enable_all().build()?;
    Ok(runtime.block_on(future))
}
