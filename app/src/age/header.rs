//! What a file begins with: its key, hidden for each recipient, and a seal over that.

use std::io::{self, BufRead, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use ring::error::Unspecified;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use super::key::{FileKey, Identity, LENGTH, Recipient, derive};
use super::payload::{Payload, SALT};

/// The first line.
const VERSION: &str = "age-encryption.org/v1";
/// What the line of a recipient begins with, and that of the kind that is understood.
const STANZA: &str = "-> ";
const X25519: &str = "-> X25519 ";
/// What the last line begins with.
const MAC: &str = "---";
/// The longest line of what was hidden for a recipient; a shorter one is the last.
const COLUMNS: usize = 64;
/// No header of ours is as long.
const LONGEST: u64 = 1 << 20;

/// Why a file cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// It is encrypted to others.
    NoMatch,
    /// It is not in the format, or was changed.
    Invalid,
    /// It cannot be read.
    Io(io::Error),
}

impl From<Unspecified> for OpenError {
    fn from(_: Unspecified) -> Self {
        Self::Invalid
    }
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => Self::Invalid,
            _ => Self::Io(error),
        }
    }
}

/// What a file for these recipients begins with, and what encrypts its chunks.
///
/// # Errors
/// When there is no randomness, or nobody can open what is encrypted to one of the recipients.
pub fn begin(recipients: &[Recipient]) -> Result<(Vec<u8>, Payload), Unspecified> {
    let random = SystemRandom::new();
    let (mut file_key, mut salt) = (FileKey::default(), [0; SALT]);
    random.fill(&mut file_key)?;
    random.fill(&mut salt)?;
    let mut header = format!("{VERSION}\n");
    for recipient in recipients {
        let (share, wrapped) = recipient.wrap(&file_key)?;
        let (share, wrapped) = (BASE64.encode(share), BASE64.encode(wrapped));
        header.push_str(&format!("{X25519}{share}\n{wrapped}\n"));
    }
    header.push_str(MAC);
    let mac = hmac::sign(&mac_key(&file_key)?, header.as_bytes());
    header.push_str(&format!(" {}\n", BASE64.encode(mac)));
    let beginning = [header.as_bytes(), &salt].concat();
    Ok((beginning, Payload::new(&file_key, &salt)?))
}

/// Reads the beginning of a file; what decrypts its chunks.
///
/// # Errors
/// See [`OpenError`].
pub fn open(source: &mut impl BufRead, identities: &[Identity]) -> Result<Payload, OpenError> {
    let header = Header::read(&mut source.by_ref().take(LONGEST))?;
    let tried = header.stanzas.iter().flat_map(|(share, wrapped)| {
        identities
            .iter()
            .filter_map(|identity| identity.unwrap(*share, *wrapped).transpose())
    });
    let file_key = { tried }.next().ok_or(OpenError::NoMatch)??;
    hmac::verify(&mac_key(&file_key)?, header.text.as_bytes(), &header.mac)?;
    let mut salt = [0; SALT];
    source.read_exact(&mut salt)?;
    Ok(Payload::new(&file_key, &salt)?)
}

fn mac_key(file_key: &FileKey) -> Result<hmac::Key, Unspecified> {
    let key = derive(&[], file_key, b"header")?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &key))
}

/// A header that was read.
struct Header {
    /// What the seal is over.
    text: String,
    /// A share and what was hidden, for each recipient of the kind that is understood.
    stanzas: Vec<([u8; LENGTH], [u8; LENGTH])>,
    mac: [u8; LENGTH],
}

impl Header {
    fn read(source: &mut impl BufRead) -> Result<Self, OpenError> {
        let mut header = Self {
            text: String::new(),
            stanzas: Vec::new(),
            mac: [0; LENGTH],
        };
        if header.line(source)? != VERSION {
            return Err(OpenError::Invalid);
        }
        loop {
            let begin = header.text.len();
            let line = header.line(source)?;
            if let Some(mac) = line
                .strip_prefix(MAC)
                .and_then(|rest| rest.strip_prefix(' '))
            {
                header.mac = decode(mac)?;
                header.text.truncate(begin + MAC.len());
                return match begin > VERSION.len() + 1 {
                    true => Ok(header),
                    false => Err(OpenError::Invalid),
                };
            }
            header.stanza(&line, source)?;
        }
    }

    /// Reads what belongs to a line of a recipient.
    fn stanza(&mut self, line: &str, source: &mut impl BufRead) -> Result<(), OpenError> {
        let arguments = line.strip_prefix(STANZA).ok_or(OpenError::Invalid)?;
        let is_argument =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !arguments.split(' ').all(is_argument) {
            return Err(OpenError::Invalid);
        }
        let mut body = String::new();
        loop {
            let line = self.line(source)?;
            body.push_str(&line);
            if line.len() > COLUMNS {
                return Err(OpenError::Invalid);
            }
            if line.len() < COLUMNS {
                break;
            }
        }
        let bytes = BASE64.decode(&body).map_err(|_| OpenError::Invalid)?;
        if arguments == X25519.trim_start_matches(STANZA).trim_end() {
            return Err(OpenError::Invalid);
        }
        if let Some(share) = line.strip_prefix(X25519) {
            let wrapped = bytes.try_into().map_err(|_| OpenError::Invalid)?;
            self.stanzas.push((decode(share)?, wrapped));
        }
        Ok(())
    }

    /// The next line, without its end.
    fn line(&mut self, source: &mut impl BufRead) -> Result<String, OpenError> {
        let begin = self.text.len();
        source.read_line(&mut self.text)?;
        let line = self.text[begin..].strip_suffix('\n');
        Ok(line.ok_or(OpenError::Invalid)?.to_owned())
    }
}

/// As many bytes as keys have.
fn decode(text: &str) -> Result<[u8; LENGTH], OpenError> {
    let bytes = BASE64.decode(text).map_err(|_| OpenError::Invalid)?;
    bytes.try_into().map_err(|_| OpenError::Invalid)
}
