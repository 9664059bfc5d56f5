//! The operator of a release, installed, upgraded and removed by the commands of the documentation.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hello_crds::HelloService;
use hello_e2e::cluster::command;
use hello_e2e::markdown::blocks;
use hello_e2e::scenario::LABEL;
use hello_e2e::{Context, Result, Scenario, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use crate::repository;

/// Longer than the longest `kubectl wait` of the page.
const LIMIT: Duration = Duration::from_secs(360);
/// The page with the commands, in every release.
const PAGE: &str = "docs/install.md";
/// The page of the chart, in releases that have one.
const CHART_PAGE: &str = "docs/chart.md";
/// The names that documentation and manifests of 0.1.0 have for what they install.
const BASE: &str = "manifests/base";
const REGISTRY: &str = "registry.example.com/";
const TAG: &str = "0.1.0";

/// An earlier release: its sources, whose images are on the nodes.
pub struct Release {
    folder: PathBuf,
    tag: String,
}

impl Release {
    /// The release that `e2e/run` has prepared.
    ///
    /// # Errors
    /// When it has not.
    pub fn from_environment(variable: &str) -> Result<Self> {
        let folder = std::env::var_os(variable)
            .with_context(|| format!("{variable} is not set; run the scenarios by e2e/run"))?;
        let folder = PathBuf::from(folder);
        let end = folder.file_name().and_then(|name| name.to_str());
        let end = end.context("the folder of the release has no name")?;
        let tag = format!("{TAG}-{end}");
        Ok(Self { folder, tag })
    }

    /// The app's image.
    pub fn app(&self) -> String {
        format!("hello-app:{}", self.tag)
    }

    /// The release's own sample of a service, in the namespace of the scenario.
    ///
    /// # Errors
    /// When it is not as expected.
    pub fn sample(&self, s: &Scenario) -> Result<String> {
        let path = self.folder.join("tree/manifests/samples/hello.yaml");
        let text = std::fs::read_to_string(path)?;
        replaced(
            &text,
            "namespace: default",
            &format!("namespace: {}", s.namespace),
        )
    }

    /// Installs it, by an overlay as its page describes it and by the page's commands. Where another release runs, this is the
    /// way back.
    ///
    /// # Errors
    /// When a command fails.
    pub async fn install(&self) -> Result<()> {
        let tree = self.folder.join("tree");
        let page = std::fs::read_to_string(tree.join(PAGE))?;
        let blocks = blocks(&page);
        let find = |language: &str, part: &str| {
            let found = blocks
                .iter()
                .find(|b| b.language == language && b.text.contains(part));
            found.with_context(|| format!("{PAGE} of that release has no {language} with {part}"))
        };
        let overlay = &find("yaml", "resources: [hello/manifests/base]")?.text;
        let overlay = replaced(
            overlay,
            &format!("hello/{BASE}"),
            &format!("../tree/{BASE}"),
        )?;
        let overlay = replaced(&overlay, REGISTRY, "")?;
        let overlay = replaced(&overlay, TAG, &self.tag)?;
        let folder = self.folder.join("overlay");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("kustomization.yaml"), overlay)?;
        let commands = &find("sh", "apply --server-side -k")?.text;
        run(&self.folder, &replaced(commands, BASE, "overlay")?).await
    }

    /// Installs it by its chart and the commands of the chart's page.
    ///
    /// # Errors
    /// When a command fails.
    pub async fn install_chart(&self) -> Result<()> {
        let tree = self.folder.join("tree");
        let page = std::fs::read_to_string(tree.join(CHART_PAGE))?;
        let blocks = blocks(&page);
        let found = blocks
            .iter()
            .find(|block| block.language == "sh" && block.text.contains("helm install"));
        let commands = &found
            .with_context(|| format!("no helm install in {CHART_PAGE}"))?
            .text;
        // Its own test makes a service of its own, and is no part of an upgrade.
        let commands = commands.split("helm test").next().unwrap_or_default();
        let commands = replaced(commands, &format!("hello-app:{TAG}"), &self.app())?;
        run_helm(&tree, &commands, &self.tag).await
    }
}

/// Upgrades the chart's release to the present chart, as its page says.
///
/// # Errors
/// When a command fails.
pub async fn upgrade_chart() -> Result<()> {
    run_helm(&repository(), &marked(CHART_PAGE, "upgrade")?, TAG).await
}

/// Puts back what the chart's release was before, as its page says.
///
/// # Errors
/// When a command fails.
pub async fn roll_back_chart() -> Result<()> {
    run(&repository(), &marked(CHART_PAGE, "rollback")?).await
}

/// Removes the chart's release, as its page says.
///
/// # Errors
/// When a command fails.
pub async fn remove_chart() -> Result<()> {
    run(&repository(), &marked(CHART_PAGE, "uninstall")?).await
}

/// Runs commands of a page of the chart. The images have no registry here, and the operator's has another tag than the chart.
async fn run_helm(folder: &Path, commands: &str, tag: &str) -> Result<()> {
    let commands = replaced(commands, REGISTRY, "")?;
    let commands = replaced(
        &commands,
        "--set appImage",
        &format!("--set image.tag={tag} --set appImage"),
    )?;
    run(folder, &commands).await
}

/// Installs the present operator, or upgrades to it, as the documentation says.
///
/// # Errors
/// When a command fails.
pub async fn upgrade() -> Result<()> {
    documented("upgrade").await
}

/// Removes all services and the operator as the documentation says.
///
/// # Errors
/// When a command fails.
pub async fn remove() -> Result<()> {
    documented("remove").await
}

/// Runs the blocks of the present page that have this mark.
async fn documented(mark: &str) -> Result<()> {
    run(&repository(), &marked(PAGE, mark)?).await
}

/// The blocks of a present page that have this mark.
fn marked(page: &str, mark: &str) -> Result<String> {
    let text = std::fs::read_to_string(repository().join(page))?;
    let marked: Vec<String> = blocks(&text)
        .into_iter()
        .filter(|block| block.is_marked(mark))
        .map(|block| block.text)
        .collect();
    ensure!(!marked.is_empty(), "{page} has no block marked {mark}");
    Ok(marked.concat())
}

/// Removes the operator of earlier scenarios with all services, and puts it back at the end. When services of people are among
/// them, that is an error.
///
/// # Errors
/// When there are other services, or a command fails.
pub async fn vacate(s: &Scenario) -> Result<()> {
    let client = s.cluster.client.clone();
    let ours = Api::<Namespace>::all(client.clone())
        .list(&ListParams::default().labels(LABEL))
        .await?;
    let ours: Vec<String> = ours.iter().map(ResourceExt::name_any).collect();
    let services = Api::<HelloService>::all(client)
        .list(&ListParams::default())
        .await?;
    let others: Vec<String> = services
        .iter()
        .filter(|service| !ours.contains(&service.namespace().unwrap_or_default()))
        .map(|service| {
            format!(
                "{}/{}",
                service.namespace().unwrap_or_default(),
                service.name_any()
            )
        })
        .collect();
    ensure!(
        others.is_empty(),
        "this test removes the operator and all services, and these are not of a test: {}; delete them first",
        others.join(", ")
    );
    s.defer("install the present operator", upgrade());
    remove().await
}

/// Runs commands in a folder, on the whole cluster.
async fn run(folder: &Path, commands: &str) -> Result<()> {
    let helm = repository().join("e2e/tools/helm");
    let script = format!(
        "helm() {{ \"$('{}')\" \"$@\"; }}\ncd '{}'\n{commands}",
        helm.display(),
        folder.display()
    );
    command::output("bash", &["-euo", "pipefail", "-c", &script], "", LIMIT).await?;
    Ok(())
}

fn replaced(text: &str, from: &str, to: &str) -> Result<String> {
    ensure!(text.contains(from), "no {from:?} in:\n{text}");
    Ok(text.replace(from, to))
}
