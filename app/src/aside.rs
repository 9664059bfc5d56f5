//! Work beside the threads that serve: reading a file that may be on a network that hangs, or be a pipe that nobody writes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, oneshot};
use tokio::time::timeout;

/// Does one piece of work at a time, each on a thread of its own: what hangs costs one thread, however often it is tried. The
/// runtime's own threads for such work would not do: the program would wait for them when it ends.
#[derive(Debug, Clone, Default)]
pub struct Aside(Arc<Mutex<()>>);

impl Aside {
    /// The result of `work`, if it comes within this time. The work itself is not interrupted, and other work waits for it.
    ///
    /// # Errors
    /// When the time is over, the system refuses a thread, or the work panics.
    pub async fn run<T: Send + 'static>(
        &self,
        within: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let done = async {
            let turn = self.0.clone().lock_owned().await;
            let (result, done) = oneshot::channel();
            std::thread::Builder::new()
                .name("aside".into())
                .spawn(move || {
                    let value = work();
                    drop(turn);
                    // Fails only when nobody waits any more.
                    let _ = result.send(value);
                })?;
            // The hook logs the panic.
            done.await.map_err(|_| io::Error::other("reading panicked"))
        };
        let late = || {
            io::Error::new(
                io::ErrorKind::TimedOut,
                format!("not read within {within:?}"),
            )
        };
        timeout(within, done).await.map_err(|_| late())?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(10);

    /// Threads would be noticed by what they send.
    #[tokio::test]
    async fn what_hangs_costs_one_thread_and_only_its_callers_time() {
        let aside = Aside::default();
        let (end, hangs) = mpsc::channel::<()>();
        let late = aside.run(SHORT, move || hangs.recv()).await;
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let (begun, begins) = mpsc::channel();
        for number in 0..3 {
            let begun = begun.clone();
            let late = aside.run(SHORT, move || begun.send(number)).await;
            assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        assert!(begins.try_recv().is_err(), "none was begun meanwhile");
        end.send(()).unwrap();
        assert_eq!(aside.run(LONG, || 4).await.unwrap(), 4);
        assert!(
            begins.try_recv().is_err(),
            "nor is one whose caller has left"
        );
    }

    #[tokio::test]
    async fn a_panic_fails_its_caller_alone() {
        let aside = Aside::default();
        assert!(aside.run(LONG, || panic!("planted panic")).await.is_err());
        assert_eq!(aside.run(LONG, || 1).await.unwrap(), 1);
    }
}
