//! One certificate, read or issued.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::{
    error::{Error, Result},
    object::time::after,
};

/// A new certificate is valid from a little before its issue, for clocks that are behind.
const BACKDATED: Duration = Duration::from_secs(300);

/// A certificate that was parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    /// In the one form in which the operator writes it.
    pub pem: String,
    /// Whether it may sign others.
    pub is_authority: bool,
    hosts: Vec<String>,
    public_key: Vec<u8>,
    from: Timestamp,
    to: Timestamp,
}

impl Certificate {
    /// Every certificate in a PEM file; anything else in it is skipped.
    pub fn read_all(text: &[u8]) -> Vec<Self> {
        pem::parse_many(text)
            .unwrap_or_default()
            .into_iter()
            .filter_map(|item| Self::read(item.into_contents()))
            .collect()
    }

    fn read(der: Vec<u8>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(&der).ok()?;
        let time =
            |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
        let mut hosts = Vec::new();
        if let Ok(Some(names)) = parsed.subject_alternative_name() {
            for name in &names.value.general_names {
                hosts.push(match name {
                    GeneralName::DNSName(host) => (*host).to_owned(),
                    other => other.to_string(),
                });
            }
        }
        Some(Self {
            pem: pem::encode_config(
                &pem::Pem::new("CERTIFICATE", der.clone()),
                pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
            ),
            is_authority: parsed.is_ca(),
            hosts,
            public_key: parsed.public_key().raw.to_vec(),
            from: time(parsed.validity().not_before)?,
            to: time(parsed.validity().not_after)?,
            der,
        })
    }

    /// When it was issued.
    pub fn issued(&self) -> Timestamp {
        after(self.from, BACKDATED)
    }

    /// When two thirds of its life are over.
    pub fn renewal(&self) -> Timestamp {
        let life = Duration::try_from(self.to.duration_since(self.from)).unwrap_or_default();
        after(self.from, life / 3 * 2)
    }

    /// Whether it can be used at this time.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        (self.from..self.to).contains(&now)
    }

    /// Whether it is for a server with exactly these host names.
    pub fn is_for(&self, hosts: &[String]) -> bool {
        self.hosts == hosts
    }

    /// Whether this authority signed it.
    pub fn is_signed_by(&self, authority: &Self) -> bool {
        let signed = || {
            let (_, subject) = X509Certificate::from_der(&self.der).ok()?;
            let (_, issuer) = X509Certificate::from_der(&authority.der).ok()?;
            let same_name = subject.issuer().as_raw() == issuer.subject().as_raw();
            let signature = || subject.verify_signature(Some(issuer.public_key())).is_ok();
            Some(authority.is_authority && same_name && signature())
        };
        signed().unwrap_or(false)
    }
}

/// A certificate with its key. `Debug` shows nothing of the key.
#[derive(Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: Certificate,
    /// The key as PEM, in the one form in which the operator writes it.
    pub key: String,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pair(..)")
    }
}

impl Pair {
    /// The first certificate of a PEM file with the key that belongs to it.
    pub fn read(certificate: &[u8], key: &[u8]) -> Option<Self> {
        let certificate = Certificate::read_all(certificate).into_iter().next()?;
        let key = KeyPair::from_pem(std::str::from_utf8(key).ok()?).ok()?;
        (key.subject_public_key_info() == certificate.public_key).then(|| Self {
            certificate,
            key: key.serialize_pem(),
        })
    }

    /// A new authority.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn authority(now: Timestamp, life: Duration) -> Result<Self> {
        // Verifiers look an authority up by its name: the time makes the names of two authorities differ.
        let mut params = params(&format!("hello database CA {}", now.as_second()), now, life);
        // It signs servers' certificates and no further authorities.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(Error::Certificate)?;
        let certificate = params.self_signed(&key).map_err(Error::Certificate)?;
        Self::issued(&certificate, &key)
    }

    /// A new certificate for a server, signed by this authority.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn issue(&self, hosts: &[String], now: Timestamp, life: Duration) -> Result<Self> {
        let mut params = params("hello database", now, life);
        params.subject_alt_names = CertificateParams::new(hosts)
            .map_err(Error::Certificate)?
            .subject_alt_names;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(Error::Certificate)?;
        let own = KeyPair::from_pem(&self.key).map_err(Error::Certificate)?;
        let issuer =
            Issuer::from_ca_cert_pem(&self.certificate.pem, own).map_err(Error::Certificate)?;
        let certificate = params
            .signed_by(&key, &issuer)
            .map_err(Error::Certificate)?;
        Self::issued(&certificate, &key)
    }

    fn issued(certificate: &rcgen::Certificate, key: &KeyPair) -> Result<Self> {
        // A certificate of our own that does not parse is a defect of a library.
        let certificate = Certificate::read(certificate.der().to_vec())
            .ok_or(Error::Certificate(rcgen::Error::CouldNotParseCertificate))?;
        Ok(Self {
            certificate,
            key: key.serialize_pem(),
        })
    }
}

fn params(name: &str, now: Timestamp, life: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = Duration::from_secs(now.as_second().try_into().unwrap_or_default());
    params.not_before = epoch + now.saturating_sub(BACKDATED);
    params.not_after = epoch + now + life;
    params
}
