//! Why a request of a store failed, and what that means for a backup.

use http::StatusCode;

use super::answer::Cause;
use crate::backup::error::Reason;

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// There is no answer, or one that is not understood.
    #[error("{0}")]
    Unreachable(String),
    /// There are no keys for requests.
    #[error("{0}")]
    Denied(String),
    /// The answer is no success.
    #[error("{status}{}", described(cause))]
    Refused {
        /// The status.
        status: StatusCode,
        /// What the answer says about it.
        cause: Cause,
    },
}

fn described(cause: &Cause) -> String {
    let mut text = String::new();
    if !cause.code.is_empty() {
        text = format!(" {}", cause.code);
    }
    if !cause.message.is_empty() {
        text = format!("{text}: {}", cause.message);
    }
    text
}

impl Failure {
    /// An answer that is not understood.
    pub fn not_understood(what: &str) -> Self {
        Self::Unreachable(format!(
            "the answer is not {what} of an S3 store: is this its address?"
        ))
    }

    /// There are no keys.
    pub fn denied(message: String) -> Self {
        Self::Denied(message)
    }

    /// The credentials hold what no header can hold.
    pub fn unusable(header: &str) -> Self {
        Self::Denied(format!(
            "the credentials hold letters that the header {header} cannot have"
        ))
    }

    /// The failure of a request for keys.
    pub fn of_issuer(self) -> Self {
        match self {
            Self::Unreachable(message) => {
                Self::Unreachable(format!("the service that issues keys: {message}"))
            }
            Self::Refused { status, .. } if status.is_server_error() => {
                Self::Unreachable(format!("the service that issues keys: {self}"))
            }
            other => Self::Denied(format!(
                "the token of the workload is not accepted: {other}; does the role trust this service account?"
            )),
        }
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Denied(_) => false,
            Self::Refused { status, cause } => {
                let is_busy = matches!(
                    *status,
                    StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
                );
                let is_broken = status.is_server_error() && !self.is_full();
                let not_supported = *status == StatusCode::NOT_IMPLEMENTED;
                let by_code = [
                    "RequestTimeout",
                    "SlowDown",
                    "ConditionalRequestConflict",
                    "OperationAborted",
                ];
                (is_busy || is_broken || by_code.contains(&&*cause.code)) && !not_supported
            }
        }
    }

    /// Whether the keys are not accepted any more.
    pub fn is_expired(&self) -> bool {
        const CODES: [&str; 3] = [
            "ExpiredToken",
            "ExpiredTokenException",
            "TokenRefreshRequired",
        ];
        self.has_code(&CODES)
    }

    /// Whether something is there already that must not be.
    pub fn is_taken(&self) -> bool {
        self.has_status(StatusCode::PRECONDITION_FAILED)
    }

    /// Whether a part of the request is nothing that this store can do.
    pub fn is_unsupported(&self) -> bool {
        self.has_status(StatusCode::NOT_IMPLEMENTED)
    }

    /// Whether what the request is about is not there.
    pub fn is_missing(&self) -> bool {
        self.has_status(StatusCode::NOT_FOUND) && !self.has_code(&["NoSuchBucket"])
    }

    fn is_full(&self) -> bool {
        const CODES: [&str; 4] = [
            "QuotaExceeded",
            "StorageFull",
            "XMinioStorageFull",
            "XMinioAdminBucketQuotaExceeded",
        ];
        self.has_status(StatusCode::INSUFFICIENT_STORAGE) || self.has_code(&CODES)
    }

    fn has_status(&self, wanted: StatusCode) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == wanted)
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        matches!(self, Self::Refused { cause, .. } if codes.contains(&&*cause.code))
    }

    /// The cause in one word.
    pub fn reason(&self) -> Reason {
        let is_denied = self.has_status(StatusCode::FORBIDDEN)
            || self.has_status(StatusCode::UNAUTHORIZED)
            || self.is_expired()
            || self.has_code(&["InvalidToken", "InvalidAccessKeyId"]);
        match self {
            Self::Denied(_) => Reason::DestinationDenied,
            _ if self.has_code(&["RequestTimeTooSkewed"]) => Reason::ClockSkew,
            _ if self.is_full() => Reason::DestinationFull,
            _ if is_denied => Reason::DestinationDenied,
            _ => Reason::DestinationUnreachable,
        }
    }

    /// What somebody should do about it, where that is known.
    pub fn advice(&self) -> Option<String> {
        if let Self::Refused { cause, .. } = self
            && let Some(region) = &cause.region
        {
            return Some(format!(
                "the bucket is in the region {region}: give that one"
            ));
        }
        let text = match self {
            _ if self.is_expired() => "give credentials that are still valid",
            _ if self.has_code(&["NoSuchBucket"]) => "create the bucket, or correct its name",
            _ if self.has_code(&[
                "SignatureDoesNotMatch",
                "InvalidAccessKeyId",
                "InvalidToken",
            ]) =>
            {
                "the access key is wrong"
            }
            Self::Refused { .. } if self.reason() == Reason::DestinationDenied => {
                "the credentials have to allow ListBucket of the bucket, and GetObject, PutObject, DeleteObject and \
                 AbortMultipartUpload of its objects"
            }
            _ if self.reason() == Reason::DestinationFull => {
                "keep fewer backups, or raise the bucket's quota"
            }
            _ => return None,
        };
        Some(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> Failure {
        Failure::Refused {
            status: StatusCode::from_u16(status).unwrap(),
            cause: Cause {
                code: code.into(),
                ..Cause::default()
            },
        }
    }

    #[test]
    fn each_failure_has_its_reason_and_may_be_tried_again_or_not() {
        use Reason::{ClockSkew, DestinationDenied, DestinationFull, DestinationUnreachable};
        for (status, code, reason, again) in [
            (403, "AccessDenied", DestinationDenied, false),
            (403, "", DestinationDenied, false),
            (401, "", DestinationDenied, false),
            (400, "ExpiredToken", DestinationDenied, false),
            (403, "RequestTimeTooSkewed", ClockSkew, false),
            (404, "NoSuchBucket", DestinationUnreachable, false),
            (301, "PermanentRedirect", DestinationUnreachable, false),
            (500, "InternalError", DestinationUnreachable, true),
            (502, "", DestinationUnreachable, true),
            (503, "SlowDown", DestinationUnreachable, true),
            (400, "RequestTimeout", DestinationUnreachable, true),
            (
                409,
                "ConditionalRequestConflict",
                DestinationUnreachable,
                true,
            ),
            (429, "", DestinationUnreachable, true),
            (501, "NotImplemented", DestinationUnreachable, false),
            (507, "", DestinationFull, false),
            (400, "QuotaExceeded", DestinationFull, false),
            (412, "PreconditionFailed", DestinationUnreachable, false),
        ] {
            let failure = refused(status, code);
            assert_eq!(failure.reason(), reason, "{failure}");
            assert_eq!(failure.is_transient(), again, "{failure}");
        }
        assert!(Failure::Unreachable("x".into()).is_transient());
        assert!(!refused(404, "NoSuchBucket").is_missing());
        assert!(refused(404, "NoSuchKey").is_missing() && refused(404, "").is_missing());
    }

    #[test]
    fn what_issues_keys_is_named() {
        for (failure, reason) in [
            (refused(403, "AccessDenied"), Reason::DestinationDenied),
            (
                refused(400, "ExpiredTokenException"),
                Reason::DestinationDenied,
            ),
            (refused(503, ""), Reason::DestinationUnreachable),
            (
                Failure::Unreachable("refused".into()),
                Reason::DestinationUnreachable,
            ),
        ] {
            assert_eq!(failure.of_issuer().reason(), reason);
        }
    }
}
