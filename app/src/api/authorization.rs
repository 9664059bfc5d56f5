//! Who may do what: a user's token allows to change that user and the user's friendships, and to read them where reading
//! is not for everybody.

use std::borrow::Cow;

use http::HeaderValue;

use super::context::Api;
use super::problem::Problem;
use super::problem_kind::ProblemKind;
use super::routes::Access;
use crate::auth::{Authenticator, Reads, Refusal};
use crate::domain::Username;
use crate::serving::RequestHead;

/// The challenge to a client that sent no token.
const NO_TOKEN: &str = r#"Bearer realm="hello""#;

/// Passes a request that everybody may send, or whose token allows it.
///
/// # Errors
/// 401, 403, or 503 as long as no token can be checked.
pub async fn check(api: &Api, head: &RequestHead, access: Access<'_>) -> Result<(), Problem> {
    let Some(authenticator) = &api.authenticator else {
        return Ok(());
    };
    let user = match (access, authenticator.reads) {
        (Access::Public, _) | (Access::Read(_), Reads::Everybody) => return Ok(()),
        (Access::Read(_), Reads::Authenticated) => None,
        (Access::Read(user), Reads::Own) => Some(user),
        (Access::Write(user), _) => Some(Some(user)),
    };
    // In a box, because it is large and most requests need none.
    let bearer = Box::pin(authenticator.writer(&head.headers))
        .await
        .map_err(refused)?;
    let allowed = match user {
        None => true,
        Some(None) => bearer.is_admin(),
        Some(Some(segment)) => match Username::from_path_segment(segment, api.usernames) {
            Ok(username) => bearer.may_write(&username),
            // Not a name, so nothing is there: the handler reports what is wrong with it.
            Err(_) => true,
        },
    };
    if allowed {
        return Ok(());
    }
    Err(forbidden(authenticator, user.flatten().is_some()))
}

/// What the token would have needed.
fn forbidden(authenticator: &Authenticator, of_one_user: bool) -> Problem {
    let claim = authenticator.username_claim();
    let (mut challenge, mut needs) = (
        format!(r#"{NO_TOKEN}, error="insufficient_scope""#),
        Vec::new(),
    );
    if of_one_user {
        needs.push(format!("the user of the path in the claim {claim}"));
    }
    if let Some(scope) = authenticator.admin_scope() {
        needs.push(format!("the scope {scope}"));
        // A scope may hold neither of them; a role of another claim may.
        if !scope.contains(['"', '\\']) {
            challenge.push_str(&format!(r#", scope="{scope}""#));
        }
    }
    let detail = match &*needs {
        [] => "No token may do this.".to_owned(),
        needs => format!("The token needs {}.", needs.join(", or ")),
    };
    let challenge =
        HeaderValue::try_from(challenge).unwrap_or_else(|_| HeaderValue::from_static(NO_TOKEN));
    Problem::challenge(ProblemKind::Forbidden, challenge, Some(detail.into()))
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
    let detail: Option<Cow<'static, str>> = detail;
    Problem::challenge(ProblemKind::Unauthorized, challenge, detail)
}
