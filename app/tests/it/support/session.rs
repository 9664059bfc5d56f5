//! A session of the database that stays open between statements.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::postgres::Server;

/// An open session; it ends when it is dropped.
pub struct Session {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Session {
    /// Logs in with `password`.
    pub fn open(server: &Server, role: &str, password: &str, database: &str) -> Self {
        let url = server.url(role, database);
        let mut child = Command::new(super::postgres::bin().join("psql"))
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .arg(url.replace(":secret@", "@"))
            .env("PGPASSWORD", password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            input,
            output,
        }
    }

    /// Sends statements without waiting for them.
    pub fn send(&mut self, sql: &str) {
        // A session that was ended takes nothing any more, which `run` then shows.
        let _ = writeln!(self.input, "{sql};");
        let _ = self.input.flush();
    }

    /// Runs statements, and returns what they print; nothing when the session was ended.
    pub fn run(&mut self, sql: &str) -> Option<String> {
        const END: &str = "-- end of the statements";
        self.send(sql);
        self.send(&format!("\\echo '{END}'\n"));
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line.trim_end() == END {
                return Some(printed.trim_end().to_owned());
            }
            printed.push_str(&line);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
