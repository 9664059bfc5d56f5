//! What is wrong with the configuration: all mistakes, not only the first.

use std::fmt;

/// Everything that is wrong with the configuration.
#[derive(Debug, Default)]
pub struct ConfigErrors(Vec<String>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "invalid configuration: {}", self.0.join("; "))
    }
}

impl std::error::Error for ConfigErrors {}

impl ConfigErrors {
    /// Records a mistake of the option, or options, that `label` names.
    pub(super) fn record(&mut self, label: &str, mistake: impl fmt::Display) {
        self.0.push(format!("{label}: {mistake}"));
    }

    /// The checked values, or all mistakes. A value is missing only when a mistake was recorded.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Self> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self),
        }
    }
}
