//! Scenarios that check the whole run.

mod rights;
