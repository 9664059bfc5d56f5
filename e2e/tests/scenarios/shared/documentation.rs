//! The examples of the documentation work: every manifest, and every command marked as tested (```` ```sh tested ````),
//! is tried on the cluster's API server without changing anything.

use std::path::{Path, PathBuf};

use hello_e2e::cluster::command;
use hello_e2e::markdown::{Block, blocks};
use hello_e2e::{Context, Result, Scenario, bail, ensure, scenario};

use crate::repository;

/// The verbs of kubectl that change something, and accept `--dry-run`.
const CHANGING: [&str; 9] = [
    "annotate", "apply", "create", "delete", "label", "patch", "scale", "set", "replace",
];

#[tokio::test]
async fn manifests_and_commands_of_the_documentation_are_accepted() -> Result<()> {
    scenario::run("documentation", async |s| {
        let (mut manifests, mut commands, mut problems) = (0, 0, Vec::new());
        for path in documents()? {
            let text = std::fs::read_to_string(&path)?;
            for block in blocks(&text) {
                let result = if is_manifest(&block) {
                    manifests += 1;
                    apply(s, &block.text).await
                } else if block.language == "sh" && block.is_marked("tested") {
                    commands += 1;
                    run(s, &block.text).await
                } else {
                    continue;
                };
                if let Err(error) = result {
                    problems.push(format!("{}:{}: {error:#}", path.display(), block.line));
                }
            }
        }
        ensure!(
            problems.is_empty(),
            "the documentation is wrong:\n{}",
            problems.join("\n")
        );
        ensure!(manifests > 0, "no manifest was found in the documentation");
        s.figure(format!(
            "{manifests} manifests and {commands} blocks of commands accepted"
        ));
        Ok(())
    })
    .await
}

/// README.md and everything in docs/.
fn documents() -> Result<Vec<PathBuf>> {
    let root = repository();
    let mut found = vec![root.join("README.md")];
    for entry in std::fs::read_dir(root.join("docs")).context("no docs folder")? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "md") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// A whole object, not a part of one. Those marked with `front` need APIs that only the scenario of that name installs.
fn is_manifest(block: &Block) -> bool {
    let has = |key: &str| block.text.lines().any(|line| line.starts_with(key));
    block.language == "yaml" && !block.is_marked("front") && has("apiVersion:") && has("kind:")
}

async fn apply(s: &Scenario, manifest: &str) -> Result<()> {
    let args = [
        "--namespace",
        &s.namespace,
        "apply",
        "--server-side",
        "--dry-run=server",
        "--validate=strict",
        "--filename=-",
    ];
    let finished = command::kubectl_with(&args, manifest).await?;
    ensure!(finished.ok, "{}", finished.stderr.trim());
    Ok(())
}

/// Runs a block line by line, changes as a dry run. `make` targets and files only have to exist.
async fn run(s: &Scenario, text: &str) -> Result<()> {
    for line in text.replace("\\\n", " ").lines().map(str::trim) {
        let line = line.split(" # ").next().unwrap_or(line).trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let script = match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["make", ..] => {
                line.replacen("make", "make --dry-run --no-print-directory", 1) + " >/dev/null"
            }
            ["kubectl", rest @ ..] if rest.iter().any(|word| CHANGING.contains(word)) => {
                format!("{line} --dry-run=server")
            }
            ["kubectl", ..] => line.to_owned(),
            _ => bail!("`{line}` is marked as tested, but only kubectl and make can be"),
        };
        let script = script.replacen(
            "kubectl",
            &format!("kubectl --namespace {}", s.namespace),
            1,
        );
        in_repository(&repository(), &script)
            .await
            .with_context(|| format!("`{line}`"))?;
    }
    Ok(())
}

async fn in_repository(root: &Path, script: &str) -> Result<()> {
    let script = format!("cd {} && {script}", root.display());
    command::output(
        "bash",
        &["-euo", "pipefail", "-c", &script],
        "",
        std::time::Duration::from_secs(60),
    )
    .await?;
    Ok(())
}
