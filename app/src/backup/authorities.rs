//! The authorities that a remote server is verified with: PostgreSQL's programs do not verify by
//! themselves, and the image of PostgreSQL has no certificates.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::destination::Folder;
use super::error::{BackupError, at};

/// The longest line that OpenSSL reads.
const LINE: usize = 64;

/// The value of `PGSSLROOTCERT` for a server that must be verified: `system`, or a file in `folder`
/// with the public authorities where the system has none. `None` when the environment sets it already.
///
/// # Errors
/// When the file cannot be written.
pub fn root_certificates(folder: &Folder) -> Result<Option<String>, BackupError> {
    if std::env::var_os("PGSSLROOTCERT").is_some() {
        return Ok(None);
    }
    if !rustls_native_certs::load_native_certs().certs.is_empty() {
        return Ok(Some("system".into()));
    }
    let path = folder.partial("hello-authorities");
    std::fs::write(&path, public_authorities()).map_err(at(&path))?;
    Ok(Some(path.to_string_lossy().into_owned()))
}

/// Mozilla's authorities, in PEM.
fn public_authorities() -> String {
    let mut pem = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        let text = STANDARD.encode(certificate);
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(LINE));
            pem.push_str(line);
            pem.push('\n');
            rest = after;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    pem
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    #[test]
    fn the_public_authorities_can_be_read_back() {
        let pem = public_authorities();
        let read: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(read, webpki_root_certs::TLS_SERVER_ROOT_CERTS);
        assert!(pem.lines().all(|line| line.len() <= LINE));
    }
}
