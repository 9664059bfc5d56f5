//! Reviews by the API server: whose a token is, and whether its account has a right.

use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, UserInfo},
    authorization::v1::{NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};

use crate::telemetry::access::{Access, Verdict};

/// The path whose right is asked for, as for the metrics of Kubernetes' own programs.
const PATH: &str = "/metrics";

/// Lets those read the metrics who may `get` the path `/metrics`.
#[must_use]
pub fn access(client: Client) -> Access {
    Access::new(move |token| {
        let client = client.clone();
        Box::pin(async move {
            match review(client, token).await {
                Ok(verdict) => Some(verdict),
                Err(error) => {
                    tracing::warn!(%error, "nobody may read the metrics: the review failed");
                    None
                }
            }
        })
    })
}

async fn review(client: Client, token: String) -> kube::Result<Verdict> {
    let tokens: Api<TokenReview> = Api::all(client.clone());
    let question = TokenReview {
        spec: TokenReviewSpec {
            token,
            audiences: None,
        },
        ..TokenReview::default()
    };
    let answer = tokens.create(&PostParams::default(), &question).await?;
    let status = answer.status.unwrap_or_default();
    let user = status.user.filter(|_| status.authenticated == Some(true));
    let Some(user) = user else {
        return Ok(Verdict::Unknown);
    };
    let rights: Api<SubjectAccessReview> = Api::all(client);
    let answer = rights
        .create(&PostParams::default(), &question_about(user))
        .await?;
    let allowed = answer.status.is_some_and(|status| status.allowed);
    Ok(if allowed {
        Verdict::Allowed
    } else {
        Verdict::Forbidden
    })
}

fn question_about(user: UserInfo) -> SubjectAccessReview {
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: user.username,
            uid: user.uid,
            groups: user.groups,
            extra: user.extra,
            non_resource_attributes: Some(NonResourceAttributes {
                path: Some(PATH.into()),
                verb: Some("get".into()),
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    }
}
