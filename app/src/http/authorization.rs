//! Who may change what: the bearer of a user's token changes that user, on whose behalf also
//! friendships are asked for and ended.

use http::HeaderValue;

use super::{Api, Problem, ProblemKind, RequestHead, Route};
use crate::auth::Refusal;
use crate::domain::Username;

/// What is said to a client that sent no token.
const NO_TOKEN: &str = r#"Bearer realm="hello""#;
/// What is said to a client whose token is somebody else's.
const FORBIDDEN: &str = r#"Bearer realm="hello", error="insufficient_scope""#;

/// Lets the request through when it changes nothing, or its sender may change it.
///
/// # Errors
/// 401, 403, or 503 as long as no token can be checked.
pub async fn check(api: &Api, head: &RequestHead, route: &Route<'_>) -> Result<(), Problem> {
    let (Some(authenticator), Some(segment)) = (&api.authenticator, route.writes(&head.method))
    else {
        return Ok(());
    };
    // In a box: it is large, and most requests need none.
    let writer = Box::pin(authenticator.writer(&head.headers))
        .await
        .map_err(refused)?;
    let Ok(username) = Username::from_path_segment(segment, api.usernames) else {
        // Nobody's, so nothing is written: the handler says what is wrong with it.
        return Ok(());
    };
    if writer.may_write(&username, api.usernames) {
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
