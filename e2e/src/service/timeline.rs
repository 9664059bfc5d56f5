//! From `kubectl apply` to Ready, in parts, from the timestamps of the objects (whole seconds, as the API keeps them).

use anyhow::{Context, Result};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::hello::{self, Hello};

/// The moments that bound the parts.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    /// The resource was created.
    pub applied: Timestamp,
    /// The database's pod has a node, which it gets when its volume exists.
    pub volume: Timestamp,
    /// The database's pod is ready.
    pub database: Timestamp,
    /// The migration Job is complete.
    pub migration: Timestamp,
    /// The resource is Ready.
    pub ready: Timestamp,
}

impl Moments {
    /// Reads the moments of a resource that is Ready.
    ///
    /// # Errors
    /// When one of its parts is not there.
    pub async fn from_service(hello: &Hello) -> Result<Self> {
        let object = hello.get().await?;
        let applied = object.creation_timestamp().context("no creation time")?.0;
        let ready = hello::conditions(&object)
            .iter()
            .find(|condition| condition.type_ == "Ready")
            .context("no Ready condition")?
            .last_transition_time
            .0;
        let pod: Pod = hello.child(&hello.database_pod()).await?;
        let jobs = hello.migrations().await?;
        Ok(Self {
            applied,
            volume: became(&pod, "PodScheduled").context("the database's pod has no node")?,
            database: became(&pod, "Ready").context("the database's pod is not ready")?,
            migration: completed(jobs.last()).context("no migration is complete")?,
            ready,
        })
    }

    /// The parts, for people.
    pub fn parts(&self) -> String {
        let seconds = |from: Timestamp, to: Timestamp| to.as_second() - from.as_second();
        format!(
            "volume {} s, PostgreSQL {} s, migration {} s, app {} s",
            seconds(self.applied, self.volume),
            seconds(self.volume, self.database),
            seconds(self.database, self.migration),
            seconds(self.migration, self.ready),
        )
    }
}

fn became(pod: &Pod, kind: &str) -> Option<Timestamp> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let found = conditions
        .iter()
        .find(|c| c.type_ == kind && c.status == "True")?;
    found.last_transition_time.as_ref().map(|time| time.0)
}

fn completed(job: Option<&Job>) -> Option<Timestamp> {
    job?.status
        .as_ref()?
        .completion_time
        .as_ref()
        .map(|time| time.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_add_up() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let moments = Moments {
            applied: at(100),
            volume: at(103),
            database: at(106),
            migration: at(108),
            ready: at(112),
        };
        assert_eq!(
            moments.parts(),
            "volume 3 s, PostgreSQL 3 s, migration 2 s, app 4 s"
        );
    }
}
