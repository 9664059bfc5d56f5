//! The state that explains a failure: objects, events, logs and nodes, as files, and the end of the most useful ones as text.

use std::fmt::Write as _;
use std::path::Path;

use super::command::{Finished, kubectl_with};
use super::connection::OPERATOR_NAMESPACE;

/// Every kind that a `HelloService` has as a child, except Secrets: a dump may be passed on to others.
const KINDS: &str = "helloservices,hellorestores,deployments,replicasets,statefulsets,jobs,cronjobs,pods,services,endpointslices,\
persistentvolumeclaims,horizontalpodautoscalers,poddisruptionbudgets,networkpolicies,serviceaccounts";
const DESCRIBED: &str = "helloservices,hellorestores,pods,jobs,persistentvolumeclaims";
const OPERATOR_PODS: &str = "--selector=app.kubernetes.io/name=hello-operator";
/// The namespace that CloudNativePG runs in, when it is installed.
const CNPG_NAMESPACE: &str = "cnpg-system";
/// Lines of each log shown on the terminal; the whole is in the folder.
const TAIL: usize = 25;

/// Writes the dump of `namespace` into `folder` and returns what to print, with `title` above it.
pub async fn write(title: &str, namespace: &str, folder: &Path) -> String {
    let mut text = format!("--- state of {title} ({})\n", folder.display());
    if let Err(error) = std::fs::create_dir_all(folder) {
        let _ = writeln!(text, "cannot write a dump: {error}");
        return text;
    }
    for (file, namespace, arguments, shown) in calls(namespace) {
        let content = printed(kubectl(namespace, &arguments).await);
        save(folder, file, &content, &mut text);
        show(&mut text, file, &content, shown);
    }
    pod_logs(namespace, folder, &mut text).await;
    text
}

/// File, namespace, arguments of `kubectl`, and how many lines of the end are shown.
type Call<'a> = (&'a str, Option<&'a str>, Vec<&'a str>, usize);

/// What is asked about a scenario in `namespace`.
fn calls(namespace: &str) -> Vec<Call<'_>> {
    let events = ["get", "events", "--sort-by=.metadata.creationTimestamp"];
    let all_pods = ["get", "pods", "--all-namespaces", "--output=wide"];
    let clusters = ["get", "clusters.postgresql.cnpg.io", "--output=yaml"];
    let operator = ["logs", OPERATOR_PODS, "--prefix", "--tail=5000"];
    let before_restart = [&operator[..], &["--previous"]].concat();
    let cnpg = ["logs", "deployment/cnpg-controller-manager"];
    let (here, operators) = (Some(namespace), Some(OPERATOR_NAMESPACE));
    vec![
        ("objects.yaml", here, vec!["get", KINDS, "--output=yaml"], 0),
        (
            "overview.txt",
            here,
            vec!["get", KINDS, "--output=wide"],
            60,
        ),
        ("describe.txt", here, vec!["describe", DESCRIBED], 0),
        ("events.txt", here, events.to_vec(), TAIL),
        ("operator.log", operators, operator.to_vec(), TAIL),
        ("operator-previous.log", operators, before_restart, 0),
        ("nodes.txt", None, vec!["describe", "nodes"], 0),
        ("all-pods.txt", None, all_pods.to_vec(), 0),
        ("cnpg-clusters.yaml", here, clusters.to_vec(), 0),
        ("cnpg-operator.log", Some(CNPG_NAMESPACE), cnpg.to_vec(), 0),
    ]
}

/// Runs `kubectl`, in a namespace or for the whole cluster, whatever its exit status.
async fn kubectl(namespace: Option<&str>, arguments: &[&str]) -> anyhow::Result<Finished> {
    let mut all = arguments.to_vec();
    if let Some(namespace) = namespace {
        all.extend(["--namespace", namespace]);
    }
    kubectl_with(&all, "").await
}

/// The logs of every container of every pod, of the run before a restart too.
async fn pod_logs(namespace: &str, folder: &Path, text: &mut String) {
    let query = "--output=jsonpath={range .items[*]}{.metadata.name}{\" \"}{.status.phase}{\" \"}\
                 {range .status.initContainerStatuses[*]}{.name}={.restartCount}{\" \"}{end}\
                 {range .status.containerStatuses[*]}{.name}={.restartCount}{\" \"}{end}{\"\\n\"}{end}";
    let pods = printed(kubectl(Some(namespace), &["get", "pods", query]).await);
    for line in pods.lines() {
        let mut words = line.split_whitespace();
        let (Some(pod), Some(phase)) = (words.next(), words.next()) else {
            continue;
        };
        for (container, restarts) in words.filter_map(|word| word.split_once('=')) {
            let logs = ["logs", pod, "--container", container];
            let current = printed(kubectl(Some(namespace), &logs).await);
            let file = format!("{pod}.{container}.log");
            save(folder, &file, &current, text);
            if restarts != "0" {
                let previous = [&logs[..], &["--previous"]].concat();
                let previous = printed(kubectl(Some(namespace), &previous).await);
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

fn printed(result: anyhow::Result<Finished>) -> String {
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
