//! How much memory there is, and which parts of it clients may fill.

use std::path::Path;

/// What a connection takes at most: buffers for an unfinished head of the largest size, which grow by doubling, and the
/// connection itself. Measured: 52 KiB.
const CONNECTION: u64 = 60 << 10;
/// The fewest and the most connections, whatever the memory is.
const CONNECTIONS: [u64; 2] = [64, 20_000];
/// The same for bytes that clients do not take.
const UNTAKEN: [u64; 2] = [1 << 20, 64 << 20];

/// The parts of the memory that clients may fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryShares {
    /// Connections: half of the memory.
    pub connections: u32,
    /// Bytes of answers that clients do not take: an eighth.
    pub untaken_bytes: usize,
}

impl MemoryShares {
    /// The parts of `memory`, or of as much as is ever needed.
    pub fn from_limit(memory: Option<u64>) -> Self {
        let share = |divisor: u64, [least, most]: [u64; 2]| {
            memory.map_or(most, |memory| (memory / divisor).clamp(least, most))
        };
        Self {
            connections: u32::try_from(share(2 * CONNECTION, CONNECTIONS)).unwrap_or(u32::MAX),
            untaken_bytes: usize::try_from(share(8, UNTAKEN)).unwrap_or(usize::MAX),
        }
    }
}

/// The memory limit of this process's control group, if there is one.
pub fn limit_of_control_group() -> Option<u64> {
    let membership = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    limit(&membership, Path::new("/sys/fs/cgroup"))
}

/// The smallest limit of the groups in `membership` and of those around them, below `root`. A container may see itself at
/// the root, or under the name that it has outside.
fn limit(membership: &str, root: &Path) -> Option<u64> {
    let groups = membership.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        match controllers {
            "" => Some((root.to_owned(), "memory.max", path)),
            "memory" => Some((root.join("memory"), "memory.limit_in_bytes", path)),
            _ => None,
        }
    });
    let limits = groups.flat_map(|(mount, file, path)| {
        Path::new(path.trim_start_matches('/'))
            .ancestors()
            .filter_map(|group| std::fs::read_to_string(mount.join(group).join(file)).ok())
            .filter_map(|text| text.trim().parse().ok())
            .collect::<Vec<u64>>()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_nearest_limit_of_the_control_groups_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |group: &str, file: &str, text: &str| {
            let folder = root.path().join(group);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(file), text).unwrap();
        };
        let read = |membership: &str| limit(membership, root.path());
        assert_eq!(read("0::/\n"), None);
        write("", "memory.max", "max\n");
        assert_eq!(read("0::/\n"), None);
        write("pods/one", "memory.max", "max\n");
        write("pods", "memory.max", "268435456\n");
        assert_eq!(read("0::/pods/one\n"), Some(256 * MIB));
        write("pods/one", "memory.max", "134217728\n");
        assert_eq!(read("0::/pods/one\n"), Some(128 * MIB));
        // The name outside, which does not exist inside.
        write("", "memory.max", "67108864\n");
        assert_eq!(read("0::/elsewhere/two\n"), Some(64 * MIB));
        // The first version of control groups.
        write("memory/one", "memory.limit_in_bytes", "33554432\n");
        let membership = "5:cpu,cpuacct:/one\n4:memory:/one\n";
        assert_eq!(read(membership), Some(32 * MIB));
        assert_eq!(read("nonsense"), None);
    }

    #[test]
    fn shares_follow_the_memory_within_bounds() {
        let of = |mib: u64| MemoryShares::from_limit(Some(mib * MIB));
        assert_eq!(of(64).connections, 546);
        assert_eq!(of(64).untaken_bytes, 8 << 20);
        assert_eq!(of(1).connections, 64);
        assert_eq!(of(1 << 20), MemoryShares::from_limit(None));
        assert_eq!(MemoryShares::from_limit(None).connections, 20_000);
    }
}
