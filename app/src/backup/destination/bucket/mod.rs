//! A bucket of an S3 store.
//!
//! Nothing in it is renamed, overwritten or pointed to. A set that is being written or deleted has a marker beside its
//! files: an object of the name that an unfinished manifest has in a folder. Buckets cannot be locked, so what another
//! backup has left is removed only when it is so old that nobody can be at work on it any more.

mod answer;
mod client;
mod credentials;
mod error;
mod keys;
mod sign;
mod wire;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bytes::Bytes;
use chrono::TimeDelta;
use url::Url;

use self::client::Client;
use self::credentials::{Credentials, Issuer};
use self::error::Failure;
use self::keys::Keys;
use self::wire::{LONGEST_ANSWER, Wire};
use super::catalog::{Catalog, Findings, LONGEST_MANIFEST};
use super::folder::{PARTIAL, create_private, finished_name, partial_name};
use crate::backup::error::{BackupError, Reason, at};
use crate::backup::manifest::{PREFIX, dump_names, manifest_name, set_of, set_of_manifest};
use crate::config::{BucketConfig, CredentialsConfig};

/// Longer than any backup takes.
const ABANDONED: TimeDelta = TimeDelta::hours(24);
/// How long a part of an object is, unless there would be too many.
const PART: u64 = LONGEST_ANSWER;
/// How many parts an object may have.
const MOST_PARTS: u64 = 10_000;

/// A bucket, or the part of it under a prefix.
#[derive(Debug)]
pub struct Bucket {
    client: Client,
    /// What the keys of all files begin with; empty, or with a slash at its end.
    prefix: String,
    /// How messages name it.
    name: String,
    /// Where its files are on this machine while they are made, or read back; none is a temporary folder.
    pub work: Option<PathBuf>,
}

impl Bucket {
    /// The bucket that is configured. Nothing is requested yet.
    ///
    /// # Errors
    /// When the certificates of the authorities cannot be used.
    pub fn new(config: &BucketConfig) -> Result<Self, BackupError> {
        let wire = Wire::new(config.ca_file.as_deref()).map_err(|error| {
            BackupError::found(Reason::DestinationUnreachable, error.to_string())
        })?;
        let credentials = match &config.credentials {
            CredentialsConfig::Keys { id, secret, token } => Credentials::Given(Keys {
                id: id.clone(),
                secret: secret.clone(),
                token: token.clone(),
            }),
            CredentialsConfig::WebIdentity {
                role,
                token_file,
                endpoint,
            } => Credentials::Issued(Issuer {
                role: role.clone(),
                token_file: token_file.clone(),
                endpoint: endpoint.clone(),
                issued: Mutex::new(None),
            }),
        };
        let (bucket, prefix) = (&config.bucket, &config.prefix);
        let server = &config.endpoint[url::Position::BeforeScheme..url::Position::AfterPort];
        Ok(Self {
            name: format!("s3://{bucket}/{prefix} at {server}"),
            prefix: prefix.clone(),
            work: config.work.clone(),
            client: Client {
                wire,
                bucket: address(config),
                region: config.region.clone(),
                credentials,
                encryption: config.server_side_encryption.clone(),
            },
        })
    }

    fn key(&self, file: &str) -> String {
        format!("{}{file}", self.prefix)
    }

    /// Says what was tried, where, and what to do about it.
    fn failed(&self, what: &str, failure: &Failure) -> BackupError {
        let advice = failure.advice();
        let advice = advice.map(|text| format!("; {text}")).unwrap_or_default();
        BackupError::Bucket {
            reason: failure.reason(),
            message: format!("{}: {what}: {failure}{advice}", self.name),
        }
    }

    /// The sets that are there.
    ///
    /// # Errors
    /// When they cannot be listed, or a manifest cannot be read.
    pub async fn catalog(&self) -> Result<Catalog, BackupError> {
        let listed = self.client.list(&self.key(PREFIX)).await;
        let (objects, _) = listed.map_err(|failure| self.failed("listing it", &failure))?;
        let mut found = Findings::default();
        for object in objects {
            let Some(file) = object.key.strip_prefix(&self.prefix) else {
                continue;
            };
            let set = set_of(file).filter(|set| manifest_name(set) == *file);
            if let Some(set) = set.filter(|_| object.size <= LONGEST_MANIFEST) {
                match self.contents(file, object.size).await {
                    Ok(Some(bytes)) => found.note_manifest(set, &bytes),
                    // A backup that runs now has deleted it.
                    Ok(None) => continue,
                    Err(error) => found.note_refusal(set, error)?,
                }
            }
            found.files.insert(file.to_owned(), object.size);
        }
        Ok(Catalog::new(found))
    }

    /// A small file, if it is there.
    async fn contents(&self, file: &str, size: u64) -> Result<Option<Vec<u8>>, BackupError> {
        let mut contents = Vec::new();
        let is_there = self.read(file, Some(size), |bytes| {
            contents.extend_from_slice(bytes);
            Ok(())
        });
        Ok(is_there.await?.then_some(contents))
    }

    /// Reads a file part by part; whether it is there. It has to have `size` bytes; where that is not known, no more than a
    /// manifest.
    async fn read(
        &self,
        file: &str,
        size: Option<u64>,
        mut take: impl FnMut(&[u8]) -> Result<(), BackupError>,
    ) -> Result<bool, BackupError> {
        let (key, mut from) = (self.key(file), 0);
        let mut end = size.unwrap_or(LONGEST_MANIFEST);
        while from < end {
            let part = self.client.read(&key, from, end.min(from + PART)).await;
            let (bytes, total) = match part {
                Ok(part) => part,
                Err(failure) if failure.is_missing() => return Ok(false),
                Err(failure) => return Err(self.failed(&format!("reading {file}"), &failure)),
            };
            if total != size.unwrap_or(total.min(end)) || bytes.is_empty() {
                let other = format!("of {total} bytes, which is not what it was");
                return Err(self.differs(file, &other));
            }
            end = total;
            take(&bytes)?;
            from += bytes.len() as u64;
        }
        Ok(true)
    }

    fn differs(&self, file: &str, how: &str) -> BackupError {
        BackupError::Bucket {
            reason: Reason::Mismatch,
            message: format!("{}: {file} is {how}", self.name),
        }
    }

    /// Copies a file to `path`. It has to have `size` bytes, where that is known.
    ///
    /// # Errors
    /// When it cannot be read, or the copy cannot be written.
    pub async fn download(
        &self,
        file: &str,
        size: Option<u64>,
        path: &Path,
    ) -> Result<(), BackupError> {
        let mut copy = create_private(path)?;
        let read = self.read(file, size, |bytes| copy.write_all(bytes).map_err(at(path)));
        match read.await? {
            true => Ok(()),
            false => Err(self.differs(file, "gone")),
        }
    }

    /// Begins a set: a marker says that it is not finished. Whoever cannot write learns it here, before there is a dump.
    ///
    /// # Errors
    /// When the bucket takes nothing, or another backup has begun the same set.
    pub async fn begin(&self, set: &str) -> Result<(), BackupError> {
        let marker = self.key(&marker(set));
        let written = self.client.write(&marker, Bytes::new()).await;
        match written {
            Err(failure) if failure.is_taken() => Err(BackupError::Bucket {
                reason: Reason::Locked,
                message: format!("{}: another backup has begun {set}", self.name),
            }),
            written => written.map_err(|failure| self.failed("writing to it", &failure)),
        }
    }

    /// Uploads the file at `path`. Nothing is overwritten.
    ///
    /// # Errors
    /// When it cannot be written, or is there already.
    pub async fn upload(&self, file: &str, path: &Path) -> Result<(), BackupError> {
        let mut source = File::open(path).map_err(at(path))?;
        let size = source.metadata().map_err(at(path))?.len();
        let key = self.key(file);
        let failed = |failure: Failure| self.failed(&format!("writing {file}"), &failure);
        if size <= PART {
            let body = part_of(&mut source, size, path)?;
            return self.client.write(&key, body).await.map_err(failed);
        }
        let length = part_length(size);
        let id = self.client.begin(&key).await.map_err(failed)?;
        let mut tags = Vec::new();
        let mut from = 0;
        while from < size {
            let body = part_of(&mut source, length.min(size - from), path)?;
            from += body.len() as u64;
            let number = tags.len() + 1;
            tags.push(
                self.client
                    .part(&key, &id, number, body)
                    .await
                    .map_err(failed)?,
            );
        }
        self.client.complete(&key, &id, &tags).await.map_err(failed)
    }

    /// Writes the manifest, with which the set exists, and reads it back. Then the marker is not needed any more.
    ///
    /// # Errors
    /// When it cannot be written, or is not read as it was written.
    pub async fn publish(&self, set: &str, manifest: Vec<u8>) -> Result<(), BackupError> {
        let (file, bytes) = (manifest_name(set), Bytes::from(manifest));
        let written = self.client.write(&self.key(&file), bytes.clone()).await;
        written.map_err(|failure| self.failed(&format!("writing {file}"), &failure))?;
        let read = self.contents(&file, bytes.len() as u64).await?;
        if read.as_deref() != Some(&*bytes) {
            return Err(self.differs(&file, "not read as it was written"));
        }
        if let Err(error) = self.delete(&marker(set)).await {
            tracing::warn!(%error, "the next backup deletes the marker");
        }
        Ok(())
    }

    /// Deletes a set: its manifest first, beside a marker that says that the files go too.
    ///
    /// # Errors
    /// When the store refuses. The set is then there, or is none any more.
    pub async fn remove(&self, set: &str, files: &[String]) -> Result<(), BackupError> {
        let marker = marker(set);
        let marked = self.client.write(&self.key(&marker), Bytes::new()).await;
        match marked {
            Err(failure) if !failure.is_taken() => {
                return Err(self.failed(&format!("writing {marker}"), &failure));
            }
            _ => {}
        }
        if let Err(error) = self.delete(&manifest_name(set)).await {
            // The set stays. That its marker does, too, is harmless.
            let _ = self.delete(&marker).await;
            return Err(error);
        }
        for file in files {
            self.delete(file).await?;
        }
        self.delete(&marker).await
    }

    async fn delete(&self, file: &str) -> Result<(), BackupError> {
        let deleted = self.client.delete(&self.key(file)).await;
        deleted.map_err(|failure| self.failed(&format!("deleting {file}"), &failure))
    }

    /// Deletes the remains of the set `own`, and of those that were begun or deleted and then left alone. What the store
    /// does not let go is left, with a warning.
    ///
    /// # Errors
    /// When the bucket cannot be listed.
    pub async fn clean(&self, own: Option<&str>) -> Result<(), BackupError> {
        let listed = self
            .client
            .list(&format!("{}{PREFIX}", self.key(PARTIAL.0)))
            .await;
        let (markers, now) = listed.map_err(|failure| self.failed("listing it", &failure))?;
        let result = async {
            for object in markers {
                let name = object.key.strip_prefix(&self.prefix);
                let set = name.and_then(finished_name).and_then(set_of_manifest);
                let Some(set) = set.filter(|set| set_of(&manifest_name(set)).is_some()) else {
                    continue;
                };
                let is_old = now.is_some_and(|now| now - object.modified > ABANDONED);
                if is_old || own == Some(set) {
                    self.clean_set(set).await?;
                }
            }
            self.abort_uploads(own).await
        };
        if let Err(error) = result.await {
            tracing::warn!(%error, "what an interrupted backup has left cannot be deleted");
        }
        Ok(())
    }

    async fn clean_set(&self, set: &str) -> Result<(), BackupError> {
        let manifest = manifest_name(set);
        let listed = self.client.list(&self.key(&manifest)).await;
        let (published, _) = listed.map_err(|failure| self.failed("listing it", &failure))?;
        if !published
            .iter()
            .any(|object| object.key == self.key(&manifest))
        {
            for file in dump_names(set) {
                self.delete(&file).await?;
            }
        }
        self.delete(&marker(set)).await
    }

    /// Parts of unfinished uploads are paid for, and seen by nobody.
    async fn abort_uploads(&self, own: Option<&str>) -> Result<(), BackupError> {
        let listed = self.client.uploads(&self.key(PREFIX)).await;
        let (uploads, now) =
            listed.map_err(|failure| self.failed("listing unfinished uploads", &failure))?;
        for upload in uploads {
            let Some(set) = upload.key.strip_prefix(&self.prefix).and_then(set_of) else {
                continue;
            };
            let is_old = now.is_some_and(|now| now - upload.begun > ABANDONED);
            if is_old || own == Some(set) {
                let aborted = self.client.abort(&upload.key, &upload.id).await;
                aborted.map_err(|failure| self.failed("ending an unfinished upload", &failure))?;
            }
        }
        Ok(())
    }
}

/// The object that says of a set that it is not finished.
fn marker(set: &str) -> String {
    partial_name(&manifest_name(set))
}

/// How long the parts of an object of `size` bytes are: memory holds one.
fn part_length(size: u64) -> u64 {
    PART.max(size.div_ceil(MOST_PARTS))
}

/// The next bytes of a file.
fn part_of(source: &mut File, length: u64, path: &Path) -> Result<Bytes, BackupError> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    source.read_exact(&mut bytes).map_err(at(path))?;
    Ok(Bytes::from(bytes))
}

/// The address of the bucket itself.
fn address(config: &BucketConfig) -> Url {
    let (mut url, bucket) = (config.endpoint.clone(), &config.bucket);
    let host = url.host_str().unwrap_or_default().to_owned();
    if config.path_style || url.set_host(Some(&format!("{bucket}.{host}"))).is_err() {
        let path = format!("{}/{bucket}", url.path().trim_end_matches('/'));
        url.set_path(&path);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_few_enough() {
        assert_eq!(part_length(PART + 1), PART);
        assert_eq!(part_length(PART * MOST_PARTS), PART);
        for size in [PART * MOST_PARTS + 1, 5 << 40] {
            assert!(size.div_ceil(part_length(size)) <= MOST_PARTS);
        }
    }
}
