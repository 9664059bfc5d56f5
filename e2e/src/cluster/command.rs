//! Running `kubectl`, `docker` and scripts, always under a deadline.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

/// How long an ordinary `kubectl` call may take.
const KUBECTL_LIMIT: Duration = Duration::from_secs(60);

/// The result of a process that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Whether it exited with 0.
    pub ok: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Runs `program` with `input` on its standard input and returns what it printed, whatever its exit status.
///
/// # Errors
/// When the program cannot be started or is still running after `limit` (it is killed then).
pub async fn run<S: AsRef<OsStr>>(
    program: &str,
    args: &[S],
    input: &str,
    limit: Duration,
) -> Result<Finished> {
    let shown = shown(program, args);
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading its input closes the pipe; its exit status shows what happened.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output = timeout(limit, child.wait_with_output())
        .await
        .with_context(|| format!("`{shown}` still running after {limit:?}"))?
        .with_context(|| format!("cannot wait for `{shown}`"))?;
    Ok(Finished {
        ok: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs `program` and returns its standard output.
///
/// # Errors
/// As [`run`], and when it exits with another status than 0: the message carries what it printed.
pub async fn output<S: AsRef<OsStr>>(
    program: &str,
    args: &[S],
    input: &str,
    limit: Duration,
) -> Result<String> {
    let finished = run(program, args, input, limit).await?;
    if !finished.ok {
        bail!(
            "`{}` failed: {}{}",
            shown(program, args),
            finished.stderr.trim_end(),
            finished.stdout.trim_end()
        );
    }
    Ok(finished.stdout)
}

/// Runs `kubectl` and returns its standard output.
///
/// # Errors
/// As [`output`].
pub async fn kubectl<S: AsRef<OsStr>>(args: &[S]) -> Result<String> {
    output("kubectl", args, "", KUBECTL_LIMIT).await
}

/// Runs `kubectl` with a manifest on its standard input, whatever its exit status.
///
/// # Errors
/// As [`run`].
pub async fn kubectl_with<S: AsRef<OsStr>>(args: &[S], manifest: &str) -> Result<Finished> {
    run("kubectl", args, manifest, KUBECTL_LIMIT).await
}

fn shown<S: AsRef<OsStr>>(program: &str, args: &[S]) -> String {
    args.iter().fold(program.to_owned(), |mut line, arg| {
        line.push(' ');
        line.push_str(&arg.as_ref().to_string_lossy());
        line
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failure_carries_what_the_program_printed() {
        let error = output(
            "sh",
            &["-c", "echo why >&2; exit 3"],
            "",
            Duration::from_secs(5),
        )
        .await;
        assert!(error.unwrap_err().to_string().contains("why"));
    }

    #[tokio::test]
    async fn a_program_past_its_deadline_is_an_error() {
        let error = run("sleep", &["60"], "", Duration::from_millis(50))
            .await
            .unwrap_err();
        assert!(
            format!("{error:#}").contains("`sleep 60` still running"),
            "{error:#}"
        );
    }

    #[tokio::test]
    async fn input_reaches_the_program() {
        let printed = output("cat", &[] as &[&str], "manifest", Duration::from_secs(5))
            .await
            .unwrap();
        assert_eq!(printed, "manifest");
    }
}
