//! Scenarios that stay in their namespaces: they run side by side.

mod ansible;
mod backup;
mod certificates;
mod deletion;
mod documentation;
mod external;
mod faults;
mod full_volume;
mod major_upgrade;
mod optional_apis;
mod read_only_volume;
mod refusal;
mod restore;
mod small_volume;
