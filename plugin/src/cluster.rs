//! The API server that the kubeconfig names, as `kubectl` chooses it.

use std::{path::PathBuf, time::Duration};

use hello_crds::{HelloRestore, HelloService, names};
use k8s_openapi::api::{autoscaling::v2::HorizontalPodAutoscaler, batch::v1::Job, core::v1::Pod};
use kube::{
    Api, Client, Config,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{ApiResource, GroupVersionKind},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result, with_causes};

/// Longest time that one call may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// Field manager of what this program changes.
const MANAGER: &str = "kubectl-hello";

/// Which cluster, and where in it: the options that every verb has.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Place {
    /// Kubeconfig file. Default: $KUBECONFIG, then ~/.kube/config, then the pod's own account
    #[arg(long, value_name = "FILE", global = true, help_heading = "Cluster")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig. Default: its current one
    #[arg(long, value_name = "NAME", global = true, help_heading = "Cluster")]
    pub context: Option<String>,
    /// Namespace. Default: that of the context
    #[arg(
        short,
        long,
        value_name = "NAME",
        global = true,
        help_heading = "Cluster"
    )]
    pub namespace: Option<String>,
}

impl Place {
    /// The same choice as options of `kubectl`.
    pub fn options(&self) -> Vec<String> {
        let kubeconfig = self.kubeconfig.as_ref();
        let file = kubeconfig.map(|file| format!("--kubeconfig={}", file.display()));
        let context = self
            .context
            .as_ref()
            .map(|name| format!("--context={name}"));
        let namespace = self.namespace.as_ref();
        let namespace = namespace.map(|name| format!("--namespace={name}"));
        [file, context, namespace].into_iter().flatten().collect()
    }

    /// What to type next for a reason of this service, in this cluster and namespace.
    pub fn next(&self, reason: &str, service: &str) -> Option<String> {
        let next = hello_crds::next_command(reason)?;
        Some(self.command(&next.replace("NAME", service)))
    }

    /// The same for a reason of a restore of this service.
    pub fn next_of_restore(&self, reason: &str, restore: &str, service: &str) -> Option<String> {
        let next = hello_crds::next_command_of_restore(reason)?;
        Some(self.command(&next.replace("RESTORE", restore).replace("NAME", service)))
    }

    /// A command to type next: for this cluster and this namespace.
    pub fn command(&self, command: &str) -> String {
        let mut command = command.to_owned();
        for option in self.options() {
            let elsewhere = option.starts_with("--namespace=")
                && (command.contains("--namespace=") || command.contains("--all-namespaces"));
            if !elsewhere {
                command += " ";
                command += &quoted(&option);
            }
        }
        command
    }
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:@%+,".contains(c);
    if word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A namespace of a cluster.
pub struct Cluster {
    client: Client,
    /// The namespace.
    pub namespace: String,
    /// How it was chosen.
    pub place: Place,
}

impl Cluster {
    /// Reads the kubeconfig. Nothing is asked yet.
    pub async fn open(place: &Place) -> Result<Self> {
        let config = config(place).await?;
        let namespace = place.namespace.as_ref();
        let namespace = namespace.unwrap_or(&config.default_namespace).clone();
        let client =
            Client::try_from(config).map_err(|error| Error::Kubeconfig(with_causes(&error)))?;
        let place = place.clone();
        Ok(Self {
            client,
            namespace,
            place,
        })
    }

    /// The service, or an error that says where to look for it.
    pub async fn service(&self, name: &str) -> Result<HelloService> {
        let what = format!("HelloService {name} in namespace {}", self.namespace);
        let api = self.services();
        match asked(&what, api.get_opt(name)).await? {
            Some(service) => Ok(service),
            // `get_opt` does not tell a missing resource from a missing definition; a list does.
            None => {
                let one = ListParams::default().limit(1);
                asked(&what, api.list(&one)).await?;
                Err(Error::Refused(format!(
                    "{what} does not exist\nTry `kubectl get helloservices --all-namespaces`"
                )))
            }
        }
    }

    /// All services of the namespace, by name.
    pub async fn all_services(&self) -> Result<Vec<HelloService>> {
        let what = format!("HelloServices in namespace {}", self.namespace);
        let all = ListParams::default();
        Ok(asked(&what, self.services().list(&all)).await?.items)
    }

    /// The pods of a service, those of CloudNativePG included.
    pub async fn pods(&self, name: &str) -> Result<Vec<Pod>> {
        of_service("pods", &self.pod_api(), name).await
    }

    /// What the pods of a service use, as the metrics API has it.
    pub async fn pod_metrics(&self, name: &str) -> Result<Vec<DynamicObject>> {
        let kind = GroupVersionKind::gvk("metrics.k8s.io", "v1beta1", "PodMetrics");
        let metrics = ApiResource::from_gvk_with_plural(&kind, "pods");
        let api = Api::namespaced_with(self.client.clone(), &self.namespace, &metrics);
        of_service("metrics of pods", &api, name).await
    }

    /// The `Cluster` of CloudNativePG that holds the data of a service.
    pub async fn database_cluster(&self, service: &str) -> Result<DynamicObject> {
        let name = names::database(service);
        asked(&format!("Cluster {name}"), self.clusters().get(&name)).await
    }

    /// Changes the status of that `Cluster`.
    pub async fn patch_database_status(&self, service: &str, patch: &Value) -> Result<()> {
        let name = names::database(service);
        let (api, parameters, patch) = (self.clusters(), by_us(), Patch::Merge(patch));
        let change = api.patch_status(&name, &parameters, &patch);
        asked(&format!("the status of Cluster {name}"), change)
            .await
            .map(drop)
    }

    /// Jobs of the backups of a service, those of the schedule and those that were requested.
    pub async fn backup_jobs(&self, name: &str) -> Result<Vec<Job>> {
        let (part, backup) = (names::COMPONENT_LABEL, names::Component::Backup.as_str());
        let labels = format!("{},{part}={backup}", selector(name));
        let api: Api<Job> = Api::namespaced(self.client.clone(), &self.namespace);
        let selected = ListParams::default().labels(&labels);
        Ok(asked("jobs", api.list(&selected)).await?.items)
    }

    /// The autoscaler of a service.
    pub async fn autoscaler(&self, name: &str) -> Result<Option<HorizontalPodAutoscaler>> {
        let api: Api<HorizontalPodAutoscaler> =
            Api::namespaced(self.client.clone(), &self.namespace);
        asked("autoscaler", api.get_opt(name)).await
    }

    /// The restores of a service.
    pub async fn restores(&self, name: &str) -> Result<Vec<HelloRestore>> {
        let all = ListParams::default();
        let mut restores = asked("restores", self.restore_api().list(&all))
            .await?
            .items;
        restores.retain(|restore| restore.spec.service.name == name);
        Ok(restores)
    }

    /// One restore, unless it is gone.
    pub async fn restore(&self, name: &str) -> Result<Option<HelloRestore>> {
        let what = format!("HelloRestore {name}");
        asked(&what, self.restore_api().get_opt(name)).await
    }

    /// Orders a restore.
    pub async fn create_restore(&self, restore: &HelloRestore) -> Result<HelloRestore> {
        let parameters = PostParams {
            field_manager: Some(MANAGER.into()),
            ..Default::default()
        };
        let api = self.restore_api();
        asked("a HelloRestore", api.create(&parameters, restore)).await
    }

    /// Changes some fields of a restore.
    pub async fn patch_restore(&self, name: &str, patch: &Value) -> Result<HelloRestore> {
        let (what, api) = (format!("HelloRestore {name}"), self.restore_api());
        let (parameters, patch) = (by_us(), Patch::Merge(patch));
        asked(&what, api.patch(name, &parameters, &patch)).await
    }

    /// Deletes a restore; the operator then removes what it staged.
    pub async fn delete_restore(&self, name: &str) -> Result<()> {
        let (what, api) = (format!("HelloRestore {name}"), self.restore_api());
        let parameters = DeleteParams::default();
        let deletion = api.delete(name, &parameters);
        asked(&what, deletion).await.map(|_| ())
    }

    /// Changes some fields of a service.
    pub async fn patch_service(&self, name: &str, patch: &Value) -> Result<HelloService> {
        let (what, api) = (format!("HelloService {name}"), self.services());
        let (parameters, patch) = (by_us(), Patch::Merge(patch));
        asked(&what, api.patch(name, &parameters, &patch)).await
    }

    /// Pods of the namespace.
    pub fn pod_api(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn clusters(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("postgresql.cnpg.io", "v1", "Cluster");
        let clusters = ApiResource::from_gvk(&kind);
        Api::namespaced_with(self.client.clone(), &self.namespace, &clusters)
    }

    fn services(&self) -> Api<HelloService> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn restore_api(&self) -> Api<HelloRestore> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

/// What there is of a kind for the pods of a service, each once.
async fn of_service<K>(what: &str, api: &Api<K>, name: &str) -> Result<Vec<K>>
where
    K: kube::Resource + Clone + DeserializeOwned + std::fmt::Debug,
{
    let servers = format!("{}={}", names::CNPG_LABEL, names::database(name));
    let mut found: Vec<K> = Vec::new();
    for labels in [selector(name), servers] {
        let selected = ListParams::default().labels(&labels);
        for object in asked(what, api.list(&selected)).await?.items {
            let same = |known: &K| known.meta().name == object.meta().name;
            if !found.iter().any(same) {
                found.push(object);
            }
        }
    }
    Ok(found)
}

/// Selects the objects of a service.
fn selector(name: &str) -> String {
    format!(
        "app.kubernetes.io/name=hello,{}={name}",
        names::INSTANCE_LABEL
    )
}

fn by_us() -> PatchParams {
    PatchParams {
        field_manager: Some(MANAGER.into()),
        ..Default::default()
    }
}

/// The connection that the options and the kubeconfig ask for.
async fn config(place: &Place) -> Result<Config> {
    let wrong = |error: &dyn std::error::Error| Error::Kubeconfig(with_causes(error));
    let options = KubeConfigOptions {
        context: place.context.clone(),
        ..Default::default()
    };
    if let Some(file) = &place.kubeconfig {
        let file = Kubeconfig::read_from(file).map_err(|error| wrong(&error))?;
        let config = Config::from_custom_kubeconfig(file, &options).await;
        return config.map_err(|error| wrong(&error));
    }
    if place.context.is_some() {
        let config = Config::from_kubeconfig(&options).await;
        return config.map_err(|error| wrong(&error));
    }
    Config::infer().await.map_err(|error| wrong(&error))
}

/// The answer to a call, within the deadline.
async fn asked<T>(what: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T> {
    match tokio::time::timeout(DEADLINE, call).await {
        Ok(answer) => answer.map_err(|answer| Error::Api {
            what: what.to_owned(),
            answer: Box::new(answer),
        }),
        Err(_) => Err(Error::Silent(what.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_command_is_for_the_same_cluster_and_namespace() {
        let place = Place {
            kubeconfig: Some("/home/a b/config".into()),
            context: Some("east".into()),
            namespace: Some("team-a".into()),
        };
        assert_eq!(
            place.command("kubectl get nodes"),
            "kubectl get nodes '--kubeconfig=/home/a b/config' --context=east --namespace=team-a"
        );
        let elsewhere = place.command("kubectl logs --namespace=hello-system deployment/x");
        assert!(!elsewhere.contains("team-a"), "{elsewhere}");
        assert_eq!(Place::default().command("kubectl get x"), "kubectl get x");
    }
}
