//! What of the API server's words stays the same from one try to the next.

/// Why a pod is refused, without the pod's name: each try has a name of its own.
#[must_use]
pub fn of_refused_pod(message: &str) -> &str {
    match message.split_once("\" is forbidden: ") {
        Some((_, reason)) => reason,
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_quoted_without_the_name_of_the_pod() {
        for (message, reason) in [
            (
                "Error creating: pods \"demo-7d9f-x2k4p\" is forbidden: exceeded quota: q",
                "exceeded quota: q",
            ),
            (
                "create Pod demo-db-0 in StatefulSet demo-db failed error: pods \"demo-db-0\" is forbidden: violates \
                 PodSecurity \"restricted:latest\": host namespaces",
                "violates PodSecurity \"restricted:latest\": host namespaces",
            ),
            (
                "Error creating: admission webhook \"x\" denied the request: no",
                "Error creating: admission webhook \"x\" denied the request: no",
            ),
        ] {
            assert_eq!(of_refused_pod(message), reason);
        }
    }
}
