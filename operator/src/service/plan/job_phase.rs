//! What the status of a Job says about its work.

use k8s_openapi::api::batch::v1::Job;

/// State of a Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobPhase {
    /// Its pods may be running.
    Active,
    /// It has done its work.
    Succeeded,
    /// It has given up, and would fail again.
    Failed,
    /// It has given up for a reason that may pass, or cannot succeed as it is. Another one of its name may.
    Interrupted,
}

impl JobPhase {
    /// From the status of a Job.
    #[must_use]
    pub fn from_job(job: &Job) -> Self {
        let Some(status) = &job.status else {
            return Self::Active;
        };
        let find = |wanted: &str| {
            let mut conditions = status.conditions.iter().flatten();
            conditions.find(|c| c.type_ == wanted && c.status == "True")
        };
        if let Some(failed) = find("Failed") {
            // Its policy for failures ends it when its program says that another attempt fails as well. The limits are
            // for everything else: a database that is away, an image that cannot be pulled, a node that is lost.
            match failed.reason.as_deref() {
                Some("BackoffLimitExceeded" | "DeadlineExceeded") => Self::Interrupted,
                _ => Self::Failed,
            }
        } else if find("Complete").is_some() || status.succeeded.unwrap_or_default() > 0 {
            Self::Succeeded
        } else {
            Self::Active
        }
    }
}
