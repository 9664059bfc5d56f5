//! What makes a token valid, and who its bearer is (RFC 7519, RFC 8725).

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{DecodingKey, Header, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::oidc::{OidcConfig, Refusal};

/// Who sends a request. Has no `Debug`: names are not for logs.
pub struct Writer {
    name: Option<String>,
    admin: bool,
}

impl Writer {
    /// The value of the claim, unchecked.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether the writer may modify any user.
    pub fn is_admin(&self) -> bool {
        self.admin
    }
}

/// What makes a token valid.
pub struct Rules {
    /// One for each algorithm that is allowed.
    validations: Vec<Validation>,
    issuer: String,
    audiences: Vec<String>,
    clients: Vec<String>,
    username_claim: String,
    admin_scope: Option<String>,
    admin_claim: Option<String>,
}

impl Rules {
    /// The rules of this configuration.
    pub fn new(config: &OidcConfig) -> Self {
        let validation = |algorithm: &Algorithm| {
            let mut validation = Validation::new((*algorithm).into());
            validation.set_issuer(&[&config.issuer]);
            validation.set_required_spec_claims(&["exp", "iss"]);
            validation.validate_aud = false; // `check_audience` does
            validation.validate_nbf = true;
            validation.leeway = config.leeway.as_secs();
            validation
        };
        Self {
            validations: config.algorithms.iter().map(validation).collect(),
            issuer: config.issuer.clone(),
            audiences: config.audiences.clone(),
            clients: config.clients.clone(),
            username_claim: config.username_claim.clone(),
            admin_scope: config.admin_scope.clone(),
            admin_claim: config.admin_claim.clone(),
        }
    }

    /// What a token needs that may be used for any user.
    pub fn admin_scope(&self) -> Option<&str> {
        self.admin_scope.as_deref()
    }

    /// The claim that names the user.
    pub fn username_claim(&self) -> &str {
        &self.username_claim
    }

    /// The header of a token that may be valid.
    ///
    /// # Errors
    /// When it is no token, or of another type, or needs an algorithm that is not allowed, or an extension.
    pub fn header(&self, token: &str) -> Result<Header, Refusal> {
        let header = decode_header(token).map_err(|_| refused(NOT_A_TOKEN))?;
        if !header.typ.as_deref().is_none_or(is_access_token) {
            return Err(refused("The type of the token is neither JWT nor at+jwt"));
        }
        self.validation(&header)?;
        if header.crit.is_some() {
            return Err(refused("The token asks for an extension"));
        }
        Ok(header)
    }

    fn validation(&self, header: &Header) -> Result<&Validation, Refusal> {
        let mut validations = self.validations.iter();
        let found = validations.find(|validation| validation.algorithms.contains(&header.alg));
        found.ok_or_else(|| {
            let allowed = self.validations.iter().flat_map(|one| &one.algorithms);
            let allowed: Vec<_> = allowed.map(|one| format!("{one:?}")).collect();
            let allowed = allowed.join(", ");
            expected(format!("The algorithm is not allowed; expected: {allowed}"))
        })
    }

    /// The bearer of the token, when the key has signed it and its claims hold.
    ///
    /// # Errors
    /// The first rule that the token breaks.
    pub fn verify(
        &self,
        token: &str,
        header: &Header,
        key: &DecodingKey,
    ) -> Result<Writer, Refusal> {
        let validation = self.validation(header)?;
        let claims = decode::<Map<String, Value>>(token, key, validation)
            .map_err(|error| self.describe(&error))?
            .claims;
        // The library also takes a list that holds the issuer; a token has one.
        if claims.get("iss").and_then(Value::as_str) != Some(&self.issuer) {
            return Err(self.other_issuer());
        }
        self.check_audience(&claims)?;
        let name = claims.get(&self.username_claim).and_then(Value::as_str);
        Ok(Writer {
            name: name.map(Into::into),
            admin: self
                .admin_scope
                .as_deref()
                .is_some_and(|wanted| has_scope(&claims, self.admin_claim.as_deref(), wanted)),
        })
    }

    /// A token says for whom it was made (`aud`), or at least to whom it was given (`client_id`, RFC 9068, or `azp`). The
    /// latter counts only where clients are configured, and never against the former.
    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        let audience = claims.get("aud").filter(|_| !self.audiences.is_empty());
        let (known, found) = match audience {
            Some(audience) => (&self.audiences, Some(audience)),
            None => {
                let client = claims.get("client_id").or_else(|| claims.get("azp"));
                (&self.clients, client.filter(|client| client.is_string()))
            }
        };
        if found.is_some_and(|found| words(found).any(|word| known.iter().any(|one| one == word))) {
            return Ok(());
        }
        let or_client = match (self.audiences.is_empty(), self.clients.is_empty()) {
            (false, true) => format!("audience; expected: {}", self.audiences.join(", ")),
            (true, _) => format!("client; expected: {}", self.clients.join(", ")),
            (false, false) => format!(
                "audience; expected: {}, or the client {}",
                self.audiences.join(", "),
                self.clients.join(", ")
            ),
        };
        Err(expected(format!("The token is for another {or_client}")))
    }

    fn other_issuer(&self) -> Refusal {
        expected(format!(
            "The token is of another issuer; expected: {}",
            self.issuer
        ))
    }

    /// The rule in words, without anything of the token.
    fn describe(&self, error: &Error) -> Refusal {
        refused(match error.kind() {
            ErrorKind::InvalidIssuer => return self.other_issuer(),
            ErrorKind::InvalidSignature => "The signature is wrong",
            ErrorKind::ExpiredSignature => "The token has expired",
            ErrorKind::ImmatureSignature => "The token is not valid yet",
            ErrorKind::MissingRequiredClaim(_) => "The token lacks exp or iss",
            ErrorKind::InvalidClaimFormat(_) => "exp or nbf is not a number",
            ErrorKind::Json(_) => "The claims are malformed",
            _ => NOT_A_TOKEN,
        })
    }
}

const NOT_A_TOKEN: &str = "The token is not a signed JSON Web Token";

fn refused(reason: &'static str) -> Refusal {
    Refusal::InvalidToken(reason.into())
}

/// A reason with names of the configuration, which go into a quoted text.
fn expected(reason: String) -> Refusal {
    Refusal::InvalidToken(reason.replace(['"', '\\'], "?").into())
}

/// Whether a header's `typ` is one of tokens that give access. Others are given out, too, such as `logout+jwt`, and are
/// signed with the same keys (RFC 8725, section 3.11).
fn is_access_token(media: &str) -> bool {
    let media = media.to_ascii_lowercase();
    let media = media.strip_prefix("application/").unwrap_or(&media);
    ["jwt", "at+jwt"].contains(&media)
}

/// The texts of a value that holds one or a list.
fn words(value: &Value) -> impl Iterator<Item = &str> {
    let list = value.as_array().map(Vec::as_slice);
    list.unwrap_or(std::slice::from_ref(value))
        .iter()
        .filter_map(Value::as_str)
}

/// Whether the token has the scope: in the claim at this path, or in `scope` (RFC 8693) or `scp`; as words or as a list.
fn has_scope(claims: &Map<String, Value>, path: Option<&str>, wanted: &str) -> bool {
    let has = |value: &Value| {
        words(value)
            .flat_map(|text| {
                // In a list, a blank is a part of a name.
                let separator = if value.is_string() { ' ' } else { '\0' };
                text.split(separator)
            })
            .any(|word| word == wanted)
    };
    match path {
        Some(path) => claim(claims, path).is_some_and(has),
        None => ["scope", "scp"]
            .into_iter()
            .filter_map(|name| claims.get(name))
            .any(has),
    }
}

/// The claim at a path with dots. A name may hold dots itself, as URLs do.
fn claim<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    claim(claims.get(first)?.as_object()?, rest)
}

#[cfg(test)]
pub(super) mod tests;
