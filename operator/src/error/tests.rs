use super::*;
use crate::object::kind::Kind;

fn answer(code: u16, message: &str) -> Error {
    let status = kube::core::Status::failure(message, "Reason").with_code(code);
    Error::Api {
        action: "create Job demo".into(),
        source: Box::new(kube::Error::Api(status.boxed())),
    }
}

#[test]
fn every_answer_of_the_api_server_has_a_class() {
    for (code, class) in [
        (400, Class::Invalid),
        (401, Class::Transient),
        (403, Class::Refused),
        (404, Class::Transient),
        (408, Class::Transient),
        (409, Class::Transient),
        (410, Class::Transient),
        (413, Class::Transient),
        (422, Class::Invalid),
        (429, Class::Transient),
        (500, Class::Transient),
        (502, Class::Transient),
        (503, Class::Transient),
        (504, Class::Transient),
    ] {
        let error = answer(code, "no");
        assert_eq!(error.class(), class, "{code}");
        assert!(error.is_code(code) && !error.is_code(code + 1));
        assert_eq!(error.is_server_failure(), code >= 500, "{code}");
        assert_eq!(error.is_about_one_object(true), code >= 500, "{code}");
        assert!(!error.is_terminating_namespace());
    }
}

#[test]
fn a_class_has_a_label_of_its_own() {
    assert_eq!(
        Class::ALL.map(Class::as_str),
        [
            "transient",
            "waiting",
            "invalid",
            "conflict",
            "refused",
            "unanswered"
        ]
    );
}

#[test]
fn a_refusal_is_reported_in_the_api_servers_words_if_it_has_any() {
    let text = |message| answer(403, message).to_string();
    assert_eq!(text("exceeded quota"), "create Job demo: exceeded quota");
    let status = text("");
    assert!(status.contains("403"), "{status}");
}

#[test]
fn every_other_error_has_a_class() {
    let child = || ChildId::new(Kind::Secret, "demo");
    let json = || serde_json::from_str::<u8>("x").unwrap_err();
    let action = || "get Secret demo".to_owned();
    for (error, class) in [
        (
            Error::Deadline {
                action: action(),
                deadline: Duration::from_secs(10),
            },
            Class::Unanswered,
        ),
        (Error::NotLeader { action: action() }, Class::Transient),
        (
            Error::Api {
                action: action(),
                source: Box::new(kube::Error::LinesCodecMaxLineLengthExceeded),
            },
            Class::Transient,
        ),
        (Error::invalid("spec.image", "no"), Class::Invalid),
        (
            Error::Missing {
                message: "no".into(),
            },
            Class::Waiting,
        ),
        (Error::Foreign { child: child() }, Class::Conflict),
        (
            Error::Unreadable {
                child: child(),
                source: json(),
            },
            Class::Waiting,
        ),
        (
            Error::Json {
                what: "status".into(),
                source: json(),
            },
            Class::Invalid,
        ),
        (
            Error::Random(getrandom::Error::UNSUPPORTED),
            Class::Transient,
        ),
        (
            Error::Certificate(rcgen::Error::CouldNotParseCertificate),
            Class::Transient,
        ),
    ] {
        assert_eq!(error.class(), class, "{error}");
        assert!(!error.is_code(403) && !error.is_terminating_namespace());
    }
}

/// Nothing can be created there, and there will be nobody to report to.
#[test]
fn a_namespace_that_is_being_deleted_is_recognised_by_the_cause_and_not_by_words() {
    let details = |body: serde_json::Value, code: u16, message: &str| {
        let mut status = kube::core::Status::failure(message, "Forbidden").with_code(code);
        status.details = serde_json::from_value(body).unwrap();
        Error::Api {
            action: "create Job demo".into(),
            source: Box::new(kube::Error::Api(status.boxed())),
        }
    };
    let cause = |reason: &str| serde_json::json!({"causes": [{"reason": reason, "field": "metadata.namespace"}]});
    let terminating = details(cause(NAMESPACE_TERMINATING), 403, "in any words");
    assert!(terminating.is_terminating_namespace());
    assert_eq!(terminating.class(), Class::Transient);
    let words = "webhook: a pod that is being terminated";
    for other in [
        details(cause("FieldValueInvalid"), 403, words),
        details(serde_json::Value::Null, 403, words),
        details(cause(NAMESPACE_TERMINATING), 409, words),
    ] {
        assert!(!other.is_terminating_namespace());
    }
    for (seconds, wait) in [(0, None), (7, Some(7)), (4_000_000_000_u32, Some(30))] {
        let error = details(
            serde_json::json!({"retryAfterSeconds": seconds}),
            429,
            "slow",
        );
        assert_eq!(error.retry_after(), wait.map(Duration::from_secs));
    }
    assert_eq!(answer(429, "slow").retry_after(), None);
}

#[test]
fn an_answer_without_a_message_is_reported_without_the_structure_that_has_it() {
    let error = |reason: &str| {
        let status = kube::core::Status::failure("", reason).with_code(403);
        super::answer(&kube::Error::Api(status.boxed()))
    };
    assert_eq!(error("Forbidden"), "Forbidden (403)");
    assert_eq!(error(""), "the API server answered with 403");
}

#[test]
fn delays_are_in_order_and_those_of_a_mistake_are_the_longest() {
    for class in Class::ALL {
        let (shortest, longest) = class.delays();
        assert!(!shortest.is_zero() && shortest < longest, "{class:?}");
        assert!(shortest <= Class::Invalid.delays().0);
        // An outage of the API server must be over within 10 s of its return.
        assert!(class != Class::Transient || longest <= Duration::from_secs(8));
    }
}

#[test]
fn only_what_may_be_gone_at_the_next_try_is_passing() {
    let passing = Class::ALL.into_iter().filter(|class| class.is_passing());
    assert_eq!(
        passing.collect::<Vec<_>>(),
        [Class::Transient, Class::Unanswered]
    );
}
