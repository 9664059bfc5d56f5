use super::*;

const START: Timestamp = Timestamp::constant(1_800_000_000, 0);
const DAYS: Duration = Duration::from_secs(DAY);
const MINUTE: Duration = Duration::from_secs(60);

fn hosts() -> Vec<String> {
    vec!["demo-db".into(), "demo-db.ns.svc".into()]
}

/// The two Secrets as the operator wrote them, and the operator's next pass over them.
#[derive(Clone, Default)]
struct Stored {
    authority: Option<Secret>,
    server: Option<Secret>,
}

impl Stored {
    fn pass(&mut self, now: Timestamp) -> Certificates {
        let certificates = Certificates::keep_or_issue(
            self.authority.as_ref(),
            self.server.as_ref(),
            &hosts(),
            now,
        )
        .unwrap();
        let secret = |data| {
            Some(Secret {
                data: Some(data),
                ..Secret::default()
            })
        };
        self.authority = secret(certificates.authority_data());
        self.server = secret(certificates.server_data());
        certificates
    }

    fn server_value(&self, key: &str) -> String {
        let data = self.server.as_ref().unwrap().data.as_ref().unwrap();
        String::from_utf8(data[key].0.clone()).unwrap()
    }

    fn trusted(&self) -> Vec<Certificate> {
        Certificate::read_all(self.server_value(key::TRUSTED).as_bytes())
    }

    fn shown(&self) -> Certificate {
        Certificate::read_all(self.server_value(key::CERTIFICATE).as_bytes()).remove(0)
    }

    /// Asserts what must hold for every client: it trusts the authority of the certificate that it gets.
    fn assert_clients_connect(&self, client: &[Certificate], server: &Certificate) {
        assert!(
            client
                .iter()
                .any(|authority| server.is_signed_by(authority))
        );
        assert!(
            self.trusted()
                .iter()
                .any(|authority| server.is_signed_by(authority))
        );
    }
}

#[test]
fn what_is_good_is_kept_byte_for_byte() {
    let mut stored = Stored::default();
    stored.pass(START);
    let before = stored.clone();
    for day in [0, 1, 30, 59] {
        stored.pass(START + DAYS * day);
        assert_eq!(stored.authority, before.authority, "day {day}");
        assert_eq!(stored.server, before.server, "day {day}");
    }
    assert_eq!(stored.trusted().len(), 1);
}

#[test]
fn the_servers_certificate_is_renewed_at_two_thirds_of_its_life() {
    let mut stored = Stored::default();
    let next = stored.pass(START).next_change();
    let wanted = START + SERVER_LIFE * 2 / 3;
    let off = Duration::try_from(wanted.duration_since(next).abs()).unwrap();
    assert!(off < MINUTE * 5, "{next} is not {wanted}");
    let before = stored.clone();
    stored.pass(next - MINUTE);
    assert_eq!(stored.server, before.server);
    stored.pass(next);
    assert_ne!(stored.shown(), before.shown());
    assert_eq!(stored.authority, before.authority);
    assert_eq!(stored.trusted(), before.trusted());
}

/// Passes at every moment at which something is due, over thirty years, with clients and a server
/// that each trail behind by up to [`PROPAGATION`].
#[test]
fn no_client_ever_meets_a_certificate_that_it_does_not_trust() {
    let mut stored = Stored::default();
    let mut now = START;
    let mut authorities = Vec::new();
    let mut certificates = 0;
    let mut next = stored.pass(now).next_change();
    while now < START + DAYS * 365 * 30 {
        assert!(next > now, "{next} is over");
        now = next;
        let (client, server) = (stored.trusted(), stored.shown());
        next = stored.pass(now).next_change();
        // Who has read only the old Secret meets who has read the new one.
        stored.assert_clients_connect(&client, &stored.shown());
        stored.assert_clients_connect(&stored.trusted(), &server);
        certificates += usize::from(server != stored.shown());
        let newest = stored.trusted().remove(0);
        if authorities.last() != Some(&newest) {
            authorities.push(newest);
        }
        assert!(stored.trusted().len() <= 2);
    }
    assert_eq!(
        authorities.len(),
        5,
        "a new authority every six and two thirds years"
    );
    assert!(certificates > 180, "{certificates}");
}

#[test]
fn a_new_authority_is_trusted_before_it_signs_and_the_old_one_until_its_signature_is_gone() {
    let mut stored = Stored::default();
    stored.pass(START);
    let (old, shown) = (stored.trusted(), stored.shown());
    // An administrator whose authority's key has leaked deletes its Secret.
    stored.authority = None;
    let now = START + DAYS;
    let next = stored.pass(now).next_change();
    assert_eq!(stored.trusted().len(), 2);
    assert_eq!(stored.trusted()[1], old[0]);
    assert_eq!(stored.shown(), shown);
    assert_eq!(next, now + PROPAGATION);
    stored.pass(next - MINUTE);
    assert_eq!(stored.shown(), shown);
    let last = stored.pass(next).next_change();
    assert!(stored.shown().is_signed_by(&stored.trusted()[0]));
    assert_eq!(stored.trusted()[1], old[0]);
    assert_eq!(last, next + PROPAGATION);
    stored.pass(last);
    assert_eq!(stored.trusted().len(), 1);
    assert_ne!(stored.trusted(), old);
}

#[test]
fn what_is_lost_or_damaged_is_issued_again() {
    type Damage = fn(&mut Stored);
    let damages: [(&str, Damage); 6] = [
        ("no server Secret", |stored| stored.server = None),
        ("a key of another service", |stored| {
            let other = Pair::authority(START, SERVER_LIFE).unwrap();
            set(&mut stored.server, key::KEY, &other.key);
        }),
        ("a certificate by another service", |stored| {
            let other = Pair::authority(START, SERVER_LIFE).unwrap();
            let pair = other.issue(&hosts(), START, SERVER_LIFE).unwrap();
            set(&mut stored.server, key::CERTIFICATE, &pair.certificate.pem);
            set(&mut stored.server, key::KEY, &pair.key);
        }),
        ("another server's certificate", |stored| {
            let data = stored.authority.as_ref().unwrap();
            let authority = pair(data, key::TRUSTED, key::AUTHORITY_KEY).unwrap();
            let pair = authority
                .issue(&["else".to_owned()], START, SERVER_LIFE)
                .unwrap();
            set(&mut stored.server, key::CERTIFICATE, &pair.certificate.pem);
            set(&mut stored.server, key::KEY, &pair.key);
        }),
        ("no PEM at all", |stored| {
            set(&mut stored.server, key::CERTIFICATE, "none");
        }),
        ("neither Secret", |stored| *stored = Stored::default()),
    ];
    for (what, damage) in damages {
        let mut stored = Stored::default();
        stored.pass(START);
        let before = stored.shown();
        damage(&mut stored);
        stored.pass(START + MINUTE);
        assert_ne!(stored.shown(), before, "{what}");
        assert!(stored.shown().is_signed_by(&stored.trusted()[0]), "{what}");
        assert!(stored.shown().is_for(&hosts()), "{what}");
        let after = stored.clone();
        stored.pass(START + MINUTE);
        assert_eq!(stored.server, after.server, "{what}");
    }
}

#[test]
fn a_removed_trusted_certificate_is_restored() {
    let mut stored = Stored::default();
    stored.pass(START);
    let before = stored.clone();
    set(&mut stored.server, key::TRUSTED, "");
    stored.pass(START + MINUTE);
    assert_eq!(stored.server, before.server);
}

/// The operator did not run for a year.
#[test]
fn what_has_run_out_is_issued_at_once() {
    let mut stored = Stored::default();
    stored.pass(START);
    let late = START + DAYS * 365;
    stored.pass(late);
    assert!(stored.shown().is_valid(late));
    let end = START + AUTHORITY_LIFE + DAYS;
    stored.pass(end);
    assert!(stored.trusted()[0].is_valid(end) && stored.shown().is_valid(end));
    assert_eq!(stored.trusted().len(), 1);
}

#[test]
fn debug_shows_no_key() {
    let certificates = Stored::default().pass(START);
    assert!(!format!("{certificates:?}").contains("PRIVATE"));
}

fn set(secret: &mut Option<Secret>, key: &str, value: &str) {
    let data = secret.as_mut().unwrap().data.as_mut().unwrap();
    data.insert(key.to_owned(), ByteString(value.as_bytes().to_vec()));
}

#[test]
fn only_an_authority_that_is_valid_is_kept() {
    let mut stored = Stored::default();
    let server = stored.pass(START).server_data();
    let pair = [
        (key::TRUSTED, key::CERTIFICATE),
        (key::AUTHORITY_KEY, key::KEY),
    ];
    let data = pair.map(|(to, from)| (to.to_owned(), server[from].clone()));
    stored.authority = Some(Secret {
        data: Some(data.into()),
        ..Secret::default()
    });
    let issued = stored.pass(START);
    assert!(issued.authority.certificate.is_authority);
    let mut stored = Stored::default();
    let first = stored.pass(START).authority.certificate;
    stored.server = None;
    let after = START + AUTHORITY_LIFE + DAYS;
    assert!(!first.is_valid(after));
    stored.pass(after);
    assert!(!stored.trusted().contains(&first));
}

#[test]
fn a_server_of_other_names_gets_another_certificate() {
    let mut stored = Stored::default();
    stored.pass(START);
    let (authority, server) = (stored.authority.as_ref(), stored.server.as_ref());
    let other = ["other".to_owned()];
    let issued = Certificates::keep_or_issue(authority, server, &other, START).unwrap();
    assert!(issued.server.certificate.is_for(&other));
    assert!(issued.server.certificate != stored.shown());
}

#[test]
fn an_authority_of_the_same_name_did_not_sign() {
    let [one, other] = [START, START].map(|now| Pair::authority(now, AUTHORITY_LIFE).unwrap());
    let server = one.issue(&hosts(), START, SERVER_LIFE).unwrap().certificate;
    assert!(server.is_signed_by(&one.certificate));
    assert!(!server.is_signed_by(&other.certificate));
    assert!(!server.is_signed_by(&server));
}
