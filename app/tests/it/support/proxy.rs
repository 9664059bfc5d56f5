//! A TCP proxy that breaks the connection to the database in every way a network can.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the proxy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Forwards everything.
    Pass,
    /// Forwards everything, each piece after this delay.
    Delay(Duration),
    /// Accepts new connections and all bytes, but forwards nothing until the mode changes; then
    /// everything arrives, as after an outage of the network.
    BlackHole,
    /// Closes new connections at once.
    Refuse,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    /// The port of the server for new connections.
    server: u16,
    /// Both ends of every connection: the client's, the server's.
    connections: Vec<(TcpStream, TcpStream)>,
    /// Connections so far.
    count: usize,
    /// Nothing is forwarded for the connections before this one.
    stranded: usize,
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
            server,
            connections: Vec::new(),
            count: 0,
            stranded: 0,
        }));
        let proxy = Self { address, state };
        std::thread::spawn({
            let proxy = proxy.clone();
            move || {
                listener
                    .incoming()
                    .flatten()
                    .for_each(|client| proxy.accept(client))
            }
        });
        proxy
    }

    pub fn set(&self, mode: Mode) {
        self.state.lock().unwrap().mode = mode;
    }

    /// From now on, new connections are to another server; the present ones stay.
    pub fn redirect(&self, server: u16) {
        self.state.lock().unwrap().server = server;
    }

    /// How many connections there have been.
    pub fn count(&self) -> usize {
        self.state.lock().unwrap().count
    }

    /// Closes every connection, in both directions.
    pub fn cut(&self) {
        self.cut_slowly(Duration::ZERO);
    }

    /// Closes one connection after another, in both directions, each this time after the one before.
    pub fn cut_slowly(&self, pause: Duration) {
        let connections = std::mem::take(&mut self.state.lock().unwrap().connections);
        for (client, server) in connections {
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
            std::thread::sleep(pause);
        }
    }

    /// Closes every connection towards the client only: the server notices nothing.
    pub fn half_close(&self) {
        for (client, _) in &self.state.lock().unwrap().connections {
            let _ = client.shutdown(Shutdown::Write);
        }
    }

    /// Holds everything back on the present connections, while new ones work.
    pub fn strand(&self) {
        let mut state = self.state.lock().unwrap();
        state.stranded = state.count;
    }

    /// Forwards what was held back.
    pub fn release(&self) {
        self.state.lock().unwrap().stranded = 0;
    }

    /// Waits while nothing is forwarded for a connection.
    fn wait_for_way(&self, connection: usize) {
        loop {
            let state = self.state.lock().unwrap();
            if state.mode != Mode::BlackHole && connection >= state.stranded {
                return;
            }
            drop(state);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn mode(&self) -> Mode {
        self.state.lock().unwrap().mode
    }

    fn accept(&self, client: TcpStream) {
        if self.mode() == Mode::Refuse {
            return;
        }
        let server = self.state.lock().unwrap().server;
        let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
        }
        let clones = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let number = {
            let mut state = self.state.lock().unwrap();
            state.connections.push(clones);
            state.count += 1;
            state.count - 1
        };
        let (client_too, server_too) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        for (from, to) in [(client, server), (server_too, client_too)] {
            let proxy = self.clone();
            std::thread::spawn(move || proxy.pump(number, from, to));
        }
    }

    fn pump(&self, number: usize, mut from: TcpStream, mut to: TcpStream) {
        let mut bytes = [0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            if let Mode::Delay(delay) = self.mode() {
                std::thread::sleep(delay);
            }
            self.wait_for_way(number);
            if to.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
        // The end of a connection is also held back.
        self.wait_for_way(number);
        let _ = to.shutdown(Shutdown::Write);
    }
}
