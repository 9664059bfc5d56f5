//! What a person at a terminal sees of a long step. Logs have a line at its begin and at its end instead.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often it is shown.
const PERIOD: Duration = Duration::from_millis(250);

/// Does `work`; meanwhile a terminal shows how long it takes, and how large the `file` is that it writes.
pub async fn show<T>(step: &str, file: Option<&Path>, work: impl Future<Output = T>) -> T {
    tracing::info!("{step}");
    if !io::stderr().is_terminal() {
        return work.await;
    }
    let start = Instant::now();
    let mut work = std::pin::pin!(work);
    loop {
        if let Ok(done) = tokio::time::timeout(PERIOD, &mut work).await {
            print("");
            return done;
        }
        let size = file.and_then(|file| std::fs::metadata(file).ok());
        let size = size.map(|metadata| format!(", {} kB", metadata.len() / 1000));
        let seconds = start.elapsed().as_secs_f64();
        print(&format!(
            "{step}: {seconds:.1} s{}",
            size.unwrap_or_default()
        ));
    }
}

/// Replaces the last line. It is no loss when it cannot be seen.
fn print(line: &str) {
    let _ = write!(io::stderr(), "\r\x1b[K{line}");
    let _ = io::stderr().flush();
}
