//! The HTTP server of probes and metrics. Anybody who reaches the port may connect, so each connection and all of them
//! together are bounded, and a new one never waits for those that say nothing.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::errno::Errno;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

/// Longest time until the head of a request is there, and until the next one begins.
const HEAD: Duration = Duration::from_secs(5);
/// Longest time of a connection.
const LIFE: Duration = Duration::from_secs(30);
/// Largest head of a request, and what a connection may buffer.
const HEAD_SIZE: usize = 8 << 10;
/// Most header fields of a request.
const FIELDS: usize = 64;
/// Most connections of one address.
const OF_A_PEER: usize = 16;
/// Most connections.
const IN_ALL: usize = 64;

/// Listens on an address. On `[::]` that is every address, those of IPv4 too; where the system has no IPv6, only those.
pub(super) async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let unspecified = address.ip() == IpAddr::from(Ipv6Addr::UNSPECIFIED);
    let has_no_ipv6 = |error: &std::io::Error| {
        let errors = [Errno::EAFNOSUPPORT, Errno::EADDRNOTAVAIL];
        errors
            .iter()
            .any(|no| error.raw_os_error() == Some(*no as i32))
    };
    match TcpListener::bind(address).await {
        Err(error) if unspecified && has_no_ipv6(&error) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        listening => listening,
    }
}

/// Answers requests, and never ends by itself.
pub(super) async fn serve<F, A>(listener: TcpListener, answer: F)
where
    F: Fn(Request<Incoming>) -> A + Send + Sync + 'static,
    A: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let answer = Arc::new(answer);
    let (mut tasks, mut open) = (JoinSet::new(), VecDeque::new());
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, peer)) = accepted else {
                    // Out of descriptors: others must close theirs first.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let task = tasks.spawn(connection(stream, Arc::clone(&answer)));
                open.push_back(Open { peer: peer.ip(), task });
                close_oldest(&mut open);
            }
            Some(_) = tasks.join_next() => open.retain(|open| !open.task.is_finished()),
        }
    }
}

/// A connection, in the order of their beginnings.
struct Open {
    peer: IpAddr,
    task: AbortHandle,
}

/// Closes the oldest connection of the newest one's peer when that has too many, and the oldest of all when there are
/// too many. A request is answered within seconds, so the oldest is one that says nothing; a probe, which has just begun,
/// is not.
fn close_oldest(open: &mut VecDeque<Open>) {
    let Some(peer) = open.back().map(|newest| newest.peer) else {
        return;
    };
    let own = |open: &Open| open.peer == peer;
    let crowded = open.iter().filter(|open| own(open)).count() > OF_A_PEER;
    let oldest = match crowded {
        true => open.iter().position(own),
        false => (open.len() > IN_ALL).then_some(0),
    };
    if let Some(closed) = oldest.and_then(|oldest| open.remove(oldest)) {
        closed.task.abort();
    }
}

async fn connection<F, A>(stream: TcpStream, answer: Arc<F>)
where
    F: Fn(Request<Incoming>) -> A,
    A: Future<Output = Response<Full<Bytes>>>,
{
    let service = service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_SIZE)
        .max_headers(FIELDS)
        .serve_connection(TokioIo::new(stream), service);
    // A probe that hangs up early is no news.
    let _ = tokio::time::timeout(LIFE, served).await;
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::timeout,
    };

    use super::*;

    /// Only a hang takes as long.
    const GENEROUS: Duration = Duration::from_secs(120);

    async fn server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, async |_| {
            Response::new(Full::new(Bytes::from("ok")))
        }));
        address
    }

    /// Sends this, and reads until the server closes.
    async fn ask(address: SocketAddr, text: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text).await.unwrap();
        let mut read = Vec::new();
        // A server that closes with something unread resets the connection.
        let _ = timeout(GENEROUS, stream.read_to_end(&mut read))
            .await
            .unwrap();
        String::from_utf8(read).unwrap()
    }

    const PROBE: &[u8] = b"GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn silent_connections_and_unfinished_heads_keep_no_probe_waiting() {
        let address = server().await;
        let mut silent = Vec::new();
        for number in 0..400 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            if number % 2 == 0 {
                // The server may have closed it already, in favour of a later one.
                let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nx: ").await;
            }
            silent.push(stream);
        }
        for _ in 0..10 {
            let answer = ask(address, PROBE).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        // All but the newest of the one peer are closed by now, in favour of later ones.
        for mut stream in silent.into_iter().take(400 - OF_A_PEER) {
            let mut byte = [0];
            let read = timeout(GENEROUS, stream.read(&mut byte)).await.unwrap();
            assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
        }
    }

    #[tokio::test]
    async fn a_head_has_a_deadline_and_a_size() {
        let address = server().await;
        // Nothing comes after this, and the server closes.
        let unfinished = ask(address, b"GET /livez HTTP/1.1\r\nhost: a\r\nx: ").await;
        assert!(!unfinished.contains("200"), "{unfinished}");
        let mut large = b"GET /livez HTTP/1.1\r\nhost: a\r\nx: ".to_vec();
        large.resize(4 * HEAD_SIZE, b'x');
        large.extend_from_slice(b"\r\n\r\n");
        assert!(!ask(address, &large).await.contains("200"));
        let mut many = b"GET /livez HTTP/1.1\r\nhost: a\r\n".to_vec();
        many.extend_from_slice("x: y\r\n".repeat(2 * FIELDS).as_bytes());
        many.extend_from_slice(b"\r\n");
        assert!(!ask(address, &many).await.contains("200"));
    }

    #[tokio::test]
    async fn each_peer_and_all_together_have_so_many_connections() {
        let mut tasks = JoinSet::new();
        let mut open = VecDeque::new();
        let mut connect = |open: &mut VecDeque<Open>, peer: u8| {
            let task = tasks.spawn(std::future::pending::<()>());
            let peer = IpAddr::from([10, 0, 0, peer]);
            open.push_back(Open { peer, task });
            close_oldest(open);
        };
        for _ in 0..3 * OF_A_PEER {
            connect(&mut open, 1);
        }
        assert_eq!(open.len(), OF_A_PEER);
        for peer in 2..=200 {
            connect(&mut open, peer);
        }
        assert_eq!(open.len(), IN_ALL);
        // The oldest gave way.
        assert!(
            open.iter()
                .all(|open| open.peer != IpAddr::from([10, 0, 0, 1]))
        );
    }
}
