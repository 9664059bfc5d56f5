//! The table of problems: status, type, title and meaning of each error response.

use http::StatusCode;
use strum::VariantArray;

/// The kinds of problem, in the order of their status. Each has a stable `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, VariantArray)]
pub enum ProblemKind {
    /// The user name in the path breaks a rule.
    InvalidUsername,
    /// The body breaks a rule.
    InvalidBody,
    /// The query breaks a rule.
    InvalidQuery,
    /// Both users of a friendship are the same.
    SelfFriendship,
    /// The request's head cannot be read.
    MalformedRequest,
    /// A token is needed, and no valid one was sent.
    Unauthorized,
    /// The token is valid for another user.
    Forbidden,
    /// No such path.
    NotFound,
    /// No such user.
    UnknownUser,
    /// The path does not support the method.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The user is not in the state that the request demands.
    PreconditionFailed,
    /// The body is over the limit.
    BodyTooLarge,
    /// The path and query are over the limit.
    UriTooLong,
    /// The body is not JSON, or is encoded.
    UnsupportedMediaType,
    /// The client sends too many requests.
    TooManyRequests,
    /// The request's head is over the limit.
    HeadTooLarge,
    /// The handler panicked.
    InternalError,
    /// The database cannot answer now.
    DatabaseUnavailable,
    /// The keys of the issuer of tokens are not known yet.
    IssuerUnavailable,
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// The status of the response.
    pub status: StatusCode,
    /// The last segment of the `type`.
    pub slug: &'static str,
    /// The kind in a few words.
    pub title: &'static str,
    /// What it means and what the client can do; text between backquotes is code.
    pub meaning: &'static str,
}

/// A row: status, slug, title, meaning.
fn row(
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
    meaning: &'static str,
) -> Description {
    Description {
        status,
        slug,
        title,
        meaning,
    }
}

impl ProblemKind {
    /// The kind whose type ends with `slug`.
    pub fn from_slug(slug: &str) -> Option<Self> {
        let mut kinds = Self::VARIANTS.iter().copied();
        kinds.find(|kind| kind.describe().slug == slug)
    }

    /// The row of this kind.
    pub fn describe(self) -> Description {
        match self {
            Self::InvalidUsername => row(
                StatusCode::BAD_REQUEST,
                "invalid-username",
                "The user name breaks a rule",
                "A user name has 1 to 64 letters, percent-encoded once. Digits, blanks, signs and \
                 punctuation are not allowed. `detail` names the broken rule.",
            ),
            Self::InvalidBody => row(
                StatusCode::BAD_REQUEST,
                "invalid-body",
                "The request body breaks a rule",
                "The body is one JSON object with the fields of the operation. `errors` points to \
                 each error. A date of birth is written `YYYY-MM-DD`, from 1900-01-01 to yesterday.",
            ),
            Self::InvalidQuery => row(
                StatusCode::BAD_REQUEST,
                "invalid-query",
                "The query breaks a rule",
                "A parameter is unknown, given twice, or out of range. `errors` names it.",
            ),
            Self::SelfFriendship => row(
                StatusCode::BAD_REQUEST,
                "self-friendship",
                "Nobody can be their own friend",
                "Both names in the path are the same user.",
            ),
            Self::MalformedRequest => row(
                StatusCode::BAD_REQUEST,
                "malformed-request",
                "The request is not sound HTTP",
                "The request is not sound HTTP: a line cannot be read, the length of the body is \
                 ambiguous (`Content-Length` twice, or with `Transfer-Encoding`), or `Host` is \
                 missing, given twice or malformed.",
            ),
            Self::Unauthorized => row(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "A valid bearer token is needed",
                "Send a valid token in the header `Authorization: Bearer`. `WWW-Authenticate` \
                 names what is wrong with the token that was sent, and what was expected.",
            ),
            Self::Forbidden => row(
                StatusCode::FORBIDDEN,
                "forbidden",
                "The token does not allow this",
                "The token is valid, but for another user, and has no scope that may act for any user. \
                 `detail` names what it would need.",
            ),
            Self::NotFound => row(
                StatusCode::NOT_FOUND,
                "not-found",
                "There is nothing here",
                "The API has no such path. Paths are exact: no slash at the end, no double slash.",
            ),
            Self::UnknownUser => row(
                StatusCode::NOT_FOUND,
                "unknown-user",
                "No such user",
                "There is no user of that name. Names are case-sensitive. Create users with \
                 `PUT /hello/{username}`.",
            ),
            Self::MethodNotAllowed => row(
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "This resource does not know the method",
                "The header `Allow` lists the supported methods.",
            ),
            Self::RequestTimeout => row(
                StatusCode::REQUEST_TIMEOUT,
                "request-timeout",
                "The request took too long to arrive",
                "The body did not arrive in time. Send the request again on a new connection.",
            ),
            Self::PreconditionFailed => row(
                StatusCode::PRECONDITION_FAILED,
                "precondition-failed",
                "If-Match or If-None-Match does not hold",
                "Nothing was changed. The user has changed since the greeting with that `ETag`, \
                 was deleted, or exists already, or the tag is from another day. `GET` the greeting \
                 again.",
            ),
            Self::BodyTooLarge => row(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "The request body is over the limit",
                "A body may have at most 8 KiB.",
            ),
            Self::UriTooLong => row(
                StatusCode::URI_TOO_LONG,
                "uri-too-long",
                "The request target is over the limit",
                "Path and query together may have at most 4096 bytes.",
            ),
            Self::UnsupportedMediaType => row(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "The request body must be plain application/json",
                "Send the header `Content-Type: application/json` and no `Content-Encoding`.",
            ),
            Self::TooManyRequests => row(
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-requests",
                "The client sends too many requests",
                "Wait as many seconds as `Retry-After` gives. Requests sent earlier are refused \
                 again.",
            ),
            Self::HeadTooLarge => row(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "head-too-large",
                "The request's head is over the limit",
                "The request line and the headers together may have at most 24 KiB.",
            ),
            Self::InternalError => row(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal-error",
                "The service failed",
                "This is a defect of the service, never the client's mistake. The service has \
                 logged it and goes on. A write may have been made or not; repeating it is safe.",
            ),
            Self::DatabaseUnavailable => row(
                StatusCode::SERVICE_UNAVAILABLE,
                "database-unavailable",
                "The database cannot answer now",
                "Try again after as many seconds as `Retry-After` gives. A write may have been \
                 made or not; repeating it is safe.",
            ),
            Self::IssuerUnavailable => row(
                StatusCode::SERVICE_UNAVAILABLE,
                "issuer-unavailable",
                "Tokens cannot be checked now",
                "Nothing was written. The keys that tokens are checked with could not be fetched \
                 from the issuer yet. Try again after as many seconds as `Retry-After` gives.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_are_in_the_order_of_their_status() {
        let statuses: Vec<_> = ProblemKind::VARIANTS
            .iter()
            .map(|kind| kind.describe().status)
            .collect();
        assert!(statuses.is_sorted(), "{statuses:?}");
    }

    #[test]
    fn every_type_leads_back_to_its_kind() {
        for kind in ProblemKind::VARIANTS {
            assert_eq!(ProblemKind::from_slug(kind.describe().slug), Some(*kind));
        }
        assert_eq!(ProblemKind::from_slug("nonsense"), None);
    }
}
