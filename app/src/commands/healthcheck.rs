//! `healthcheck`: asks a running service whether it is ready, for images that have no `curl`.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest time that the answer may take.
const DEADLINE: Duration = Duration::from_secs(2);

/// Asks the admin listener at `address` for `/readyz`.
///
/// # Errors
/// When the service does not answer in time or is not ready; the text is the reason.
pub async fn run(address: SocketAddr) -> io::Result<()> {
    let answer = tokio::time::timeout(DEADLINE, request(local(address)))
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time"))??;
    let status = answer.split(' ').nth(1).unwrap_or_default();
    if status == "200" {
        return Ok(());
    }
    let reason = answer.rsplit("\r\n").next().unwrap_or_default();
    Err(io::Error::other(format!("not ready: {reason}")))
}

/// The address at which a service that listens on all addresses is reached.
fn local(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        // Also for `[::]`, which has the addresses of IPv4 too, and those alone where the system has no IPv6.
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    address
}

async fn request(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = String::new();
    stream.take(16 << 10).read_to_string(&mut answer).await?;
    Ok(answer)
}
