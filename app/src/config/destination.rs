//! Where backups are kept: in a folder, or in a bucket.

use std::path::PathBuf;

use clap::ArgMatches;
use url::Url;

use super::check::{choice, parse};
use super::group::{OptionGroup, option_group};
use super::option::{checked_path, optional, path, secret_file, value};
use super::{CommandConfig, ConfigErrors, Section};
use crate::http_client::check_ca_file;
use crate::secret::Secret;

option_group! {
    /// Where backups are.
    "Destination of backups" => pub struct DestinationOptions {
        /// Folder that keeps the backups. With a bucket: the folder in which they are made and read back, where one in the
        /// folder for temporary files (TMPDIR) is not wanted.
        directory: Option<PathBuf> = path("HELLO_BACKUP_DIRECTORY", "the path of a folder"),
        /// Bucket of an S3 store that keeps the backups, in place of a folder.
        s3_bucket: Option<String> = optional("HELLO_BACKUP_S3_BUCKET", "the name of a bucket", bucket),
        /// What the keys of all objects begin with, so that several databases can share a bucket.
        s3_prefix: Option<String> = optional(
            "HELLO_BACKUP_S3_PREFIX", "letters, digits and `-._/`", prefix)
            .needs("s3_bucket"),
        /// Address of the store. Unset: Amazon's in the region. `http://` sends everything in the clear.
        s3_endpoint: Option<Url> = optional(
            "HELLO_BACKUP_S3_ENDPOINT", "an http or https URL without query and password", endpoint)
            .needs("s3_bucket"),
        /// Region of the bucket.
        s3_region: String = value("AWS_REGION", "us-east-1", "letters, digits and `-`", region),
        /// Whether the bucket is in the path of addresses, and not in the host name. Unset: `true` with an endpoint, and for
        /// names that hold a dot.
        s3_path_style: Option<bool> = optional(
            "HELLO_BACKUP_S3_PATH_STYLE", "`true` or `false`", choice)
            .needs("s3_bucket"),
        /// Certificates of the authorities that the store is verified with. Unset: those of the system, or Mozilla's where
        /// the system has none.
        s3_ca_file: Option<PathBuf> = checked_path(
            "HELLO_BACKUP_S3_CA_FILE", "the path of a PEM file", check_ca_file)
            .needs("s3_bucket"),
        /// How the store encrypts what is written. Unset: as the bucket says.
        s3_server_side_encryption: Option<String> = optional(
            "HELLO_BACKUP_S3_SERVER_SIDE_ENCRYPTION", "`AES256`, `aws:kms` or `aws:kms:dsse`", encryption)
            .needs("s3_bucket"),
        /// ID of the access key.
        s3_access_key_id: Option<Secret> = optional(
            "AWS_ACCESS_KEY_ID", "a text", |text| Ok(Secret::new(text)))
            .secret()
            .excludes("s3_access_key_id_file"),
        /// File that holds it.
        s3_access_key_id_file: Option<Secret> = secret_file(
            "AWS_ACCESS_KEY_ID_FILE", "the path of a file"),
        /// The access key.
        s3_secret_access_key: Option<Secret> = optional(
            "AWS_SECRET_ACCESS_KEY", "a text", |text| Ok(Secret::new(text)))
            .secret()
            .excludes("s3_secret_access_key_file"),
        /// File that holds it.
        s3_secret_access_key_file: Option<Secret> = secret_file(
            "AWS_SECRET_ACCESS_KEY_FILE", "the path of a file"),
        /// Token that temporary access keys have.
        s3_session_token: Option<Secret> = optional(
            "AWS_SESSION_TOKEN", "a text", |text| Ok(Secret::new(text)))
            .secret()
            .excludes("s3_session_token_file"),
        /// File that holds it.
        s3_session_token_file: Option<Secret> = secret_file(
            "AWS_SESSION_TOKEN_FILE", "the path of a file"),
        /// Role whose keys are used when no access key is given. They are issued for the token of a workload.
        s3_role_arn: Option<String> = optional("AWS_ROLE_ARN", "the ARN of a role", parse),
        /// File with that token. It is read again when the keys expire.
        s3_web_identity_token_file: Option<PathBuf> = path(
            "AWS_WEB_IDENTITY_TOKEN_FILE", "the path of a file"),
        /// Address of the service that issues those keys. Unset: Amazon's in the region.
        s3_sts_endpoint: Option<Url> = optional(
            "AWS_ENDPOINT_URL_STS", "an http or https URL without query and password", endpoint),
    }
}

/// Where backups are kept.
#[derive(Debug)]
pub enum DestinationConfig {
    /// In a folder.
    Folder(PathBuf),
    /// In a bucket.
    Bucket(Box<BucketConfig>),
}

/// A bucket of an S3 store.
#[derive(Debug)]
pub struct BucketConfig {
    /// Its name.
    pub bucket: String,
    /// What the keys of all objects begin with; empty, or with a slash at its end.
    pub prefix: String,
    /// The address of the store.
    pub endpoint: Url,
    /// Whether the bucket is in the path of addresses, and not in the host name.
    pub path_style: bool,
    /// The region that requests are signed for.
    pub region: String,
    /// Certificates of the authorities that the store is verified with.
    pub ca_file: Option<PathBuf>,
    /// How the store encrypts what is written.
    pub server_side_encryption: Option<String>,
    /// What requests are signed with.
    pub credentials: CredentialsConfig,
    /// The folder in which backups are made and read back; none is a temporary one.
    pub work: Option<PathBuf>,
}

/// What requests are signed with.
#[derive(Debug)]
pub enum CredentialsConfig {
    /// An access key.
    Keys {
        /// Its ID.
        id: Secret,
        /// The key.
        secret: Secret,
        /// The token of a temporary one.
        token: Option<Secret>,
    },
    /// Keys of a role, issued for the token of a workload.
    WebIdentity {
        /// The role.
        role: String,
        /// The file with the token.
        token_file: PathBuf,
        /// The address of the service that issues them.
        endpoint: Url,
    },
}

impl DestinationOptions {
    /// The options for the table of a command.
    pub(super) fn section() -> Section {
        Section::from_group::<Self>()
    }

    /// The destination, which must be named.
    pub(super) fn required(
        matches: &ArgMatches,
        errors: &mut ConfigErrors,
    ) -> Option<DestinationConfig> {
        let mut options = Self::read_group(matches, errors)?;
        let Some(bucket) = options.s3_bucket.take() else {
            if options.directory.is_none() {
                let [folder, bucket] = ["directory", "s3_bucket"].map(Self::label);
                errors.record(&format!("{folder} or {bucket}"), "one of them is required");
            }
            return options.directory.map(DestinationConfig::Folder);
        };
        let credentials = options.credentials(errors)?;
        let path_style = options.s3_endpoint.is_some() || bucket.contains('.');
        let path_style = options.s3_path_style.unwrap_or(path_style);
        let endpoint = match options.s3_endpoint.take() {
            Some(endpoint) => endpoint,
            None => amazon("s3", &options.s3_region)?,
        };
        Some(DestinationConfig::Bucket(Box::new(BucketConfig {
            bucket,
            prefix: options.s3_prefix.unwrap_or_default(),
            endpoint,
            path_style,
            region: options.s3_region,
            ca_file: options.s3_ca_file,
            server_side_encryption: options.s3_server_side_encryption,
            credentials,
            work: options.directory,
        })))
    }

    /// What requests are signed with: an access key where one is given, else the token of a workload.
    fn credentials(&mut self, errors: &mut ConfigErrors) -> Option<CredentialsConfig> {
        let given = |text: &mut Option<Secret>, file: &mut Option<Secret>| {
            text.take().or_else(|| file.take())
        };
        let id = given(&mut self.s3_access_key_id, &mut self.s3_access_key_id_file);
        let secret = given(
            &mut self.s3_secret_access_key,
            &mut self.s3_secret_access_key_file,
        );
        let token = given(&mut self.s3_session_token, &mut self.s3_session_token_file);
        let [id_label, secret_label, role_label, token_label] = [
            "s3_access_key_id",
            "s3_secret_access_key",
            "s3_role_arn",
            "s3_web_identity_token_file",
        ]
        .map(Self::label);
        match (id, secret) {
            (Some(id), Some(secret)) => {
                return Some(CredentialsConfig::Keys { id, secret, token });
            }
            (None, None) => {}
            (Some(_), None) => {
                errors.record(&id_label, format!("needs {secret_label}"));
                return None;
            }
            (None, Some(_)) => {
                errors.record(&secret_label, format!("needs {id_label}"));
                return None;
            }
        }
        let (Some(role), Some(token_file)) = (
            self.s3_role_arn.take(),
            self.s3_web_identity_token_file.take(),
        ) else {
            let mistake = format!(
                "needs credentials: {id_label} and {secret_label}, or {role_label} and {token_label}"
            );
            errors.record(&Self::label("s3_bucket"), mistake);
            return None;
        };
        let endpoint = match self.s3_sts_endpoint.take() {
            Some(endpoint) => endpoint,
            None => amazon("sts", &self.s3_region)?,
        };
        Some(CredentialsConfig::WebIdentity {
            role,
            token_file,
            endpoint,
        })
    }
}

impl CommandConfig for DestinationConfig {
    fn sections() -> Vec<Section> {
        vec![DestinationOptions::section()]
    }

    fn read(matches: &ArgMatches, errors: &mut ConfigErrors) -> Option<Self> {
        DestinationOptions::required(matches, errors)
    }
}

/// The address of one of Amazon's services. Regions are checked, so there is one.
fn amazon(service: &str, region: &str) -> Option<Url> {
    let domain = match region.starts_with("cn-") {
        true => "amazonaws.com.cn",
        false => "amazonaws.com",
    };
    Url::parse(&format!("https://{service}.{region}.{domain}")).ok()
}

/// The names that Amazon allows; other stores allow no more in host names and paths.
fn bucket(text: &str) -> Result<String, String> {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_valid = (3..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| is_inner(byte) || b"-.".contains(&byte))
        && [text.bytes().next(), text.bytes().last()]
            .into_iter()
            .flatten()
            .all(is_inner)
        && !text.contains("..");
    match is_valid {
        true => Ok(text.to_owned()),
        false => Err("is no name of 3 to 63 lowercase letters, digits, hyphens and dots".into()),
    }
}

/// Without slashes at its ends, and with one after it.
fn prefix(text: &str) -> Result<String, String> {
    let text = text.trim_matches('/');
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte);
    if !text.bytes().all(is_allowed) {
        return Err("holds other letters".into());
    }
    // Addresses with such parts mean others.
    if text.split('/').any(|part| ["", ".", ".."].contains(&part)) && !text.is_empty() {
        return Err("holds an empty part, or one that is `.` or `..`".into());
    }
    Ok(match text {
        "" => String::new(),
        text => format!("{text}/"),
    })
}

fn region(text: &str) -> Result<String, String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    match !text.is_empty() && text.bytes().all(is_allowed) {
        true => Ok(text.to_owned()),
        false => Err("holds other letters".into()),
    }
}

fn encryption(text: &str) -> Result<String, String> {
    match ["AES256", "aws:kms", "aws:kms:dsse"].contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is not accepted")),
    }
}

fn endpoint(text: &str) -> Result<Url, String> {
    let url: Url = parse(text)?;
    if !["https", "http"].contains(&url.scheme()) || !url.has_host() {
        return Err("is neither an https nor an http URL".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or a password".into());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_buckets_and_prefixes_are_safe_in_addresses() {
        for good in ["abc", "my-bucket.example", "0a9"] {
            assert_eq!(bucket(good).as_deref(), Ok(good));
        }
        for wrong in [
            "ab",
            "-abc",
            "abc.",
            "a..b",
            "A-b",
            "a/b",
            "a b",
            "ä-b",
            &"a".repeat(64),
        ] {
            assert!(bucket(wrong).is_err(), "{wrong}");
        }
        for (given, expected) in [
            ("", ""),
            ("/", ""),
            ("/a/b.c/", "a/b.c/"),
            ("hello_1", "hello_1/"),
        ] {
            assert_eq!(prefix(given).as_deref(), Ok(expected));
        }
        for wrong in ["a//b", "..", "a/../b", "a/.", "a b", "a%2fb", "a?b"] {
            assert!(prefix(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn endpoints_are_addresses_of_servers() {
        for good in [
            "https://s3.example",
            "http://[::1]:9000",
            "https://s3.example/base",
        ] {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        for wrong in [
            "s3.example",
            "ftp://s3.example",
            "https://a:b@s3.example",
            "https://s3.example?a",
            "",
        ] {
            assert!(endpoint(wrong).is_err(), "{wrong}");
        }
        let address = |region| amazon("s3", region).map(String::from);
        assert_eq!(
            address("eu-west-1").unwrap(),
            "https://s3.eu-west-1.amazonaws.com/"
        );
        assert_eq!(
            address("cn-north-1").unwrap(),
            "https://s3.cn-north-1.amazonaws.com.cn/"
        );
    }
}
