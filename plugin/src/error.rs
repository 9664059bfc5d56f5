//! Errors in words that say what to do, and the exit codes.

use std::process::ExitCode;

/// How a command ended. The codes are part of the interface: `kubectl hello --help` lists them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// As wanted.
    Well,
    /// The command has worked, and what it looked at or asked for is not as wanted.
    Unwell,
    /// The arguments are not valid.
    Usage,
    /// It could not be found out, or not be done.
    Unable,
    /// Another program's.
    Other(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Well => 0,
            Exit::Unwell => 1,
            Exit::Usage => 2,
            Exit::Unable => 3,
            Exit::Other(code) => code,
        })
    }
}

/// Result of what can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a command cannot do what it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kubeconfig is missing or cannot be used.
    #[error(
        "{0}\nSet KUBECONFIG or --kubeconfig, and choose one of `kubectl config get-contexts` by --context"
    )]
    Kubeconfig(String),
    /// The API server's answer is an error.
    #[error("{what}: {}", explain(answer))]
    Api {
        /// What was asked for.
        what: String,
        /// What it answered.
        answer: Box<kube::Error>,
    },
    /// The API server does not answer in time.
    #[error("{0}: the API server does not answer\nTry `kubectl cluster-info`")]
    Silent(String),
    /// What the command names is not there, or not in a state for it; the text says what to do.
    #[error("{0}")]
    Refused(String),
    /// Standard output cannot be written to.
    #[error("standard output: {0}")]
    Output(#[from] std::io::Error),
}

impl Error {
    /// The exit code it leads to.
    pub const fn exit(&self) -> Exit {
        Exit::Unable
    }

    /// Whether the API server does not serve the path at all, or the server behind it is not there.
    pub fn is_unknown_api(&self) -> bool {
        let Self::Api { answer, .. } = self else {
            return false;
        };
        matches!(&**answer, kube::Error::Api(status) if is_unknown_path(status) || status.code == 503)
    }
}

/// Whether the path itself does not exist, and not only an object there. The answer is then mostly no `Status`, so it has no
/// reason either.
fn is_unknown_path(status: &kube::core::Status) -> bool {
    status.code == 404 && status.details.is_none()
}

/// The answer of the API server in words, and what to do.
fn explain(answer: &kube::Error) -> String {
    match answer {
        kube::Error::Api(status) if status.is_forbidden() => {
            format!(
                "{}\nAsk for the role `view` to look at services, and `edit` to change them: docs/tenancy.md",
                status.message
            )
        }
        kube::Error::Api(status) if status.code == 401 => {
            "the API server does not accept the credentials of the kubeconfig: log in again".into()
        }
        // No definition is installed.
        kube::Error::Api(status) if is_unknown_path(status) => {
            "this cluster does not know HelloServices: install the operator first, docs/install.md"
                .into()
        }
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        kube::Error::SerdeError(error) => format!(
            "{error}\nThe resource has a form that this version does not know: use the plugin of the operator's version"
        ),
        // No answer at all: the address, the network, certificates.
        other => format!("{}\nTry `kubectl cluster-info`", with_causes(other)),
    }
}

/// An error with all that it was caused by, each once.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text += ": ";
            text += &words;
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use kube::core::{Status, response::StatusDetails};

    use super::*;

    fn answer(code: u16, reason: &str, details: Option<StatusDetails>) -> String {
        let status = Status {
            details,
            ..Status::failure("the words of the server", reason).with_code(code)
        };
        let what = "HelloService hello".into();
        let answer = Box::new(kube::Error::Api(Box::new(status)));
        Error::Api { what, answer }.to_string()
    }

    #[test]
    fn without_an_answer_the_connection_is_to_blame() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let text = explain(&kube::Error::Service(Box::new(refused)));
        assert!(
            text.contains("refused") && text.contains("kubectl cluster-info"),
            "{text}"
        );
    }

    #[test]
    fn an_error_says_what_to_do() {
        let details = serde_json::from_value(serde_json::json!({"name": "hello"})).unwrap();
        for (code, reason, details, expected) in [
            (403, "Forbidden", None, "`edit`"),
            (401, "Unauthorized", None, "log in again"),
            (404, "NotFound", None, "install the operator"),
            (
                404,
                "Failed to parse error data",
                None,
                "install the operator",
            ),
            (404, "NotFound", Some(details), "the words"),
            (409, "Conflict", None, "the words of the server"),
        ] {
            let text = answer(code, reason, details);
            assert!(text.starts_with("HelloService hello: "), "{text}");
            assert!(text.contains(expected), "{code}: {text}");
        }
    }
}
