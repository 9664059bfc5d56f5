//! Where the files of the managed server are, in its containers.

/// Folder of the server's socket.
pub const SOCKET_DIRECTORY: &str = "/var/run/postgresql";

/// Mount point of the data volume, as the official image of version 18 wants it.
pub const DATA_ROOT: &str = "/var/lib/postgresql";
/// Data folder inside the volume.
pub const PGDATA: &str = "/var/lib/postgresql/18/docker";

/// Where the owner's password is mounted.
pub const PASSWORD_DIRECTORY: &str = "/etc/hello/credentials";
