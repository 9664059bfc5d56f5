//! The requests of S3 that backups need.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header};
use md5::{Digest as _, Md5};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::answer::{self, Object, Page, Upload};
use super::credentials::Credentials;
use super::error::Failure;
use super::sign;
use super::wire::{Attempt, Wire, tries};

/// What is written as it is in signed queries.
const LITERAL: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// How many pages a list may have: a million objects.
const MOST_PAGES: usize = 1000;

/// Sends the requests.
#[derive(Debug)]
pub struct Client {
    /// Sends them.
    pub wire: Wire,
    /// The address of the bucket.
    pub bucket: Url,
    /// The region that requests are signed for.
    pub region: String,
    /// What they are signed with.
    pub credentials: Credentials,
    /// How the store encrypts what is written.
    pub encryption: Option<String>,
}

/// A request.
struct Call<'a> {
    method: Method,
    /// The key of an object; empty for the bucket.
    key: &'a str,
    query: BTreeMap<&'static str, String>,
    headers: HeaderMap,
    body: Bytes,
    /// Whether a second try may find that the first has succeeded.
    creates: bool,
}

impl<'a> Call<'a> {
    fn new(method: Method, key: &'a str) -> Self {
        Self {
            method,
            key,
            query: BTreeMap::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            creates: false,
        }
    }

    fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.insert(name, value.into());
        self
    }

    fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// A content, with its MD5: without a checksum, a bucket with object lock takes nothing.
    fn body(mut self, body: Bytes) -> Self {
        let digest = STANDARD.encode(Md5::digest(&body));
        if let Ok(value) = HeaderValue::try_from(digest) {
            self.headers
                .insert(HeaderName::from_static("content-md5"), value);
        }
        self.body = body;
        self
    }

    /// It makes an object.
    fn creates(mut self) -> Self {
        self.creates = true;
        self
    }
}

impl Client {
    /// The objects whose keys begin with `prefix` and have no slash after it, and the time of the store's clock.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn list(
        &self,
        prefix: &str,
    ) -> Result<(Vec<Object>, Option<DateTime<Utc>>), Failure> {
        let call = || {
            Call::new(Method::GET, "")
                .query("delimiter", "/")
                .query("list-type", "2")
                .query("prefix", prefix)
        };
        self.pages(call, answer::objects, "a list of objects").await
    }

    /// The uploads that are not finished, and the time of the store's clock.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn uploads(
        &self,
        prefix: &str,
    ) -> Result<(Vec<Upload>, Option<DateTime<Utc>>), Failure> {
        let call = || {
            Call::new(Method::GET, "")
                .query("prefix", prefix)
                .query("uploads", "")
        };
        self.pages(call, answer::uploads, "a list of uploads").await
    }

    async fn pages<'a, T>(
        &self,
        call: impl Fn() -> Call<'a>,
        read: fn(&[u8]) -> Option<Page<T>>,
        what: &str,
    ) -> Result<(Vec<T>, Option<DateTime<Utc>>), Failure> {
        let mut found = Vec::new();
        let mut next = BTreeMap::new();
        for _ in 0..MOST_PAGES {
            let mut call = call();
            call.query.append(&mut next);
            let answer = self.send(&call).await?;
            let page = read(answer.body()).ok_or_else(|| Failure::not_understood(what))?;
            found.extend(page.entries);
            if page.next.is_empty() {
                return Ok((found, date_of(&answer)));
            }
            next = page.next;
        }
        Err(Failure::Unreachable(format!("{what} does not end")))
    }

    /// A part of an object, and the length of the whole.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read(&self, key: &str, from: u64, to: u64) -> Result<(Bytes, u64), Failure> {
        let range = HeaderValue::try_from(format!("bytes={from}-{}", to.saturating_sub(1)));
        let range = range.map_err(|_| Failure::not_understood("a range"))?;
        let call = Call::new(Method::GET, key).header(header::RANGE, range);
        let answer = self.send(&call).await?;
        let total = answer.headers().get(header::CONTENT_RANGE);
        let total = total.and_then(|range| range.to_str().ok()?.rsplit_once('/')?.1.parse().ok());
        let body = answer.into_body();
        let length = body.len() as u64;
        match total {
            Some(total) if length == to.min(total).saturating_sub(from) => Ok((body, total)),
            // A store without ranges sends everything.
            None if from == 0 => Ok((body, length)),
            _ => Err(Failure::not_understood(
                "the part of an object that was asked for",
            )),
        }
    }

    /// Writes an object unless there is one. Whether one was there is not known when the answer to a try was lost: read it
    /// back.
    ///
    /// # Errors
    /// When it cannot be written, or is there.
    pub async fn write(&self, key: &str, body: Bytes) -> Result<(), Failure> {
        let call = || {
            let call = Call::new(Method::PUT, key).body(body.clone());
            self.encrypted(call).creates()
        };
        self.send_new(call).await
    }

    /// Begins an upload in parts; its name.
    ///
    /// # Errors
    /// When it cannot be begun.
    pub async fn begin(&self, key: &str) -> Result<String, Failure> {
        let call = self.encrypted(Call::new(Method::POST, key).query("uploads", ""));
        let answer = self.send(&call).await?;
        answer::upload_id(answer.body()).ok_or_else(|| Failure::not_understood("an upload"))
    }

    /// Uploads the part of this number, from 1; its tag.
    ///
    /// # Errors
    /// When it cannot be uploaded.
    pub async fn part(
        &self,
        key: &str,
        id: &str,
        number: usize,
        body: Bytes,
    ) -> Result<String, Failure> {
        let call = Call::new(Method::PUT, key)
            .query("partNumber", number.to_string())
            .query("uploadId", id)
            .body(body);
        let answer = self.send(&call).await?;
        let tag = answer.headers().get(header::ETAG);
        let tag = tag.and_then(|tag| tag.to_str().ok());
        tag.map(str::to_owned)
            .ok_or_else(|| Failure::not_understood("the receipt of a part"))
    }

    /// Makes an object of parts that were uploaded, unless there is one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn complete(&self, key: &str, id: &str, tags: &[String]) -> Result<(), Failure> {
        let mut body = String::from("<CompleteMultipartUpload>");
        for (number, tag) in (1..).zip(tags) {
            let tag = tag
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('"', "&quot;");
            body += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>");
        }
        let body = Bytes::from(body + "</CompleteMultipartUpload>");
        let call = || {
            Call::new(Method::POST, key)
                .query("uploadId", id)
                .body(body.clone())
                .creates()
        };
        self.send_new(call).await
    }

    /// Ends an upload without making an object of it.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn abort(&self, key: &str, id: &str) -> Result<(), Failure> {
        let call = Call::new(Method::DELETE, key).query("uploadId", id);
        missing_is_gone(self.send(&call).await)
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn delete(&self, key: &str) -> Result<(), Failure> {
        missing_is_gone(self.send(&Call::new(Method::DELETE, key)).await)
    }

    fn encrypted<'a>(&self, call: Call<'a>) -> Call<'a> {
        let value = self.encryption.as_ref();
        match value.and_then(|value| HeaderValue::try_from(value).ok()) {
            Some(value) => {
                let name = HeaderName::from_static("x-amz-server-side-encryption");
                call.header(name, value)
            }
            None => call,
        }
    }

    /// Sends what makes an object where there is none. A store that does not know the condition gets it without.
    async fn send_new<'a>(&self, call: impl Fn() -> Call<'a>) -> Result<(), Failure> {
        let only_new = call().header(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
        let result = match self.send(&only_new).await {
            Err(failure) if failure.is_unsupported() => self.send(&call()).await,
            result => result,
        };
        result.map(drop)
    }

    /// Sends a request, and again after failures that pass.
    async fn send(&self, call: &Call<'_>) -> Result<Response<Bytes>, Failure> {
        let result = self.send_signed(call).await;
        match result {
            Err(failure) if failure.is_expired() && self.credentials.renew() => {
                self.send_signed(call).await
            }
            result => result,
        }
    }

    async fn send_signed(&self, call: &Call<'_>) -> Result<Response<Bytes>, Failure> {
        tries(|number| async move {
            let keys = self.credentials.keys(&self.wire).await?;
            let url = self.url(call);
            let mut headers = call.headers.clone();
            let signed = sign::Request {
                method: &call.method,
                url: &url,
                body: &call.body,
            };
            sign::sign(&signed, &mut headers, &keys, &self.region, Utc::now())?;
            let attempt = Attempt {
                method: call.method.clone(),
                url,
                headers,
                body: call.body.clone(),
            };
            match self.wire.exchange(attempt).await {
                // A try whose answer was lost may have made it. What is there is read back in any case.
                Err(failure)
                    if number > 1
                        && call.creates
                        && (failure.is_taken() || failure.is_missing()) =>
                {
                    Ok(Response::new(Bytes::new()))
                }
                result => result,
            }
        })
        .await
    }

    fn url(&self, call: &Call<'_>) -> Url {
        let mut url = self.bucket.clone();
        if !call.key.is_empty() {
            let path = format!("{}/{}", url.path().trim_end_matches('/'), call.key);
            url.set_path(&path);
        }
        let encoded = |text| utf8_percent_encode(text, LITERAL);
        let pairs = call.query.iter();
        let pairs: Vec<_> = pairs
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        url.set_query((!pairs.is_empty()).then(|| pairs.join("&")).as_deref());
        url
    }
}

/// What is not there need not be deleted.
fn missing_is_gone<T>(result: Result<T, Failure>) -> Result<(), Failure> {
    match result {
        Err(failure) if failure.is_missing() => Ok(()),
        result => result.map(drop),
    }
}

/// The time of the store's clock.
fn date_of(answer: &Response<Bytes>) -> Option<DateTime<Utc>> {
    let date = answer.headers().get(header::DATE)?.to_str().ok()?;
    Some(DateTime::parse_from_rfc2822(date).ok()?.to_utc())
}
