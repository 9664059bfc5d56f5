//! The state that explains a failed scenario: objects, events, logs and nodes, as files, and the telling end of it as text.

use std::fmt::Write as _;
use std::path::Path;

use crate::cluster::{OPERATOR, OPERATOR_NAMESPACE};
use crate::command::{Finished, kubectl_with};
use crate::scenario::Scenario;

/// Every kind that a `HelloService` has as a child, except Secrets: a dump is made to be handed around.
const KINDS: &str = "helloservices,deployments,replicasets,statefulsets,jobs,cronjobs,pods,services,endpointslices,\
persistentvolumeclaims,horizontalpodautoscalers,poddisruptionbudgets,networkpolicies,serviceaccounts";
/// Lines of each log shown on the terminal; the whole is in the folder.
const TAIL: usize = 25;

/// Writes the dump into `folder` and returns what to print.
pub(crate) async fn write(scenario: &Scenario, folder: &Path) -> String {
    let mut text = format!("--- state of {} ({})\n", scenario.name, folder.display());
    if let Err(error) = std::fs::create_dir_all(folder) {
        let _ = writeln!(text, "cannot write a dump: {error}");
        return text;
    }
    let namespace = scenario.namespace.as_str();
    let in_namespace = |rest: &[&str]| {
        [&["--namespace", namespace], rest]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect()
    };
    let operator = |rest: &[&str]| -> Vec<String> {
        let of = format!("--selector=app.kubernetes.io/name={OPERATOR}");
        let mut args = vec![
            "--namespace".into(),
            OPERATOR_NAMESPACE.into(),
            "logs".into(),
            of,
        ];
        args.extend(rest.iter().map(|&arg| arg.to_owned()));
        args.extend(["--prefix".to_owned(), "--tail=5000".to_owned()]);
        args
    };
    let calls: [(&str, Vec<String>, usize); 10] = [
        (
            "objects.yaml",
            in_namespace(&["get", KINDS, "--output=yaml"]),
            0,
        ),
        (
            "overview.txt",
            in_namespace(&["get", KINDS, "--output=wide"]),
            60,
        ),
        (
            "describe.txt",
            in_namespace(&["describe", "helloservices,pods,jobs,persistentvolumeclaims"]),
            0,
        ),
        (
            "events.txt",
            in_namespace(&["get", "events", "--sort-by=.metadata.creationTimestamp"]),
            TAIL,
        ),
        ("operator.log", operator(&[]), TAIL),
        ("operator-previous.log", operator(&["--previous"]), 0),
        (
            "nodes.txt",
            ["describe", "nodes"].map(str::to_owned).to_vec(),
            0,
        ),
        (
            "all-pods.txt",
            ["get", "pods", "--all-namespaces", "--output=wide"]
                .map(str::to_owned)
                .to_vec(),
            0,
        ),
        (
            "engine-clusters.yaml",
            in_namespace(&["get", "clusters.postgresql.cnpg.io", "--output=yaml"]),
            0,
        ),
        (
            "engine.log",
            [
                "--namespace",
                "cnpg-system",
                "logs",
                "deployment/cnpg-controller-manager",
            ]
            .map(str::to_owned)
            .to_vec(),
            0,
        ),
    ];
    for (file, args, shown) in calls {
        let content = said(kubectl_with(&args, "").await);
        save(folder, file, &content, &mut text);
        show(&mut text, file, &content, shown);
    }
    pod_logs(scenario, folder, &mut text).await;
    text
}

/// The logs of every container of every pod, of the run before a restart too.
async fn pod_logs(scenario: &Scenario, folder: &Path, text: &mut String) {
    let query = "--output=jsonpath={range .items[*]}{.metadata.name}{\" \"}{.status.phase}{\" \"}\
                 {range .status.initContainerStatuses[*]}{.name}={.restartCount}{\" \"}{end}\
                 {range .status.containerStatuses[*]}{.name}={.restartCount}{\" \"}{end}{\"\\n\"}{end}";
    let namespace = ["--namespace", &scenario.namespace];
    let pods = said(kubectl_with(&[&namespace[..], &["get", "pods", query]].concat(), "").await);
    for line in pods.lines() {
        let mut words = line.split_whitespace();
        let (Some(pod), Some(phase)) = (words.next(), words.next()) else {
            continue;
        };
        for (container, restarts) in words.filter_map(|word| word.split_once('=')) {
            let logs = [&namespace[..], &["logs", pod, "--container", container]].concat();
            let current = said(kubectl_with(&logs, "").await);
            let file = format!("{pod}.{container}.log");
            save(folder, &file, &current, text);
            if restarts != "0" {
                let previous = said(kubectl_with(&[&logs[..], &["--previous"]].concat(), "").await);
                save(
                    folder,
                    &format!("{pod}.{container}.previous.log"),
                    &previous,
                    text,
                );
                show(
                    text,
                    &format!("{file}, before its last restart"),
                    &previous,
                    TAIL,
                );
            }
            if phase != "Succeeded" {
                show(text, &file, &current, TAIL);
            }
        }
    }
}

fn said(result: anyhow::Result<Finished>) -> String {
    match result {
        Ok(finished) => finished.stdout + &finished.stderr,
        Err(error) => format!("{error:#}\n"),
    }
}

fn save(folder: &Path, file: &str, content: &str, text: &mut String) {
    if let Err(error) = std::fs::write(folder.join(file), content) {
        let _ = writeln!(text, "cannot write {file}: {error}");
    }
}

fn show(text: &mut String, title: &str, content: &str, lines: usize) {
    if lines == 0 {
        return;
    }
    let skip = content.lines().count().saturating_sub(lines);
    let _ = writeln!(text, "--- {title}");
    for line in content.lines().skip(skip) {
        let _ = writeln!(text, "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tail_is_shown() {
        let mut text = String::new();
        show(&mut text, "log", "1\n2\n3\n", 2);
        assert_eq!(text, "--- log\n2\n3\n");
        show(&mut text, "whole in the folder", "4\n", 0);
        assert_eq!(text, "--- log\n2\n3\n");
    }
}
