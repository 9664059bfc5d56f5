//! What a store answers: documents in XML, of which the few elements are read that are needed.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use roxmltree::{Document, Node, ParsingOptions};

use super::keys::Keys;
use crate::secret::Secret;

/// A page has a thousand entries of about ten elements each.
const MOST_NODES: u32 = 200_000;

/// One page of a list of objects.
#[derive(Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What is listed.
    pub entries: Vec<T>,
    /// What the next page is asked for with; empty after the last one.
    pub next: BTreeMap<&'static str, String>,
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Its length.
    pub size: u64,
    /// When it was written, by the clock of the store.
    pub modified: DateTime<Utc>,
}

/// An object that is uploaded in parts, and not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The key that it will have.
    pub key: String,
    /// Names the upload.
    pub id: String,
    /// When it was begun, by the clock of the store.
    pub begun: DateTime<Utc>,
}

/// What a store, or an issuer of keys, says of a request that it refuses.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Cause {
    /// One word, such as `AccessDenied`.
    pub code: String,
    /// The same for people.
    pub message: String,
    /// The region of the bucket, where the request was to another.
    pub region: Option<String>,
}

/// The objects of a page; none when it is not understood.
pub fn objects(xml: &[u8]) -> Option<Page<Object>> {
    let text = std::str::from_utf8(xml).ok()?;
    let document = parse(text)?;
    let root = root(&document, "ListBucketResult")?;
    let entries = children(root, "Contents").map(|node| {
        Some(Object {
            key: text_of(node, "Key")?.to_owned(),
            size: text_of(node, "Size")?.trim().parse().ok()?,
            modified: time_of(node, "LastModified")?,
        })
    });
    Some(Page {
        entries: entries.collect::<Option<_>>()?,
        next: next(root, &[("NextContinuationToken", "continuation-token")])?,
    })
}

/// The unfinished uploads of a page; none when it is not understood.
pub fn uploads(xml: &[u8]) -> Option<Page<Upload>> {
    let text = std::str::from_utf8(xml).ok()?;
    let document = parse(text)?;
    let root = root(&document, "ListMultipartUploadsResult")?;
    let entries = children(root, "Upload").map(|node| {
        Some(Upload {
            key: text_of(node, "Key")?.to_owned(),
            id: text_of(node, "UploadId")?.to_owned(),
            begun: time_of(node, "Initiated")?,
        })
    });
    let markers = [
        ("NextKeyMarker", "key-marker"),
        ("NextUploadIdMarker", "upload-id-marker"),
    ];
    Some(Page {
        entries: entries.collect::<Option<_>>()?,
        next: next(root, &markers)?,
    })
}

/// The name of an upload that was begun.
pub fn upload_id(xml: &[u8]) -> Option<String> {
    let document = parse(std::str::from_utf8(xml).ok()?)?;
    let id = text_of(
        root(&document, "InitiateMultipartUploadResult")?,
        "UploadId",
    )?;
    (!id.is_empty()).then(|| id.to_owned())
}

/// Keys that were issued for a token, and when they expire.
pub fn issued_keys(xml: &[u8]) -> Option<(Keys, DateTime<Utc>)> {
    let document = parse(std::str::from_utf8(xml).ok()?)?;
    let root = root(&document, "AssumeRoleWithWebIdentityResponse")?;
    let keys = children(
        children(root, "AssumeRoleWithWebIdentityResult").next()?,
        "Credentials",
    )
    .next()?;
    let text = |name| Some(Secret::new(text_of(keys, name)?));
    let issued = Keys {
        id: text("AccessKeyId")?,
        secret: text("SecretAccessKey")?,
        token: text("SessionToken").filter(|token| !token.expose().is_empty()),
    };
    Some((issued, time_of(keys, "Expiration")?))
}

/// Why a request was refused, or failed after it was accepted: an answer of success may say so, too. None when it does
/// not say.
pub fn cause(xml: &[u8]) -> Option<Cause> {
    let document = parse(std::str::from_utf8(xml).ok()?)?;
    let root = document.root_element();
    let node = match root.tag_name().name() {
        "Error" => root,
        "ErrorResponse" => children(root, "Error").next()?,
        _ => return None,
    };
    let text = |name| text_of(node, name).map(plain);
    Some(Cause {
        code: text("Code")?,
        message: text("Message").unwrap_or_default(),
        region: text("Region"),
    })
}

/// A short text on one line: it comes from elsewhere, and goes into status and logs.
fn plain(text: &str) -> String {
    const LONGEST: usize = 300;
    let letters = text
        .trim()
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter });
    letters.take(LONGEST).collect()
}

fn parse(text: &str) -> Option<Document<'_>> {
    let options = ParsingOptions {
        nodes_limit: MOST_NODES,
        ..ParsingOptions::default() // no document type, so no entities of its own
    };
    Document::parse_with_options(text, options).ok()
}

fn root<'a, 'i>(document: &'a Document<'i>, name: &str) -> Option<Node<'a, 'i>> {
    let root = document.root_element();
    (root.tag_name().name() == name).then_some(root)
}

fn children<'a, 'i>(node: Node<'a, 'i>, name: &str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children()
        .filter(move |child| child.tag_name().name() == name)
}

fn text_of<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    Some(children(node, name).next()?.text().unwrap_or_default())
}

fn time_of(node: Node<'_, '_>, name: &str) -> Option<DateTime<Utc>> {
    text_of(node, name)?.trim().parse().ok()
}

/// The parameters of the next page. A page that says that it is cut has to say how it goes on.
fn next(
    root: Node<'_, '_>,
    markers: &[(&'static str, &'static str)],
) -> Option<BTreeMap<&'static str, String>> {
    if text_of(root, "IsTruncated").is_none_or(|text| text.trim() != "true") {
        return Some(BTreeMap::new());
    }
    let mut next = BTreeMap::new();
    for (element, parameter) in markers {
        if let Some(text) = text_of(root, element).filter(|text| !text.is_empty()) {
            next.insert(*parameter, text.to_owned());
        }
    }
    (!next.is_empty()).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_objects_is_read() {
        let page = br#"<?xml version="1.0" encoding="UTF-8"?>
            <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><IsTruncated>true</IsTruncated>
            <NextContinuationToken>a&amp;b</NextContinuationToken>
            <Contents><Key>p/hello-x.json</Key><LastModified>2026-05-01T02:00:00.000Z</LastModified><Size>5</Size></Contents>
            <Contents><Size>0</Size><Key>a&lt;b</Key><LastModified>2026-05-01T02:00:00Z</LastModified></Contents>
            <CommonPrefixes><Prefix>p/q/</Prefix></CommonPrefixes></ListBucketResult>"#;
        let page = objects(page).unwrap();
        let named: Vec<_> = page
            .entries
            .iter()
            .map(|object| (&*object.key, object.size))
            .collect();
        assert_eq!(named, [("p/hello-x.json", 5), ("a<b", 0)]);
        assert_eq!(page.next["continuation-token"], "a&b");
    }

    #[test]
    fn what_is_not_a_whole_page_is_not_understood() {
        let list = |inner: &str| format!("<ListBucketResult>{inner}</ListBucketResult>");
        for wrong in [
            String::new(),
            "<html>".into(),
            "<Error><Code>x</Code></Error>".into(),
            list("<Contents><Key>a</Key></Contents>"),
            list(
                "<Contents><Key>a</Key><Size>-1</Size><LastModified>2026-05-01T02:00:00Z</LastModified></Contents>",
            ),
            list("<IsTruncated>true</IsTruncated>"),
            format!(
                "<!DOCTYPE x [<!ENTITY a 'b'>]>{}",
                list("<Contents>&a;</Contents>")
            ),
        ] {
            assert_eq!(objects(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(objects(list("").as_bytes()).unwrap().entries, []);
        assert_eq!(objects(b"\xff"), None);
        let deep = "<a>".repeat(100_000);
        assert_eq!(objects(deep.as_bytes()), None);
    }

    #[test]
    fn causes_are_short_and_on_one_line() {
        let error = format!(
            "<Error><Code>AccessDenied</Code><Message>No\n{}</Message><SecretThing>s</SecretThing></Error>",
            "x".repeat(999)
        );
        let cause = cause(error.as_bytes()).unwrap();
        assert_eq!((&*cause.code, cause.message.len()), ("AccessDenied", 300));
        assert!(cause.message.starts_with("No x"));
        let of_issuer = b"<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredTokenException</Code></Error></ErrorResponse>";
        assert_eq!(
            super::cause(of_issuer).unwrap().code,
            "ExpiredTokenException"
        );
        assert_eq!(super::cause(b"<CompleteMultipartUploadResult/>"), None);
        assert_eq!(super::cause(b"not XML"), None);
    }

    #[test]
    fn uploads_and_issued_keys_are_read() {
        let page = uploads(
            b"<ListMultipartUploadsResult><Upload><Key>k</Key><UploadId>i</UploadId>\
              <Initiated>2026-05-01T02:00:00Z</Initiated></Upload></ListMultipartUploadsResult>",
        );
        assert_eq!(page.unwrap().entries[0].id, "i");
        assert_eq!(upload_id(b"<InitiateMultipartUploadResult><UploadId>i</UploadId></InitiateMultipartUploadResult>"), Some("i".into()));
        assert_eq!(
            upload_id(
                b"<InitiateMultipartUploadResult><UploadId/></InitiateMultipartUploadResult>"
            ),
            None
        );
        let (keys, _) = issued_keys(
            b"<AssumeRoleWithWebIdentityResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'>\
              <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>i</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
              <SessionToken>t</SessionToken><Expiration>2026-05-01T02:00:00Z</Expiration></Credentials>\
              </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
        )
        .unwrap();
        assert_eq!((keys.id.expose(), keys.secret.expose()), ("i", "s"));
    }
}
