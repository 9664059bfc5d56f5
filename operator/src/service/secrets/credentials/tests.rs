use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn stored(credentials: &Credentials) -> Secret {
    Secret {
        metadata: ObjectMeta {
            annotations: Some(credentials.annotations()),
            ..ObjectMeta::default()
        },
        data: Some(credentials.data("host", "ca.crt")),
        ..Secret::default()
    }
}

fn next(before: &Credentials, requested: Option<&str>, now: Timestamp) -> Credentials {
    Credentials::keep_or_generate(Some(&stored(before)), requested, now).unwrap()
}

fn first() -> Credentials {
    Credentials::keep_or_generate(None, None, NOW).unwrap()
}

#[test]
fn passwords_are_kept_and_only_missing_ones_are_generated() {
    let first = first();
    assert_eq!(next(&first, None, NOW), first);
    let mut secret = stored(&first);
    secret.data.as_mut().unwrap().remove(key::APP_PASSWORD);
    let second = Credentials::keep_or_generate(Some(&secret), None, NOW).unwrap();
    assert_eq!(second.owner, first.owner);
    assert_eq!(second.roles.backup, first.roles.backup);
    assert_ne!(second.roles.app, first.roles.app);
    assert_ne!(second.roles_fingerprint(), first.roles_fingerprint());
}

/// Otherwise each pass would generate another one, and another migration would follow from it.
#[test]
fn without_the_owner_nothing_depends_on_its_password() {
    let first = first().without_owner();
    let data = first.data("host", "ca.crt");
    assert!(!data.keys().any(|key| key.starts_with("owner")));
    let second = next(&first, None, NOW).without_owner();
    assert_eq!(second, first);
    assert_eq!(second.roles_fingerprint(), first.roles_fingerprint());
}

#[test]
fn a_rotation_replaces_all_but_the_roles_change_only_when_every_pod_has_them() {
    let before = first();
    let new = next(&before, Some("1"), NOW);
    assert_ne!(new.owner, before.owner);
    assert_ne!(new.roles.app, before.roles.app);
    assert_ne!(new.roles.backup, before.roles.backup);
    assert_eq!(new.next_change(), Some(NOW + PROPAGATION));
    assert_eq!(new.roles_fingerprint(), before.roles_fingerprint());
    let (old_data, data) = (before.data("h", "ca.crt"), new.data("h", "ca.crt"));
    assert_ne!(data[key::APP_URI], old_data[key::APP_URI]);
    assert_eq!(data[key::PREVIOUS_APP_URI], old_data[key::APP_URI]);
    assert_eq!(data[key::BACKUP_URI], old_data[key::BACKUP_URI]);

    // Nothing changes before the time, and a second request waits.
    let almost = NOW + PROPAGATION - Duration::from_secs(1);
    assert_eq!(next(&new, Some("1"), almost), new);
    assert_eq!(next(&new, Some("2"), almost), new);

    let done = next(&new, Some("1"), NOW + PROPAGATION);
    assert!(done.roles == new.roles);
    assert_eq!(done.next_change(), None);
    assert_ne!(done.roles_fingerprint(), before.roles_fingerprint());
    assert_ne!(
        done.data("h", "ca.crt")[key::BACKUP_URI],
        data[key::BACKUP_URI]
    );
    // The roles are still being changed: the application keeps both.
    assert_eq!(
        done.data("h", "ca.crt")[key::PREVIOUS_APP_URI],
        data[key::PREVIOUS_APP_URI]
    );
    assert_eq!(next(&done, Some("1"), NOW + PROPAGATION * 99), done);
    assert_eq!(next(&done, None, NOW + PROPAGATION * 99), done);
    assert_ne!(
        next(&done, Some("2"), NOW + PROPAGATION).roles.app,
        done.roles.app
    );
}

#[test]
fn a_request_on_a_new_service_is_fulfilled_by_its_first_passwords() {
    let first = Credentials::keep_or_generate(None, Some("1"), NOW).unwrap();
    assert_eq!(first.next_change(), None);
    assert_eq!(next(&first, Some("1"), NOW), first);
}

/// The annotation is anybody's to write who may edit the Secret.
#[test]
fn a_time_that_no_rotation_can_have_blocks_none() {
    let rotated = next(&first(), Some("1"), NOW);
    let with = |time: &str| {
        let mut secret = stored(&rotated);
        let annotations = secret.metadata.annotations.as_mut().unwrap();
        annotations.insert(names::ROTATED_ANNOTATION.into(), time.into());
        secret
    };
    for time in [
        "9999-12-30T22:00:00Z",
        "9999-12-30T22:00:00.999999999Z",
        "3000-01-01T00:00:00Z",
        "-009999-01-02T01:59:59Z",
        "0000-00-00T00:00:00Z",
        "yesterday",
        "",
    ] {
        let read = |requested, now| {
            Credentials::keep_or_generate(Some(&with(time)), requested, now).unwrap()
        };
        assert_eq!(read(Some("1"), NOW).next_change(), None, "{time}");
        let again = read(Some("2"), NOW);
        assert_ne!(again.roles.app, rotated.roles.app, "{time}");
        assert_eq!(again.next_change(), Some(NOW + PROPAGATION), "{time}");
    }
    // The clock of the operator that began the rotation may be ahead of this one.
    let early = NOW - PROPAGATION / 2;
    assert_eq!(next(&rotated, Some("2"), early), rotated);
}

#[test]
fn debug_shows_no_password() {
    assert_eq!(format!("{:?}", first()), "Credentials(..)");
}

fn given(text: &str) -> Given {
    Given {
        owner: format!("owner {text}"),
        app: format!("app {text}"),
        backup: format!("backup {text}"),
    }
}

#[test]
fn given_passwords_are_kept_with_every_character_and_the_same_ones_change_nothing() {
    let odd = given("p@ss/w:rd#1'%");
    let new = first().given(&odd, true, NOW);
    assert_eq!(new.next_change(), None);
    let data = new.data("host", "ca.crt");
    assert_eq!(data[key::APP_PASSWORD].0, odd.app.as_bytes());
    assert_eq!(
        data[key::APP_URI].0,
        b"postgres://hello_app:app%20p%40ss%2Fw%3Ard%231%27%25@host:5432/hello?sslmode=verify-full&sslrootcert=ca.crt"
    );
    let later = NOW + PROPAGATION * 9;
    assert!(next(&new, None, later).given(&odd, false, later) == new);
}

#[test]
fn other_given_passwords_are_a_rotation() {
    let before = first().given(&given("1"), true, NOW);
    let after = next(&before, None, NOW).given(&given("2"), false, NOW);
    assert_eq!(after.next_change(), Some(NOW + PROPAGATION));
    assert_eq!(after.roles_fingerprint(), before.roles_fingerprint());
    let (old, new) = (before.data("h", "ca.crt"), after.data("h", "ca.crt"));
    assert_eq!(new[key::PREVIOUS_APP_URI], old[key::APP_URI]);
    assert_ne!(new[key::APP_URI], old[key::APP_URI]);
    // A third one waits until the second one has reached everybody.
    let third = next(&after, None, NOW).given(&given("3"), false, NOW);
    assert!(third.roles == after.roles);
    let done = NOW + PROPAGATION;
    let third = next(&third, None, done).given(&given("3"), false, done);
    assert_ne!(third.data("h", "ca.crt")[key::APP_URI], new[key::APP_URI]);
}
