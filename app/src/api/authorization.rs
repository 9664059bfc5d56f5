//! Who may change what: a user's token allows to change that user and the user's friendships.

use http::HeaderValue;

use super::context::Api;
use super::problem::Problem;
use super::problem_kind::ProblemKind;
use crate::auth::Refusal;
use crate::domain::Username;
use crate::serving::RequestHead;

/// The challenge to a client that sent no token.
const NO_TOKEN: &str = r#"Bearer realm="hello""#;
/// The challenge to a client whose token is another user's.
const FORBIDDEN: &str = r#"Bearer realm="hello", error="insufficient_scope""#;

/// Passes a request that changes nothing (`writer` is `None`), or whose token allows to change the
/// user `writer`, which is still percent-encoded.
///
/// # Errors
/// 401, 403, or 503 as long as no token can be checked.
pub async fn check(api: &Api, head: &RequestHead, writer: Option<&str>) -> Result<(), Problem> {
    let (Some(authenticator), Some(segment)) = (&api.authenticator, writer) else {
        return Ok(());
    };
    // In a box, because it is large and most requests need none.
    let writer = Box::pin(authenticator.writer(&head.headers))
        .await
        .map_err(refused)?;
    let Ok(username) = Username::from_path_segment(segment, api.usernames) else {
        // Not a name, so nothing is written: the handler reports what is wrong with it.
        return Ok(());
    };
    if writer.may_write(&username) {
        return Ok(());
    }
    let challenge = HeaderValue::from_static(FORBIDDEN);
    Err(Problem::challenge(ProblemKind::Forbidden, challenge, None))
}

fn refused(refusal: Refusal) -> Problem {
    let (challenge, detail) = match refusal {
        Refusal::NoToken => (HeaderValue::from_static(NO_TOKEN), None),
        Refusal::InvalidToken(reason) => {
            let text =
                format!(r#"{NO_TOKEN}, error="invalid_token", error_description="{reason}""#);
            let challenge =
                HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(NO_TOKEN));
            (challenge, Some(reason))
        }
        Refusal::KeysUnknown => return Problem::new(ProblemKind::IssuerUnavailable),
    };
    Problem::challenge(ProblemKind::Unauthorized, challenge, detail)
}
