//! What can go wrong in a reconcile, classed by what helps.

use std::time::Duration;

use crate::object::child::ChildId;

/// What to do about an error.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Class {
    /// It may be gone at the next try: the API server was away or busy.
    Transient,
    /// Something else must happen first; a watch or a slow poll notices it.
    Waiting,
    /// The resource must be edited; trying again does not help.
    Invalid,
    /// An object of a wanted name is foreign; a person must decide.
    Conflict,
    /// The API server does not allow it: a quota, a policy, a missing right. It may change its mind.
    Refused,
    /// A call got no answer in time. Each such try holds a worker for as long.
    Unanswered,
}

impl Class {
    /// Every class.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 6] = [
        Self::Transient,
        Self::Waiting,
        Self::Invalid,
        Self::Conflict,
        Self::Refused,
        Self::Unanswered,
    ];

    /// Whether it may be gone at the next try, so that it is no news about the resource.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        match self {
            Self::Transient | Self::Unanswered => true,
            Self::Waiting | Self::Invalid | Self::Conflict | Self::Refused => false,
        }
    }

    /// Value of the metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Waiting => "waiting",
            Self::Invalid => "invalid",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
        }
    }

    /// Shortest and longest delay before the next try. What is transient is tried often enough to be over within
    /// 10 seconds of the API server's return, also when no watch broke that would report it.
    #[must_use]
    pub const fn delays(self) -> (Duration, Duration) {
        match self {
            Self::Transient => (Duration::from_millis(200), Duration::from_secs(6)),
            Self::Waiting => (Duration::from_secs(2), Duration::from_secs(30)),
            Self::Invalid => (Duration::from_secs(300), Duration::from_secs(900)),
            Self::Conflict => (Duration::from_secs(5), Duration::from_secs(60)),
            // No watch reports that a quota was raised or a right granted.
            Self::Refused => (Duration::from_secs(2), Duration::from_secs(20)),
            // When the API server itself was away, its watches report that it is back.
            Self::Unanswered => (Duration::from_secs(1), Duration::from_secs(60)),
        }
    }
}

/// Why a reconcile stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server answered with an error, or not at all.
    #[error("{action}: {}", answer(source))]
    Api {
        /// What was tried.
        action: String,
        /// The client's error.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time.
    #[error("{action}: no answer within {} s", deadline.as_secs())]
    Deadline {
        /// What was tried.
        action: String,
        /// How long was waited.
        deadline: Duration,
    },
    /// This process may not write: another one may be the leader.
    #[error("{action}: not the leader")]
    NotLeader {
        /// What was about to be tried.
        action: String,
    },
    /// The resource asks for something that is not possible.
    #[error("{field}: {message}")]
    Invalid {
        /// Path of the field.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// Something that the resource refers to is not there (yet).
    #[error("{message}")]
    Missing {
        /// What is missing, and where it is named.
        message: String,
    },
    /// An object of the wanted name is foreign.
    #[error("{child} exists and does not belong to this resource")]
    Foreign {
        /// The object.
        child: ChildId,
    },
    /// A live object does not parse as its kind.
    #[error("{child} cannot be read: {source}")]
    Unreadable {
        /// The object.
        child: ChildId,
        /// Where it went wrong.
        #[source]
        source: serde_json::Error,
    },
    /// An object could not be turned into or read from JSON.
    #[error("{what}: {source}")]
    Json {
        /// Which object.
        what: String,
        /// Where it went wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The operating system gave no random numbers.
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
    /// A certificate could not be issued.
    #[error("no certificate: {0}")]
    Certificate(rcgen::Error),
}

/// The cause by which the API server says that nothing can be created in a namespace.
const NAMESPACE_TERMINATING: &str = "NamespaceTerminating";

/// The API server may ask for any time; this much is granted.
const LONGEST_REQUESTED: Duration = Duration::from_secs(30);

/// The error in words: of a refusal only the API server's own message.
fn answer(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        kube::Error::Api(status) if !status.reason.is_empty() => {
            format!("{} ({})", status.reason, status.code)
        }
        kube::Error::Api(status) => format!("the API server answered with {}", status.code),
        other => other.to_string(),
    }
}

impl Error {
    /// Class of the error; each variant has one, so nothing is retried by accident.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            // It ends with the namespace, and with it the resource to report on.
            Self::Api { .. } if self.is_terminating_namespace() => Class::Transient,
            Self::Api { source, .. } => match source.as_ref() {
                // 400 and 422: the API server refuses the content, so only an edit helps.
                kube::Error::Api(status) if matches!(status.code, 400 | 422) => Class::Invalid,
                kube::Error::Api(status) if status.code == 403 => Class::Refused,
                _ => Class::Transient,
            },
            Self::Deadline { .. } => Class::Unanswered,
            Self::NotLeader { .. } | Self::Random(_) | Self::Certificate(_) => Class::Transient,
            Self::Invalid { .. } | Self::Json { .. } => Class::Invalid,
            Self::Missing { .. } | Self::Unreadable { .. } => Class::Waiting,
            Self::Foreign { .. } => Class::Conflict,
        }
    }

    /// An error about one field.
    #[must_use]
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid {
            field: field.into(),
            message: message.into(),
        }
    }

    /// Whether the API server answered with this status code.
    #[must_use]
    pub fn is_code(&self, code: u16) -> bool {
        matches!(self, Self::Api { source, .. }
            if matches!(source.as_ref(), kube::Error::Api(status) if status.code == code))
    }

    /// Whether the API server failed at this request, which says nothing about others: it answered with an error of its
    /// own, such as that of a webhook that does not answer.
    #[must_use]
    pub fn is_server_failure(&self) -> bool {
        matches!(self, Self::Api { source, .. }
            if matches!(source.as_ref(), kube::Error::Api(status) if (500..=599).contains(&status.code)))
    }

    /// Whether the next request may fare better. The API server's deadline for a webhook is as long as ours for the API
    /// server, so the first request without an answer may be about its object; with a second one it is the API server.
    #[must_use]
    pub fn is_about_one_object(&self, is_first: bool) -> bool {
        self.is_server_failure() || (is_first && matches!(self, Self::Deadline { .. }))
    }

    /// Whether the API server reports that the namespace is being deleted, where nothing can be created.
    #[must_use]
    pub fn is_terminating_namespace(&self) -> bool {
        let Some(status) = self.status() else {
            return false;
        };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        let mut causes = causes.map(|cause| &*cause.reason);
        status.code == 403 && causes.any(|cause| cause == NAMESPACE_TERMINATING)
    }

    /// How long the API server asks to wait before the next try.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self.status()?.details.as_ref()?.retry_after_seconds;
        let wait = Duration::from_secs(seconds.into());
        (!wait.is_zero()).then(|| wait.min(LONGEST_REQUESTED))
    }

    /// What the API server answered.
    fn status(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Result of a step.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests;
