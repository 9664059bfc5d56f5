//! How PostgreSQL's own programs reach the database.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sqlx::postgres::PgSslMode;

use super::{BackupError, at};
use crate::secret::Secret;
use crate::store::{DatabaseUrl, InvalidDatabaseUrl};

/// Where public authorities are written; named so that it is removed with what a backup leaves behind.
const AUTHORITIES: &str = ".hello-authorities.partial";

/// An address, split: the password goes by environment, because
/// everybody on the machine can read a command line.
pub struct Connection {
    /// The address without its password.
    pub url: String,
    password: Option<Secret>,
    /// Whether the server must prove who it is.
    verified: bool,
    /// Who vouches for it: a file or `system`, unless the environment or nobody has to say so.
    authorities: Option<String>,
}

impl Connection {
    /// The connection that an address describes.
    ///
    /// # Errors
    /// When it is none of PostgreSQL.
    pub fn new(text: &Secret) -> Result<Self, BackupError> {
        let text = text.expose();
        let DatabaseUrl::Postgres(options) = text.parse()? else {
            return Err(BackupError::NotPostgres);
        };
        let malformed = |error: String| InvalidDatabaseUrl::Malformed(error);
        let mut url = url::Url::parse(text).map_err(|error| malformed(error.to_string()))?;
        let password = url
            .password()
            .map(|password| percent_encoding::percent_decode_str(password).decode_utf8())
            .transpose()
            .map_err(|error| malformed(error.to_string()))?
            .map(Secret::new);
        // Only a URL without a host refuses to lose its password, and then it has none.
        let _ = url.set_password(None);
        // The driver has a parameter and spellings of its own; PostgreSQL's programs refuse what
        // they do not know.
        let kept: Vec<_> = url
            .query_pairs()
            .filter(|(key, _)| key != "statement-cache-capacity")
            .map(|(key, value)| (own_spelling(&key).to_owned(), value.into_owned()))
            .collect();
        url.query_pairs_mut().clear().extend_pairs(kept);
        if url.query() == Some("") {
            url.set_query(None);
        }
        let verified = matches!(options.get_ssl_mode(), PgSslMode::VerifyFull);
        let authorities =
            (verified && std::env::var_os("PGSSLROOTCERT").is_none()).then(|| "system".to_owned());
        Ok(Self {
            url: url.into(),
            password,
            verified,
            authorities,
        })
    }

    /// Writes the authorities that this program carries into `directory`, when they are the
    /// system's to name and it has none: PostgreSQL's image has no certificates.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn provide_authorities(&mut self, directory: &Path) -> Result<(), BackupError> {
        if self.authorities.is_none() || !rustls_native_certs::load_native_certs().certs.is_empty()
        {
            return Ok(());
        }
        let path = directory.join(AUTHORITIES);
        std::fs::write(&path, public_authorities()).map_err(at(&path))?;
        self.authorities = Some(path.to_string_lossy().into_owned());
        Ok(())
    }

    /// What the programs are told beside the address. By themselves they would not ask a remote
    /// server who it is.
    pub fn environment(&self) -> Vec<(&'static str, &str)> {
        let mut variables = Vec::new();
        if let Some(password) = &self.password {
            variables.push(("PGPASSWORD", password.expose()));
        }
        if self.verified {
            variables.push(("PGSSLMODE", "verify-full"));
        }
        if let Some(authorities) = &self.authorities {
            variables.push(("PGSSLROOTCERT", authorities));
        }
        variables
    }
}

/// How PostgreSQL's programs spell a parameter of an address.
fn own_spelling(key: &str) -> &str {
    match key {
        "ssl-mode" => "sslmode",
        "ssl-root-cert" | "ssl-ca" => "sslrootcert",
        "ssl-cert" => "sslcert",
        "ssl-key" => "sslkey",
        other => other,
    }
}

/// Mozilla's authorities, in PEM.
fn public_authorities() -> String {
    let mut pem = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        let text = STANDARD.encode(certificate);
        let mut rest = text.as_str();
        while !rest.is_empty() {
            // OpenSSL reads no longer lines.
            let (line, after) = rest.split_at(rest.len().min(64));
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
    fn the_password_is_not_on_the_command_line() {
        let text = "postgres://hello_backup:p%40ss@db:5432/hello?statement-cache-capacity=0&sslmode=disable";
        let connection = Connection::new(&Secret::new(text)).unwrap();
        assert_eq!(
            connection.url,
            "postgres://hello_backup@db:5432/hello?sslmode=disable"
        );
        assert_eq!(connection.password.unwrap().expose(), "p@ss");
        let bare = Connection::new(&Secret::new("postgres://u@db/hello")).unwrap();
        assert_eq!(bare.url, "postgres://u@db/hello");
        assert!(Connection::new(&Secret::new("sqlite://x")).is_err());
    }

    #[test]
    fn a_remote_server_has_to_prove_who_it_is() {
        let connection = |text: &str| Connection::new(&Secret::new(text)).unwrap();
        let remote = connection("postgres://u:p@db.example.com/hello");
        assert_eq!(
            remote.environment(),
            [
                ("PGPASSWORD", "p"),
                ("PGSSLMODE", "verify-full"),
                ("PGSSLROOTCERT", "system"),
            ]
        );
        assert_eq!(connection("postgres://u@db/hello").environment(), []);
        let told = connection("postgres://u@db.example.com/hello?ssl-mode=require&ssl-ca=/ca");
        assert_eq!(
            told.url,
            "postgres://u@db.example.com/hello?sslmode=require&sslrootcert=%2Fca"
        );
        assert_eq!(told.environment(), []);
    }

    #[test]
    fn the_public_authorities_can_be_read_back() {
        let pem = public_authorities();
        let read: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(read, webpki_root_certs::TLS_SERVER_ROOT_CERTS);
        assert!(pem.lines().all(|line| line.len() <= 64));
    }
}
