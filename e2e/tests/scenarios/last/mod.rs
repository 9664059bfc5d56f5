//! What looks back at the whole run.

mod rights;
