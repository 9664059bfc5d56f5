//! What a new service starts from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::source::RestoreSource;

/// What a new service starts from. It has no effect on one that has had an application before: its data stays as it is.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bootstrap {
    /// The backup with the first data. It is proved and restored by a HelloRestore of the service's own before the
    /// application starts. Another value makes another attempt, as long as none has succeeded. Rows that are in the
    /// database already are never lost without consent: then the HelloRestore waits.
    pub from_backup: RestoreSource,
}
