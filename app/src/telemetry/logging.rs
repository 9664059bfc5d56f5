//! Log output that never blocks a request: lines go to a bounded buffer, and a thread writes it out.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use strum::EnumString;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The most bytes that wait to be written. Further lines are dropped and counted.
const CAPACITY: usize = 4 << 20;
/// The pause after each write: under load many lines share one system call.
const PAUSE: Duration = Duration::from_millis(10);

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, EnumString)]
#[strum(
    serialize_all = "lowercase",
    parse_err_ty = String,
    parse_err_fn = unknown_log_format
)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object for each line.
    Json,
}

fn unknown_log_format(text: &str) -> String {
    format!("`{text}` is neither `text` nor `json`")
}

#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    dropped: u64,
    closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    buffer: Mutex<Buffer>,
    filled: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The output of log lines. Dropping it writes out the rest.
#[derive(Debug)]
pub struct LogSink {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

impl LogSink {
    /// A sink that writes to `output` on a thread of its own. In this format it reports lines that it had to drop.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn new(output: impl Write + Send + 'static, format: LogFormat) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let writer = std::thread::Builder::new().name("log".into()).spawn({
            let shared = shared.clone();
            move || {
                // Without this thread the process would run without a log.
                if catch_unwind(AssertUnwindSafe(|| write_out(&shared, output, format))).is_err() {
                    std::process::abort();
                }
            }
        })?;
        Ok(Self {
            shared,
            writer: Some(writer),
        })
    }

    /// A handle that writes lines into this sink.
    pub fn writer(&self) -> LineWriter {
        LineWriter(self.shared.clone())
    }
}

impl Drop for LogSink {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.filled.notify_one();
        if let Some(writer) = self.writer.take() {
            // The panic hook has reported a panic of the thread already.
            let _ = writer.join();
        }
    }
}

/// Writes whole lines into a [`LogSink`].
#[derive(Debug, Clone)]
pub struct LineWriter(Arc<Shared>);

impl LineWriter {
    /// Adds `line`, which ends in a line feed, or drops it when the buffer is full.
    pub fn line(&self, line: &[u8]) {
        let mut buffer = self.0.lock();
        if buffer.bytes.len() + line.len() > CAPACITY {
            buffer.dropped += 1;
            return;
        }
        let was_empty = buffer.bytes.is_empty();
        buffer.bytes.extend_from_slice(line);
        drop(buffer);
        if was_empty {
            self.0.filled.notify_one();
        }
    }
}

impl Write for LineWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.line(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self::Writer {
        self.clone()
    }
}

fn write_out(shared: &Shared, mut output: impl Write, format: LogFormat) {
    let mut bytes = Vec::new();
    loop {
        let (dropped, closed) = {
            let mut buffer = shared.lock();
            while buffer.bytes.is_empty() && !buffer.closed {
                buffer = shared
                    .filled
                    .wait(buffer)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            std::mem::swap(&mut buffer.bytes, &mut bytes);
            (std::mem::take(&mut buffer.dropped), buffer.closed)
        };
        // There is no place to report that the log itself cannot be written.
        let _ = output.write_all(&bytes);
        if dropped > 0 {
            let now = chrono::Utc::now().format("%Y-%m-%dT%H:%M:%S%.6fZ");
            let _ = match format {
                LogFormat::Text => {
                    writeln!(output, "{now}  WARN log lines dropped count={dropped}")
                }
                LogFormat::Json => writeln!(
                    output,
                    "{{\"timestamp\":\"{now}\",\"level\":\"WARN\",\
                     \"message\":\"log lines dropped\",\"count\":{dropped}}}"
                ),
            };
        }
        let _ = output.flush();
        bytes.clear();
        if closed {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Sends the events of `tracing` from `level` up to `sink`.
pub fn init_logging(sink: &LogSink, level: tracing::Level, format: LogFormat) {
    // Libraries' events below warnings are of no use to the service's operators.
    let filter = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target(env!("CARGO_CRATE_NAME"), level);
    let lines = tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_ansi(false)
        .with_writer(sink.writer());
    let registry = tracing_subscriber::registry().with(filter);
    // Fails only when logging is set up already, as in tests of one process.
    let _ = match format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn dropping_the_sink_writes_out_every_line() {
        let output = Output::default();
        let sink = LogSink::new(output.clone(), LogFormat::Text).unwrap();
        let writer = sink.writer();
        for number in 0..1000 {
            writer.line(format!("{number}\n").as_bytes());
        }
        drop(sink);
        let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
        let expected: String = (0..1000).map(|number| format!("{number}\n")).collect();
        assert_eq!(text, expected);
    }

    /// An output that blocks until the sender is dropped.
    struct Stuck(std::sync::mpsc::Receiver<()>, Output);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            self.1.write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is written by an output that blocks until twice as much as fits has come.
    fn written_by_a_stuck_output(format: LogFormat) -> String {
        let (release, stuck) = std::sync::mpsc::channel();
        let output = Output::default();
        let sink = LogSink::new(Stuck(stuck, output.clone()), format).unwrap();
        let writer = sink.writer();
        let mut line = [b'x'; 1024];
        line[1023] = b'\n';
        for _ in 0..(2 * CAPACITY / line.len() + 2) {
            writer.line(&line);
        }
        drop(release);
        drop(sink);
        let written = output.0.lock().unwrap();
        assert!(written.len() <= 2 * CAPACITY + 200);
        String::from_utf8(written.clone()).unwrap()
    }

    #[test]
    fn a_stuck_output_drops_lines_instead_of_blocking() {
        let text = written_by_a_stuck_output(LogFormat::Text);
        let report = text.lines().find(|line| line.contains("dropped")).unwrap();
        assert!(
            report.contains("Z  WARN log lines dropped count="),
            "{report}"
        );
        let text = written_by_a_stuck_output(LogFormat::Json);
        let report = text.lines().find(|line| line.contains("dropped")).unwrap();
        let report: serde_json::Value = serde_json::from_str(report).unwrap();
        assert_eq!(report["level"], "WARN");
        assert!(report["count"].as_u64().unwrap() > 0);
        assert!(report["timestamp"].as_str().unwrap().ends_with('Z'));
    }
}
