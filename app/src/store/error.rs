//! Why the store gives no answer.

/// Why the store gives no answer. The caller answers 503 to each: the request itself is fine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, or the connection was lost during the statement.
    #[error("the database is away")]
    Unavailable,
    /// No answer within the deadline.
    #[error("the database did not answer in time")]
    Timeout,
    /// Too many requests are waiting already.
    #[error("too many requests wait for the database")]
    Overloaded,
    /// The database answered with an error; the text is for the log only.
    #[error("the database refused a statement: {0}")]
    Refused(String),
}
