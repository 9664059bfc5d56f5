//! What serving hands to a handler, and takes back from it.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri, header};

/// A response. Its body is whole, so that its length is known.
pub type Response = http::Response<Bytes>;

/// A request without its body.
#[derive(Debug)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The target as sent: nothing in it is decoded.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
    /// The address at the other end of the connection: a client or a proxy.
    pub peer: IpAddr,
}

/// The response to HEAD: that to GET, with the length of the body that is left out.
pub fn without_body(mut response: Response) -> Response {
    let length = response.body().len();
    if length > 0 {
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        *response.body_mut() = Bytes::new();
    }
    response
}
