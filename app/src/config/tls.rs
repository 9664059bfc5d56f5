//! Where the API's certificate is.

use super::ConfigErrors;
use super::errors::non_empty_path;
use crate::cli::ServeArgs;
use crate::http::TlsFiles;

impl ConfigErrors {
    /// The two files, when the API is to speak TLS.
    pub(super) fn tls(&mut self, args: &ServeArgs) -> Option<TlsFiles> {
        let certificate = non_empty_path(args.tls_certificate_file.as_deref());
        let key = non_empty_path(args.tls_key_file.as_deref());
        match (certificate, key) {
            (Some(certificate), Some(key)) => Some(TlsFiles {
                certificate: certificate.into(),
                key: key.into(),
            }),
            (None, None) => None,
            _ => {
                self.note("HELLO_TLS_CERTIFICATE_FILE and HELLO_TLS_KEY_FILE go together");
                None
            }
        }
    }
}
