//! The command line.

pub mod diff;
pub mod manifest;
pub mod run;

use std::{io::Write, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::{
    service::validate::{DefaultImages, Limits},
    telemetry::logging::LogFormat,
};

/// Runs HelloServices on Kubernetes: the API, its database, migrations, scaling and backups.
#[derive(Debug, Parser)]
#[command(
    name = "hello-operator",
    version,
    max_term_width = 100,
    after_help = "\
Each command has more: hello-operator COMMAND --help"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch HelloServices and reconcile their objects
    ///
    /// Needs a cluster: the one of this pod, or the current context of the kubeconfig.
    /// SIGTERM or SIGINT stops it: it completes the current write and releases its Lease.
    #[command(
        verbatim_doc_comment,
        after_help = "\
Exit codes:
  0  stopped by a signal
  2  a setting is not valid, there is no cluster, another replica leads, or the operator failed

Examples:
  hello-operator run                                       # outside the cluster, no election
  hello-operator run --namespace team-a --log-level debug  # one namespace only"
    )]
    Run(Run),
    /// Print the CustomResourceDefinitions as YAML
    #[command(after_help = "\
Exit codes:
  0  printed
  2  standard output cannot be written to

Examples:
  hello-operator crds | kubectl apply --server-side -f -")]
    Crds,
    /// Print every object that a HelloService leads to, without a cluster
    ///
    /// Passwords, and the identity of a database that does not exist yet, are placeholders.
    #[command(after_help = "\
Exit codes:
  0  printed
  2  the file cannot be read, or holds something that is not a valid HelloService

Examples:
  hello-operator render -f my.yaml
  kubectl get helloservice hello -o yaml | hello-operator render -f -")]
    Render(Render),
    /// Show how the objects in the cluster differ from what a HelloService leads to
    ///
    /// Changes nothing, and needs no right to. A line for each object, without its content, which may be secret:
    /// it is missing, it differs, it is leaving, or it is foreign (it does not belong to this resource).
    /// Then the references of the spec that are not usable, and the writes that the operator would make next.
    /// Fields that the operator does not set do not count.
    #[command(
        verbatim_doc_comment,
        after_help = "\
Exit codes:
  0  nothing differs, and nothing is printed
  1  something differs
  2  the file is not usable, or the cluster does not answer

Examples:
  hello-operator diff -f my.yaml
  kubectl get helloservice hello -o yaml | hello-operator diff -f -"
    )]
    Diff(Diff),
}

/// Images for resources that name none.
#[derive(Args, Clone, Debug)]
struct Images {
    /// Image of the API for resources that name none
    #[arg(long, env = "HELLO_APP_IMAGE", default_value = concat!("hello-app:", env!("CARGO_PKG_VERSION")))]
    app_image: String,
    /// Image of PostgreSQL 18 for resources that name none
    #[arg(long, env = "HELLO_POSTGRES_IMAGE", default_value = "postgres:18")]
    postgres_image: String,
}

impl From<Images> for DefaultImages {
    fn from(images: Images) -> Self {
        Self {
            app: images.app_image,
            postgres: images.postgres_image,
        }
    }
}

/// What resources may contain, whoever writes them. See docs/tenancy.md.
#[derive(Args, Clone, Debug)]
struct Allowed {
    /// Registry or repository of the images that a resource may name; repeat it for more; none: any
    #[arg(
        long,
        env = "HELLO_ALLOW_IMAGE_PREFIX",
        value_name = "PREFIX",
        value_delimiter = ','
    )]
    allow_image_prefix: Vec<String>,
    /// Host of Ingresses and HTTPRoutes, or *.DOMAIN for all below it; repeat it for more; none: any
    #[arg(
        long,
        env = "HELLO_ALLOW_HOST",
        value_name = "HOST",
        value_delimiter = ','
    )]
    allow_host: Vec<String>,
    /// Annotation of Ingresses, or PREFIX/* for all that start so; repeat it for more; none: a list of harmless ones
    #[arg(
        long,
        env = "HELLO_ALLOW_INGRESS_ANNOTATION",
        value_name = "KEY",
        value_delimiter = ','
    )]
    allow_ingress_annotation: Vec<String>,
    /// Annotation of Services, or PREFIX/* for all that start so; repeat it for more; none: a list of harmless ones
    #[arg(
        long,
        env = "HELLO_ALLOW_SERVICE_ANNOTATION",
        value_name = "KEY",
        value_delimiter = ','
    )]
    allow_service_annotation: Vec<String>,
}

impl From<Allowed> for Limits {
    fn from(allowed: Allowed) -> Self {
        Self::new(
            allowed.allow_image_prefix,
            allowed.allow_host,
            allowed.allow_ingress_annotation,
            allowed.allow_service_annotation,
        )
    }
}

#[derive(Args, Debug)]
struct Run {
    #[command(flatten)]
    images: Images,
    #[command(flatten)]
    allowed: Allowed,
    /// Watch only this namespace; empty: all namespaces
    #[arg(long, env = "WATCH_NAMESPACE", default_value = "")]
    namespace: String,
    /// Address that serves /livez, /readyz and /metrics
    #[arg(long, env = "HELLO_OPERATOR_LISTEN", default_value = "[::]:8080")]
    listen: SocketAddr,
    /// Metrics name each resource with its namespace; without this they only count
    #[arg(long, env = "HELLO_METRICS_NAMES")]
    metrics_names: bool,
    /// Only accounts that may get the path /metrics read the metrics; the API server reviews their tokens
    #[arg(long, env = "HELLO_METRICS_ACCESS")]
    metrics_access: bool,
    /// Least severe level that is logged, or a filter such as info,kube=debug
    #[arg(long, env = "HELLO_LOG_LEVEL", default_value = "info")]
    log_level: String,
    /// Form of the log
    #[arg(long, env = "HELLO_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Name of this pod, for events
    #[arg(long, env = "POD_NAME")]
    pod_name: Option<String>,
    /// Namespace of this pod and of the Lease of the leader; unset: no leader election
    #[arg(long, env = "POD_NAMESPACE")]
    pod_namespace: Option<String>,
}

#[derive(Args, Debug)]
struct Render {
    #[command(flatten)]
    images: Images,
    /// File with HelloServices in YAML; - for standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
}

#[derive(Args, Debug)]
struct Diff {
    #[command(flatten)]
    services: Render,
    #[command(flatten)]
    allowed: Allowed,
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Crds => manifest::crds().and_then(|text| print(&text)),
        Command::Render(render) => {
            manifest::render(&render.file, &render.images.into()).and_then(|text| print(&text))
        }
        Command::Diff(Diff { services, allowed }) => {
            match diff::diff(&services.file, &services.images.into(), &allowed.into()) {
                Ok(text) if text.is_empty() => Ok(()),
                Ok(text) => {
                    return print(&text).map_or_else(|error| fail(&*error), |()| ExitCode::from(1));
                }
                Err(error) => Err(error),
            }
        }
        Command::Run(run) => run::run(run::Options {
            images: run.images.into(),
            limits: run.allowed.into(),
            namespace: Some(run.namespace).filter(|namespace| !namespace.is_empty()),
            listen: run.listen,
            metrics_names: run.metrics_names,
            metrics_access: run.metrics_access,
            log_level: run.log_level,
            log_format: run.log_format,
            pod_name: run.pod_name,
            pod_namespace: run.pod_namespace,
        }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

fn print(text: &str) -> Result<(), Box<dyn std::error::Error>> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// 2: the command did not do what it was asked to.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    let mut text = format!("hello-operator: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    // Nothing is left to do when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(2)
}
