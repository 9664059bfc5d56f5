//! Backups in a bucket, on a real S3 server.

mod at_once;
mod faults;
mod left;

use std::path::Path;

use super::bench::{Bench, filled_database, folder, names, stderr};
use crate::support::authority::Authority;
use crate::support::postgres;
use crate::support::s3::{Action, BUCKET, KEY, KEY_ID, Proxy, Seen, Server};

/// A bench whose backups are in a bucket of the server, by way of the proxy.
pub struct Store {
    pub server: Server,
    pub proxy: Proxy,
    pub bench: Bench,
}

impl Store {
    pub fn new(database: &str) -> Self {
        let server = Server::start(None);
        let proxy = Proxy::start(server.port);
        let endpoint = format!("http://{}", proxy.address);
        let bench = with_bucket(Bench::new(database), &endpoint);
        Self {
            server,
            proxy,
            bench: bench
                .variable("AWS_ACCESS_KEY_ID", KEY_ID)
                .variable("AWS_SECRET_ACCESS_KEY", KEY),
        }
    }

    /// Nothing is there but whole sets, also on this machine.
    fn assert_tidy(&self) {
        let keys = self.server.keys();
        assert!(
            keys.iter().all(|key| key.starts_with("all/hello-")),
            "{keys:?}"
        );
        assert!(self.server.parts().is_empty());
        let local = self.bench.names();
        assert!(local.iter().all(|name| name == "result"), "{local:?}");
    }

    /// The file of one of a set's objects.
    fn object(&self, set: &str, extension: &str) -> std::path::PathBuf {
        self.server.object(&format!("all/{set}.{extension}"))
    }
}

fn with_bucket(bench: Bench, endpoint: &str) -> Bench {
    bench
        .variable("HELLO_BACKUP_S3_BUCKET", BUCKET)
        .variable("HELLO_BACKUP_S3_PREFIX", "all")
        .variable("HELLO_BACKUP_S3_ENDPOINT", endpoint)
}

fn put(seen: &Seen) -> bool {
    seen.line.starts_with("PUT")
}

/// The database with as many random bytes as three parts of an upload have.
fn large_database() -> String {
    let database = filled_database();
    let bytes = format!(
        "SET ROLE {}; SELECT lo_from_bytea(0, string_agg(sha512(n::text::bytea), '')) FROM generate_series(1, 300000) n",
        postgres::OWNER
    );
    postgres::shared().sql(&database, &bytes);
    database
}

/// Objects that are no backups of the bench.
const OTHERS: [&str; 5] = [
    "all/notes.txt",
    "all/hello-20200101T000000Z.tar",
    "all/below/hello-20200101T000000Z.json",
    "hello-20200101T000000Z.json",
    "all2/hello-20200101T000000Z.dump",
];

#[test]
fn backups_in_a_bucket_are_made_kept_shown_proved_again_and_copied() {
    let store = Store::new(&filled_database());
    let (server, bench) = (&store.server, &store.bench);
    for other in OTHERS {
        let path = server.object(other);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "x").unwrap();
    }
    let both = "--format=custom,plain";
    let sets: Vec<String> = (1..=3)
        .map(|number| {
            let result = bench.succeed(&["--keep-last=2", both]);
            assert_eq!(result["sequence"], number);
            assert_eq!(result["count"], number.min(2));
            assert_eq!(result["warnings"].as_array().unwrap().len(), 0, "{result}");
            result["set"].as_str().unwrap().to_owned()
        })
        .collect();
    let mut expected: Vec<String> = OTHERS.map(str::to_owned).to_vec();
    for set in &sets[1..] {
        expected.extend(["dump", "json", "sql"].map(|end| format!("all/{set}.{end}")));
    }
    expected.sort();
    assert_eq!(server.keys(), expected);
    assert_eq!(bench.states(), [2, 0, 0]);
    assert_eq!(bench.list()[1]["name"], sets[2].as_str());

    let verify = || bench.command(&["verify", "latest"]).output().unwrap();
    let good = verify();
    assert!(good.status.success(), "{}", stderr(&good));
    assert!(
        String::from_utf8_lossy(&good.stdout)
            .starts_with(&format!("{} is good: 510 rows", sets[2]))
    );
    let target = folder();
    let fetch = || {
        let mut command = bench.command(&["fetch", "latest", "--to"]);
        command.arg(target.path()).output().unwrap()
    };
    let copied = fetch();
    assert!(copied.status.success(), "{}", stderr(&copied));
    for end in ["dump", "json", "sql"] {
        let copy = target.path().join(format!("{}.{end}", sets[2]));
        let read = |path| std::fs::read(path).unwrap();
        assert!(
            read(copy.clone()) == read(store.object(&sets[2], end)),
            "{end}"
        );
        std::fs::remove_file(copy).unwrap();
    }
    // A flipped bit is found when it is read, a missing byte also when it is listed.
    let dump = store.object(&sets[2], "dump");
    let bytes = flip_a_bit(&dump);
    for output in [verify(), fetch()] {
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("SHA-256"), "{}", stderr(&output));
    }
    assert_eq!(names(target.path()), [""; 0]);
    std::fs::write(&dump, &bytes[1..]).unwrap();
    assert_eq!(bench.states(), [1, 0, 1]);
    assert_eq!(bench.names(), [""; 0]);
}

/// Changes one bit in the middle of a file; what it was before.
fn flip_a_bit(file: &Path) -> Vec<u8> {
    let bytes = std::fs::read(file).unwrap();
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    std::fs::write(file, flipped).unwrap();
    bytes
}

#[test]
fn a_large_file_is_uploaded_and_read_in_parts() {
    let store = Store::new(&large_database());
    let result = store.bench.succeed(&[]);
    let set = result["set"].as_str().unwrap();
    let lines = store.proxy.lines();
    let count = |method: &str, part: &str| {
        let dump = lines.iter().filter(|line| line.contains(".dump"));
        dump.filter(|line| line.starts_with(method) && line.contains(part))
            .count()
    };
    assert_eq!(count("PUT", "partNumber="), 3, "{lines:#?}");
    assert_eq!(count("GET", ""), 3, "{lines:#?}");
    assert!(std::fs::metadata(store.object(set, "dump")).unwrap().len() > 2 * (8 << 20));
    store.assert_tidy();
    let output = store.bench.command(&["verify", set]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    // What the store lost of the last part is noticed before the set counts.
    let object = store.server.object("");
    store.proxy.set(move |seen| {
        if seen.line.starts_with("GET") && seen.line.contains(".dump") {
            for entry in std::fs::read_dir(object.join("all")).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|end| end == "dump") {
                    let file = std::fs::File::options().write(true).open(path).unwrap();
                    file.set_len(2 * (8 << 20)).unwrap();
                }
            }
        }
        Action::Pass
    });
    std::fs::rename(store.object(set, "dump"), store.server.object("kept")).unwrap();
    let message = store.bench.fail("Mismatch", &[]);
    assert!(message.contains(".dump is of 16777216 bytes"), "{message}");
    std::fs::rename(store.server.object("kept"), store.object(set, "dump")).unwrap();
    store.assert_tidy();
    assert_eq!(store.bench.states(), [1, 0, 0]);
    // Cut after half of the parts.
    store
        .proxy
        .set(|seen| match seen.line.contains("partNumber=2") {
            true => Action::Cut,
            false => Action::Pass,
        });
    let message = store.bench.fail("DestinationUnreachable", &[]);
    assert!(message.contains("writing hello-"), "{message}");
    store.assert_tidy();
    assert_eq!(store.bench.states(), [1, 0, 0]);
    store.proxy.set(|_| Action::Pass);
    assert_eq!(store.bench.succeed(&[])["count"], 2);
    store.assert_tidy();
}

#[test]
fn objects_are_encrypted_by_the_store_as_asked() {
    let store = Store::new(&filled_database());
    let (sent, heads) = std::sync::mpsc::channel();
    store.proxy.set(move |seen| {
        if put(seen) {
            let _ = sent.send(seen.head.to_lowercase());
        }
        Action::Pass
    });
    store.bench.succeed(&["--s3-server-side-encryption=AES256"]);
    let asked: Vec<_> = heads
        .try_iter()
        .map(|head| head.contains("\r\nx-amz-server-side-encryption: aes256\r\n"))
        .collect();
    // The marker, the dump and the manifest.
    assert_eq!(asked, [true; 3]);
}

/// The issuer's answer, with the keys of the server, which knows no temporary ones.
const ISSUED: &str = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
    <AccessKeyId>key-of-the-tests</AccessKeyId><SecretAccessKey>secret-of-the-tests</SecretAccessKey>\
    <SessionToken/><Expiration>2999-01-01T00:00:00Z</Expiration></Credentials>\
    </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";

#[test]
fn keys_are_issued_for_the_token_of_a_workload_and_replaced_when_they_expire() {
    let server = Server::start(None);
    let (proxy, issuer) = (Proxy::start(server.port), Proxy::start(server.port));
    let bench = Bench::new(&filled_database());
    let token = bench.path("token");
    std::fs::write(&token, "token-of-the-workload\n").unwrap();
    postgres::hand_over(&token);
    let bench = with_bucket(bench, &format!("http://{}", proxy.address))
        .variable("AWS_ROLE_ARN", "arn:aws:iam::1:role/backup")
        .variable("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap())
        .variable(
            "AWS_ENDPOINT_URL_STS",
            &format!("http://{}", issuer.address),
        );
    issuer.set(|_| Action::Answer(200, ISSUED));
    let mut count = 0;
    proxy.set(move |_| {
        count += 1;
        match count {
            5 => Action::Answer(400, "<Error><Code>ExpiredToken</Code></Error>"),
            _ => Action::Pass,
        }
    });
    bench.succeed(&[]);
    assert_eq!(issuer.lines(), ["POST /", "POST /"]);
    issuer.set(|_| {
        Action::Answer(
            403,
            "<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not you.</Message></Error></ErrorResponse>",
        )
    });
    let message = bench.fail("DestinationDenied", &[]);
    assert!(
        message.contains("Not you.") && message.contains("service account"),
        "{message}"
    );
    issuer.set(|_| Action::Cut);
    let message = bench.fail("DestinationUnreachable", &[]);
    assert!(message.contains("service that issues keys"), "{message}");
    std::fs::remove_file(&token).unwrap();
    let message = bench.fail("DestinationDenied", &[]);
    assert!(message.contains("token"), "{message}");
    assert_eq!(bench.names(), [""; 0]);
}

#[test]
fn a_store_is_verified_by_the_given_authority() {
    let authority = Authority::new("of the store");
    let server = Server::start(Some(&authority.server(&["localhost"])));
    let bench = Bench::new(&filled_database());
    let certificates = bench.path("ca");
    std::fs::write(&certificates, authority.pem()).unwrap();
    let bench = with_bucket(bench, &format!("https://localhost:{}", server.port))
        .variable("AWS_ACCESS_KEY_ID", KEY_ID)
        .variable("AWS_SECRET_ACCESS_KEY", KEY);
    let ca = format!("--s3-ca-file={}", certificates.display());
    bench.succeed(&[&ca]);
    let message = bench.fail("DestinationUnreachable", &[]);
    assert!(message.contains("certificate"), "{message}");
    // Another key, which the server refuses by itself.
    let bench = bench.variable("AWS_SECRET_ACCESS_KEY", "another-secret");
    let message = bench.fail("DestinationDenied", &[&ca]);
    assert!(message.contains("; the access key is wrong"), "{message}");
}
