//! The command line of the real binary, without a cluster.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A panic is how a test fails.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use clap::{CommandFactory, Parser};
use hello_operator::cli::Cli;

const MINIMAL: &str =
    "apiVersion: hello.internal/v1alpha1\nkind: HelloService\nmetadata: {name: hello}\n";

fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hello-operator"))
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Output of a command that has to succeed.
fn printed(arguments: &[&str], input: &str) -> String {
    let output = run(arguments, input);
    assert_eq!(text(&output.stderr), "", "{arguments:?}");
    assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    text(&output.stdout).to_owned()
}

#[test]
fn crds_prints_the_committed_definitions() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds");
    let committed = ["helloservices", "hellorestores"].map(|name| {
        let text = std::fs::read_to_string(format!("{folder}/{name}.yaml")).unwrap();
        let (head, definition) = text.split_once('\n').unwrap();
        (head.to_owned(), definition.to_owned())
    });
    let [(head, services), (_, restores)] = committed;
    let same = printed(&["crds"], "") == format!("{head}\n{services}{restores}");
    assert!(same, "run: make generate");
}

#[test]
fn render_reads_a_file_or_standard_input() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../manifests/samples/minimal.yaml"
    );
    let sample = std::fs::read_to_string(path).unwrap();
    let from_file = printed(&["render", "-f", path], "");
    assert_eq!(from_file, printed(&["render", "-f", "-"], &sample));
    assert!(from_file.contains("kind: Deployment"), "{from_file}");
}

/// One line that names the file and what is wrong with it, nothing on standard output, exit code 2.
#[test]
fn a_bad_file_is_refused_with_its_cause() {
    let spec = |spec: &str| format!("{MINIMAL}spec: {spec}\n");
    let kind = |text: &str| MINIMAL.replace("HelloService", text);
    for (input, cause) in [
        (String::new(), "no HelloService found"),
        (
            "a: [".into(),
            "did not find expected node content at line 2 column 1",
        ),
        (kind("Pod"), "kind \"Pod\" is not HelloService"),
        (
            MINIMAL.replace("v1alpha1", "v9"),
            "apiVersion \"hello.internal/v9\" is not hello.internal/v1alpha1",
        ),
        (
            spec("{replicsa: 3}"),
            "spec.replicsa is not a field of HelloService",
        ),
        (
            spec("{database: {managed: {storage: {sise: 1Gi}}}}"),
            "spec.database.managed.storage.sise is not a field of HelloService",
        ),
        (
            spec("{expose: {httpRoute: {parentRefs: [{nam: a}]}}}"),
            "spec.expose.httpRoute.parentRefs.nam is not a field of HelloService",
        ),
        (
            spec("{replicas: many}"),
            "invalid type: string \"many\", expected i32",
        ),
        (
            spec("{config: {timeZone: Mars/Olympus}}"),
            "spec.config.timeZone",
        ),
    ] {
        let output = run(&["render", "-f", "-"], &input);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{input}\n{error}");
        assert_eq!(text(&output.stdout), "", "{input}");
        assert!(error.starts_with("hello-operator: -: "), "{error}");
        assert!(error.contains(cause), "{input}\n{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let output = run(&["render", "-f", "/nowhere/my.yaml"], "");
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        error,
        "hello-operator: /nowhere/my.yaml: No such file or directory (os error 2)\n"
    );
}

#[test]
fn what_is_not_a_command_or_a_setting_is_refused() {
    for arguments in [
        &["rum"] as &[&str],
        &["render"],
        &["run", "--log-format", "xml"],
        &["run", "--log-level", "a=b=c"],
        &["run", "--listen", "nowhere"],
    ] {
        let output = run(arguments, "");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = text(&output.stderr);
        let wrong = arguments.last().unwrap();
        assert!(error.contains(wrong) || error.contains("--file"), "{error}");
    }
}

/// Without a cluster there is nothing to compare with; that is no difference.
#[test]
fn diff_without_a_cluster_fails() {
    let output = run(&["diff", "-f", "-"], &format!("{MINIMAL}spec: {{}}\n"));
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("kubeconfig"), "{error}");
}

/// The help of each command explains its purpose, each option with its variable, and the exit codes; its examples work.
#[test]
fn help_explains_every_command() {
    let mut cli = Cli::command();
    cli.build();
    let overview = printed(&["--help"], "");
    for command in cli.get_subcommands() {
        let name = command.get_name();
        if name == "help" {
            continue;
        }
        assert!(overview.contains(name), "{overview}");
        let help = printed(&[name, "--help"], "");
        let about = command.get_about().unwrap().to_string();
        assert!(overview.contains(&about) && help.contains(&about), "{help}");
        for argument in command.get_arguments() {
            let id = argument.get_id();
            if id == "help" {
                continue;
            }
            let meaning = argument.get_help().unwrap_or_else(|| panic!("{name} {id}"));
            let meaning: String = meaning.to_string().chars().take(30).collect();
            assert!(help.contains(&meaning), "{name} {id}");
            if let Some(variable) = argument.get_env() {
                let variable = variable.to_str().unwrap();
                assert!(help.contains(&format!("[env: {variable}=")), "{name} {id}");
            }
        }
        let (_, codes) = help.split_once("Exit codes:\n").expect(name);
        let (codes, examples) = codes.split_once("Examples:\n").expect(name);
        assert!(
            codes.contains("\n  2  ") && codes.starts_with("  0  "),
            "{codes}"
        );
        let works = |line: &str| {
            let (_, command) = line.split_once("hello-operator").unwrap();
            let command = command.split(['|', '#']).next().unwrap();
            let words = command.split_whitespace();
            Cli::try_parse_from(std::iter::once("hello-operator").chain(words)).is_ok()
        };
        assert!(
            examples.lines().count() > 0 && examples.lines().all(works),
            "{examples}"
        );
    }
}
