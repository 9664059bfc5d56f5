//! Patterns that fields of several sections share.

/// A value without white space, such as an image reference, a claim or a scope.
pub(crate) const NO_WHITE_SPACE: &str = r"^\S+$";

/// Size as a Kubernetes quantity, with `length(min = 1, max = 32)`.
pub(crate) const SIZE: &str =
    r"^[1-9]([0-9]{0,14}|[0-9]{0,11}([KM]i|[kM])|[0-9]{0,5}([GT]i|[GT]))$";

/// IANA time zone, by its form only: the operator looks the name up.
pub(crate) const TIME_ZONE: &str = r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$";

/// Name of an object: a DNS subdomain of RFC 1123, with `length(min = 1, max = 253)`.
pub(crate) const OBJECT_NAME: &str =
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// Name of a namespace or of a volume: a DNS label of RFC 1123, with `length(min = 1, max = 63)`.
pub(crate) const LABEL_NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// Key of a Secret or ConfigMap: neither `.` nor a start of `..`, which mean folders where keys are files.
pub(crate) const DATA_KEY: &str = r"^\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$";

/// Host name, or all host names below a domain (`*.example.com`).
pub(crate) const HOST_NAME: &str =
    r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// Name of a HelloService, with `length(min = 1, max = 40)`.
pub(crate) const INSTANCE_NAME: &str = r"^[a-z]([-a-z0-9]*[a-z0-9])?$";

/// Name of a backup, or `latest`.
pub(crate) const SET: &str = r"^(latest|hello-[0-9]{8}T[0-9]{6}Z)$";
/// A recipient of age, of the kind X25519.
pub(crate) const RECIPIENT: &str = r"^age1[02-9ac-hj-np-z]{58}$";
