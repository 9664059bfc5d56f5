//! The test vectors of the format of age, as its makers publish them (CCTV, a Go module whose sum is pinned here): of those for
//! keys of the kind X25519, each is opened, or refused for the reason that it states.

use std::io::{BufReader, Read, Seek, Write};
use std::path::PathBuf;
use std::process::Command;

use ring::digest::{SHA256, digest};

// What the program is made of, and not a copy. The tests of its writing half are beside it and in those of backups.
#[allow(dead_code, unused_imports)]
#[path = "../../src/age/mod.rs"]
mod age;

use age::{Identity, OpenError, SEALED_CHUNK};

const MODULE: &str = "c2sp.org/CCTV/age@v0.0.0-20251208015420-e9274a7bdbfd";
const SUM: &str = "h1:ZLsPO6WdZ5zatV4UfVpr7oAwLGRZ+sebTUruuM4Ra3M=";

/// The folder of the vectors, which are downloaded once.
fn folder() -> PathBuf {
    let output = Command::new("go")
        .args(["mod", "download", "-json", MODULE])
        .env("GOFLAGS", "-mod=mod")
        .current_dir("/")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["Sum"], SUM, "{text}");
    PathBuf::from(answer["Dir"].as_str().unwrap()).join("testdata")
}

/// What a vector states, and the file that it is about.
struct Vector {
    fields: Vec<(String, String)>,
    file: Vec<u8>,
}

impl Vector {
    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap();
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_owned(), value.to_owned())
        };
        let vector = Self {
            fields: head.lines().map(field).collect(),
            file: bytes[end + 2..].to_vec(),
        };
        match vector.all("compressed").as_slice() {
            [] => vector,
            ["zlib"] => Self {
                file: inflated(&vector.file),
                ..vector
            },
            other => panic!("{other:?}"),
        }
    }

    fn all(&self, name: &str) -> Vec<&str> {
        let of_name = self.fields.iter().filter(|(field, _)| field == name);
        of_name.map(|(_, value)| value.as_str()).collect()
    }

    /// The identities, unless it is about another kind of key or another form of file.
    fn identities(&self) -> Option<Vec<Identity>> {
        let other = ["armored", "passphrase"];
        if other.iter().any(|field| !self.all(field).is_empty()) {
            return None;
        }
        let identities = self.all("identity").into_iter();
        identities.map(|text| text.parse().ok()).collect()
    }
}

/// What zlib has compressed.
fn inflated(bytes: &[u8]) -> Vec<u8> {
    const INFLATE: &str =
        "import sys, zlib; sys.stdout.buffer.write(zlib.decompress(sys.stdin.buffer.read()))";
    let mut packed = tempfile::tempfile().unwrap();
    packed.write_all(bytes).unwrap();
    packed.rewind().unwrap();
    let output = Command::new("python3")
        .args(["-c", INFLATE])
        .stdin(packed)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// What becomes of a file, in the words of the vectors, and the SHA-256 of all that was opened.
fn outcome(file: &[u8], identities: &[Identity]) -> (&'static str, Vec<u8>) {
    let mut source = BufReader::new(file);
    let mut opened = Vec::new();
    let end = match age::open(&mut source, identities) {
        Err(OpenError::NoMatch) => "no match",
        Err(_) => "header failure",
        Ok(mut payload) => {
            let mut rest = Vec::new();
            source.read_to_end(&mut rest).unwrap();
            let mut chunks: Vec<Vec<u8>> = rest.chunks(SEALED_CHUNK).map(<[u8]>::to_vec).collect();
            if chunks.is_empty() {
                chunks.push(Vec::new());
            }
            let last = chunks.len() - 1;
            let mut end = "success";
            for (number, mut chunk) in chunks.into_iter().enumerate() {
                match payload.open(&mut chunk, number == last) {
                    Ok(plain) => opened.extend_from_slice(plain),
                    Err(_) => {
                        end = "payload failure";
                        break;
                    }
                }
            }
            end
        }
    };
    (end, digest(&SHA256, &opened).as_ref().to_vec())
}

#[test]
fn files_of_the_format_are_opened_and_others_are_refused() {
    let mut wrong = Vec::new();
    let mut tried = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let vector = Vector::read(&std::fs::read(&path).unwrap());
        let Some(identities) = vector.identities() else {
            continue;
        };
        tried += 1;
        let (end, sum) = outcome(&vector.file, &identities);
        // Whoever reads a header cannot always tell that of a wrong key from one that was changed.
        let expected = match vector.all("expect")[0] {
            "HMAC failure" => "header failure",
            expected => expected,
        };
        // A file without what makes its key is refused before any chunk.
        let refused = |end: &str| end == "header failure" || end == "payload failure";
        let same = end == expected || (expected == "payload failure" && refused(end));
        let sum: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        let whole = end != "success" || vector.all("payload") == [sum.as_str()];
        if !same || !whole {
            wrong.push(format!(
                "{}: {end}, and {expected} is expected",
                path.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 60, "{tried}");
}
