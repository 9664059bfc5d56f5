//! Exit codes, for scripts and Kubernetes' Jobs that decide by them.

/// Another attempt fails as well, until somebody looks at the data or the settings. `EX_DATAERR` of `sysexits.h`.
pub const REFUSED: u8 = 65;
/// Something was not reached, or did not stay: another attempt may succeed. `EX_UNAVAILABLE` of `sysexits.h`.
pub const UNAVAILABLE: u8 = 69;
/// Anything else, such as wrong options.
pub const FAILURE: u8 = 1;
