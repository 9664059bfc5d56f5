//! `kubectl hello psql`: a session with the database, through `kubectl exec`.

use std::{ffi::OsString, io, process::Command};

use clap::Args;
use hello_crds::{HelloService, names};

use crate::{
    cluster::{Cluster, Place},
    error::{Error, Exit, Result},
    terminal::Terminal,
};

/// Options of `psql`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The service
    pub name: String,
    /// Arguments of psql
    #[arg(last = true, value_name = "ARGUMENT")]
    pub arguments: Vec<OsString>,
}

/// Runs psql in the pod of the server.
pub async fn run(cluster: &Cluster, options: &Options, terminal: &Terminal<'_>) -> Result<Exit> {
    let service = cluster.service(&options.name).await?;
    let pod = pod(&service)?;
    let interactive = terminal.person.is_some();
    let mut arguments = arguments(&cluster.place, &cluster.namespace, &pod, interactive);
    arguments.extend(options.arguments.iter().cloned());
    let status = Command::new("kubectl").args(arguments).status();
    let status = status.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Error::Refused("psql runs through kubectl, which is not on the PATH".into())
        }
        _ => Error::Refused(format!("kubectl: {error}")),
    })?;
    // Ended by a signal, it has no code.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(Exit::Unable, Exit::Other))
}

/// The pod of the server that accepts writes.
fn pod(service: &HelloService) -> Result<String> {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let database = &service.spec.database;
    if database.external.is_some() {
        return Err(Error::Refused(format!(
            "the database of {name} is external, and the cluster has no pod of it: use psql with the address in the \
             Secret that spec.database.external names"
        )));
    }
    if database.cloud_native_pg.is_none() {
        return Ok(format!("{}-0", names::database(name)));
    }
    let status = service.status.as_ref();
    let primary = status.and_then(|status| status.database.as_ref()?.primary.clone());
    primary.ok_or_else(|| {
        Error::Refused(format!(
            "no server of {name} accepts writes at the moment\nTry `kubectl hello status {name}`"
        ))
    })
}

/// The arguments of kubectl, up to those of psql.
fn arguments(place: &Place, namespace: &str, pod: &str, interactive: bool) -> Vec<OsString> {
    let place = Place {
        namespace: Some(namespace.to_owned()),
        ..place.clone()
    };
    let mut words = vec!["exec".to_owned(), "--stdin".to_owned()];
    if interactive {
        words.push("--tty".to_owned());
    }
    words.extend(place.options());
    let psql = [
        "--container=postgres",
        pod,
        "--",
        "psql",
        "--username",
        names::SUPERUSER,
        names::DATABASE,
    ];
    words.extend(psql.map(str::to_owned));
    words.into_iter().map(OsString::from).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(spec: serde_json::Value, status: serde_json::Value) -> HelloService {
        serde_json::from_value(json!({
            "apiVersion": hello_crds::API_VERSION, "kind": hello_crds::KIND,
            "metadata": {"name": "demo"}, "spec": spec, "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn the_session_is_with_the_server_that_accepts_writes() {
        let managed = service(json!({}), json!({}));
        assert_eq!(pod(&managed).unwrap(), "demo-db-0");
        let cnpg = json!({"database": {"cloudNativePG": {}}});
        let primary = json!({"database": {"kind": "cloudNativePG", "primary": "demo-db-2"}});
        assert_eq!(pod(&service(cnpg.clone(), primary)).unwrap(), "demo-db-2");
        let error = pod(&service(cnpg, json!({}))).unwrap_err().to_string();
        assert!(error.contains("kubectl hello status demo"), "{error}");
        let external = json!({"database": {"external": {"secretRef": {"name": "x"}}}});
        let error = pod(&service(external, json!({}))).unwrap_err().to_string();
        assert!(error.contains("external"), "{error}");
    }

    #[test]
    fn kubectl_gets_the_same_cluster() {
        let place = Place {
            context: Some("east".into()),
            ..Default::default()
        };
        let words = arguments(&place, "team-a", "demo-db-0", true).join(&OsString::from(" "));
        assert_eq!(
            words,
            "exec --stdin --tty --context=east --namespace=team-a --container=postgres demo-db-0 -- psql \
             --username postgres hello"
        );
        let words = arguments(&place, "team-a", "demo-db-0", false);
        assert!(!words.contains(&"--tty".into()));
    }
}
