//! What the container that watches the database volume writes when it ends, and what the operator reads.

/// Container that watches the volume.
pub const CONTAINER: &str = "watch";
/// From this use on, in percent, a volume is nearly full.
pub const NEARLY_FULL: u8 = 90;
/// Below this use, in percent, it has room again.
pub const ROOM: u8 = 85;
/// First word of the container when the volume is nearly full; a use in percent follows.
pub const REPORTS_NEARLY_FULL: &str = "volume-nearly-full";
/// First word of the container when the volume has room again; a use in percent follows.
pub const REPORTS_ROOM: &str = "volume-has-room";

/// Whether a message is such a report, and nothing else.
#[must_use]
pub fn is_report(message: &str) -> bool {
    let report = message.trim().split_once(' ');
    report.is_some_and(|(word, used)| {
        matches!(word, REPORTS_NEARLY_FULL | REPORTS_ROOM) && used.parse::<u8>().is_ok()
    })
}
