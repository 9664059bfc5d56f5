//! A longer way to the database, for `make bench-app`: what is sent arrives some time later, in each direction.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const CHUNK: usize = 64 << 10;

/// Takes its own address, that of the server, and the delay in microseconds from the command line.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, listen, server, micros] = arguments.as_slice() else {
        return Err("needs two addresses and a delay in microseconds".into());
    };
    let delay = Duration::from_micros(micros.parse()?);
    let listener = TcpListener::bind(listen)?;
    loop {
        let (client, _) = listener.accept()?;
        let server = TcpStream::connect(server)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        delayed(client.try_clone()?, server.try_clone()?, delay);
        delayed(server, client, delay);
    }
}

/// Sends on what arrives, as long after it as `delay`. Reading goes on meanwhile.
fn delayed(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (sender, chunks) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = from.read(&mut chunk)?;
            let due = Instant::now() + delay;
            if sender.send((due, chunk[..read].to_vec())).is_err() || read == 0 {
                return Ok(());
            }
        }
    });
    thread::spawn(move || -> io::Result<()> {
        for (due, chunk) in chunks {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if chunk.is_empty() {
                break;
            }
            to.write_all(&chunk)?;
        }
        to.shutdown(std::net::Shutdown::Write)
    });
}
