//! A TCP proxy that breaks the way to the database in every way a network can.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the proxy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Passes everything on.
    Pass,
    /// Passes everything on, each piece this much later.
    Delay(Duration),
    /// Takes new connections and all bytes, but passes nothing on until the mode changes; then
    /// everything arrives, as after a network that was away for a while.
    BlackHole,
    /// Closes new connections at once.
    Refuse,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    /// Both ends of every connection: the client's, the server's.
    connections: Vec<(TcpStream, TcpStream)>,
}

/// A proxy in front of one server.
#[derive(Debug, Clone)]
pub struct Proxy {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    pub fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            mode: Mode::Pass,
            connections: Vec::new(),
        }));
        let proxy = Self { address, state };
        std::thread::spawn({
            let proxy = proxy.clone();
            move || {
                listener
                    .incoming()
                    .flatten()
                    .for_each(|client| proxy.accept(client, server))
            }
        });
        proxy
    }

    pub fn set(&self, mode: Mode) {
        self.state.lock().unwrap().mode = mode;
    }

    /// Closes every connection, in both directions.
    pub fn cut(&self) {
        for (client, server) in self.state.lock().unwrap().connections.drain(..) {
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        }
    }

    /// Closes every connection towards the client only: the server notices nothing.
    pub fn half_close(&self) {
        for (client, _) in &self.state.lock().unwrap().connections {
            let _ = client.shutdown(Shutdown::Write);
        }
    }

    fn mode(&self) -> Mode {
        self.state.lock().unwrap().mode
    }

    fn accept(&self, client: TcpStream, server: u16) {
        if self.mode() == Mode::Refuse {
            return;
        }
        let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
        }
        let clones = (client.try_clone().unwrap(), server.try_clone().unwrap());
        self.state.lock().unwrap().connections.push(clones);
        let (client_too, server_too) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        for (from, to) in [(client, server), (server_too, client_too)] {
            let proxy = self.clone();
            std::thread::spawn(move || proxy.pump(from, to));
        }
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut bytes = [0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            if let Mode::Delay(delay) = self.mode() {
                std::thread::sleep(delay);
            }
            while self.mode() == Mode::BlackHole {
                std::thread::sleep(Duration::from_millis(5));
            }
            if to.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
        // The end arrives like everything else: not while there is no way.
        while self.mode() == Mode::BlackHole {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = to.shutdown(Shutdown::Write);
    }
}
