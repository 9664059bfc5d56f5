//! Signatures of requests, version 4, as S3 wants them.

use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use ring::digest::{SHA256, digest};
use ring::hmac;
use url::Url;

use super::error::Failure;
use super::keys::Keys;
use crate::backup::destination::hexadecimal;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "s3";

/// What is signed.
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// The address. Path and query have to be encoded as they are sent, and the query in the order of its names.
    pub url: &'a Url,
    /// The content.
    pub body: &'a [u8],
}

/// Adds the headers that a signed request has: all those in `headers` are signed, too.
///
/// # Errors
/// When the keys cannot be in a header.
pub fn sign(
    request: &Request<'_>,
    headers: &mut HeaderMap,
    keys: &Keys,
    region: &str,
    time: DateTime<Utc>,
) -> Result<(), Failure> {
    let (date, moment) = (time.format("%Y%m%d"), time.format("%Y%m%dT%H%M%SZ"));
    let content = hexadecimal(digest(&SHA256, request.body).as_ref());
    let authority = &request.url[url::Position::BeforeHost..url::Position::AfterPort];
    let mut add = |name: &'static str, text: &str| {
        let value = HeaderValue::from_str(text).map_err(|_| Failure::unusable(name))?;
        headers.insert(HeaderName::from_static(name), value);
        Ok::<_, Failure>(())
    };
    add("host", authority)?;
    add("x-amz-content-sha256", &content)?;
    add("x-amz-date", &moment.to_string())?;
    if let Some(token) = &keys.token {
        add("x-amz-security-token", token.expose())?;
    }
    let (names, canonical) = canonical(request, headers, &content);
    let scope = format!("{date}/{region}/{SERVICE}/aws4_request");
    let hash = hexadecimal(digest(&SHA256, canonical.as_bytes()).as_ref());
    let text = format!("{ALGORITHM}\n{moment}\n{scope}\n{hash}");
    let mut key = format!("AWS4{}", keys.secret.expose()).into_bytes();
    for part in [&*date.to_string(), region, SERVICE, "aws4_request"] {
        key = hmac_sha256(&key, part);
    }
    let signature = hexadecimal(&hmac_sha256(&key, &text));
    let id = keys.id.expose();
    let value =
        format!("{ALGORITHM} Credential={id}/{scope},SignedHeaders={names},Signature={signature}");
    let mut value = HeaderValue::try_from(value).map_err(|_| Failure::unusable("authorization"))?;
    value.set_sensitive(true);
    headers.insert(http::header::AUTHORIZATION, value);
    Ok(())
}

/// The names of the headers, and the request as it is hashed.
fn canonical(request: &Request<'_>, headers: &HeaderMap, content: &str) -> (String, String) {
    let mut lines: Vec<(&str, String)> = headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.as_str(), value.trim().to_owned())
        })
        .collect();
    lines.sort_unstable();
    let names: Vec<_> = lines.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let lines = lines.iter().fold(String::new(), |text, (name, value)| {
        text + name + ":" + value + "\n"
    });
    let text = format!(
        "{}\n{}\n{}\n{lines}\n{names}\n{content}",
        request.method,
        request.url.path(),
        request.url.query().unwrap_or_default(),
    );
    (names, text)
}

fn hmac_sha256(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    /// The examples of Amazon's documentation of S3, "Signature Calculations for the Authorization Header".
    #[test]
    fn signatures_are_those_of_the_documentation() {
        let keys = Keys {
            id: Secret::new("AKIAIOSFODNN7EXAMPLE"),
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            token: None,
        };
        let time: DateTime<Utc> = "2013-05-24T00:00:00Z".parse().unwrap();
        for (method, path, header, body, signature) in [
            (
                Method::GET,
                "/test.txt",
                Some(("range", "bytes=0-9")),
                "",
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                Method::PUT,
                "/test%24file.text",
                Some(("x-amz-storage-class", "REDUCED_REDUNDANCY")),
                "Welcome to Amazon S3.",
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            ),
            (
                Method::GET,
                "/?lifecycle=",
                None,
                "",
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                Method::GET,
                "/?max-keys=2&prefix=J",
                None,
                "",
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ] {
            let url = Url::parse(&format!("https://examplebucket.s3.amazonaws.com{path}")).unwrap();
            let mut headers = HeaderMap::new();
            if let Some((name, value)) = header {
                headers.insert(name, value.parse().unwrap());
            }
            if method == Method::PUT {
                headers.insert("date", "Fri, 24 May 2013 00:00:00 GMT".parse().unwrap());
            }
            let request = Request {
                method: &method,
                url: &url,
                body: body.as_bytes(),
            };
            sign(&request, &mut headers, &keys, "us-east-1", time).unwrap();
            let given = headers["authorization"].to_str().unwrap();
            assert!(given.ends_with(signature), "{path}: {given}");
            assert!(headers["authorization"].is_sensitive());
        }
    }

    #[test]
    fn the_token_of_temporary_keys_is_signed() {
        let keys = Keys {
            id: Secret::new("id"),
            secret: Secret::new("secret"),
            token: Some(Secret::new("token")),
        };
        let (url, mut headers) = (Url::parse("http://[::1]:9000/").unwrap(), HeaderMap::new());
        let request = Request {
            method: &Method::GET,
            url: &url,
            body: b"",
        };
        sign(&request, &mut headers, &keys, "us-east-1", Utc::now()).unwrap();
        assert_eq!(headers["x-amz-security-token"], "token");
        let names = "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,";
        assert!(headers["authorization"].to_str().unwrap().contains(names));
        assert_eq!(headers["host"], "[::1]:9000");
    }
}
