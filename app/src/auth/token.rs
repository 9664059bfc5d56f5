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
    username_claim: String,
    admin_scope: Option<String>,
}

impl Rules {
    /// The rules of this configuration.
    pub fn new(config: &OidcConfig) -> Self {
        let validation = |algorithm: &Algorithm| {
            let mut validation = Validation::new((*algorithm).into());
            validation.set_issuer(&[&config.issuer]);
            validation.set_audience(&config.audiences);
            validation.set_required_spec_claims(&["exp", "iss", "aud"]);
            validation.validate_nbf = true;
            validation.leeway = config.leeway.as_secs();
            validation
        };
        Self {
            validations: config.algorithms.iter().map(validation).collect(),
            issuer: config.issuer.clone(),
            username_claim: config.username_claim.clone(),
            admin_scope: config.admin_scope.clone(),
        }
    }

    /// The header of a token that may be valid.
    ///
    /// # Errors
    /// When it is no token, or needs an algorithm that is not allowed, or an extension.
    pub fn header(&self, token: &str) -> Result<Header, Refusal> {
        let header = decode_header(token).map_err(|_| Refusal::InvalidToken(NOT_A_TOKEN))?;
        if self.validation(&header).is_none() {
            return Err(Refusal::InvalidToken("The algorithm is not allowed"));
        }
        if header.crit.is_some() {
            return Err(Refusal::InvalidToken("The token asks for an extension"));
        }
        Ok(header)
    }

    fn validation(&self, header: &Header) -> Option<&Validation> {
        self.validations
            .iter()
            .find(|validation| validation.algorithms.contains(&header.alg))
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
        let validation = self
            .validation(header)
            .ok_or(Refusal::InvalidToken("The algorithm is not allowed"))?;
        let claims = decode::<Map<String, Value>>(token, key, validation)
            .map_err(|error| Refusal::InvalidToken(describe(&error)))?
            .claims;
        // The library also takes a list that holds the issuer; a token has one.
        if claims.get("iss").and_then(Value::as_str) != Some(&self.issuer) {
            return Err(Refusal::InvalidToken(WRONG_ISSUER));
        }
        let name = claims.get(&self.username_claim).and_then(Value::as_str);
        Ok(Writer {
            name: name.map(Into::into),
            admin: self
                .admin_scope
                .as_deref()
                .is_some_and(|wanted| has_scope(&claims, wanted)),
        })
    }
}

const NOT_A_TOKEN: &str = "The token is not a signed JSON Web Token";
const WRONG_ISSUER: &str = "The token is of another issuer";

/// The rule in words, without anything of the token.
fn describe(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::InvalidSignature => "The signature is wrong",
        ErrorKind::ExpiredSignature => "The token has expired",
        ErrorKind::ImmatureSignature => "The token is not valid yet",
        ErrorKind::InvalidIssuer => WRONG_ISSUER,
        ErrorKind::InvalidAudience => "The token is for another audience",
        ErrorKind::MissingRequiredClaim(_) => "The token lacks exp, iss or aud",
        ErrorKind::InvalidClaimFormat(_) => "exp or nbf is not a number",
        ErrorKind::Json(_) => "The claims are malformed",
        _ => NOT_A_TOKEN,
    }
}

/// Whether the token has the scope: in `scope` (RFC 8693) or `scp`, as words or as a list.
fn has_scope(claims: &Map<String, Value>, wanted: &str) -> bool {
    ["scope", "scp"]
        .into_iter()
        .filter_map(|claim| claims.get(claim))
        .any(|value| match value {
            Value::String(words) => words.split(' ').any(|word| word == wanted),
            Value::Array(list) => list.iter().any(|word| word.as_str() == Some(wanted)),
            _ => false,
        })
}

#[cfg(test)]
pub(super) mod tests;
