//! The token in a request's headers (RFC 6750).

use http::{HeaderMap, header};

use super::oidc::Refusal;

/// The longest token that is checked, in bytes.
pub const MAX_TOKEN: usize = 16 << 10;

/// The bearer token. Other schemes count as none.
pub fn bearer_token(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(Refusal::NoToken)?;
    if values.next().is_some() {
        return Err(Refusal::InvalidToken("There is more than one token".into()));
    }
    let value = value.to_str().map_err(|_| Refusal::NoToken)?;
    let (scheme, token) = value.split_once(' ').ok_or(Refusal::NoToken)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refusal::NoToken);
    }
    let token = token.trim_matches(' ');
    if token.len() > MAX_TOKEN {
        return Err(Refusal::InvalidToken(
            "The token is longer than 16 KiB".into(),
        ));
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn token(values: &[&[u8]]) -> Result<String, Refusal> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("authorization", HeaderValue::from_bytes(value).unwrap());
        }
        bearer_token(&headers).map(str::to_owned)
    }

    #[test]
    fn takes_one_bearer_token() {
        assert_eq!(token(&[b"Bearer a.b.c"]).unwrap(), "a.b.c");
        assert_eq!(token(&[b"bEARER  a.b.c "]).unwrap(), "a.b.c");
        for none in [&b"Basic YTpi"[..], b"Bearer", b"a.b.c", b"Bearer\xff a"] {
            assert_eq!(token(&[none]), Err(Refusal::NoToken), "{none:?}");
        }
        assert_eq!(token(&[]), Err(Refusal::NoToken));
        assert!(matches!(
            token(&[b"Bearer a", b"Bearer a"]),
            Err(Refusal::InvalidToken(_))
        ));
    }

    #[test]
    fn is_bounded() {
        let value = |length| format!("Bearer {}", "a".repeat(length));
        assert!(token(&[value(MAX_TOKEN).as_bytes()]).is_ok());
        assert!(token(&[value(MAX_TOKEN + 1).as_bytes()]).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn never_panics(value in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
                if let Ok(token) = bearer_token(&headers) {
                    prop_assert!(token.len() <= MAX_TOKEN);
                }
            }
        }
    }
}
