//! Greetings at a fixed rate, for `make bench-app`: each begins when the clock says so, and its time counts from then,
//! so that a server which falls behind is not asked less.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// Of a greeting: its head and body come together.
const MAX_RESPONSE: usize = 4096;

/// Which greetings to ask for.
#[derive(Clone)]
struct Load {
    address: String,
    rate: f64,
    users: u64,
    connections: u32,
    seconds: f64,
}

/// Takes the address, the rate, the number of users, of connections and of seconds from the command line.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, address, rate, users, connections, seconds] = arguments.as_slice() else {
        return Err(
            "needs an address, a rate, and numbers of users, connections and seconds".into(),
        );
    };
    let load = Load {
        address: address.clone(),
        rate: rate.parse()?,
        users: users.parse()?,
        connections: connections.parse()?,
        seconds: seconds.parse()?,
    };
    let begin = Instant::now() + Duration::from_millis(200);
    let clients: Vec<_> = (0..load.connections)
        .map(|number| {
            let load = load.clone();
            thread::spawn(move || client(&load, number, begin))
        })
        .collect();
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.join().map_err(|_| "a client panicked")??);
    }
    times.sort_unstable();
    let percentile = |share: f64| {
        let place = (times.len() as f64 * share) as usize;
        times
            .get(place)
            .or(times.last())
            .map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    writeln!(
        io::stdout(),
        r#"{{"requests":{},"seconds":{},"p50":{:.3},"p99":{:.3},"errors":0}}"#,
        times.len(),
        load.seconds,
        percentile(0.5),
        percentile(0.99)
    )?;
    Ok(())
}

/// The requests of one connection: every so many of all. Returns how long each took.
fn client(load: &Load, number: u32, begin: Instant) -> io::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(&load.address)?;
    stream.set_nodelay(true)?;
    let mut times = Vec::new();
    let mut seed = u64::from(number) + 1;
    let mut place = f64::from(number);
    while place / load.rate < load.seconds {
        let due = begin + Duration::from_secs_f64(place / load.rate);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // Knuth's generator: any will do that does not repeat.
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        greet(&mut stream, (seed >> 33) % load.users + 1)?;
        times.push(due.elapsed());
        place += f64::from(load.connections);
    }
    Ok(times)
}

fn greet(stream: &mut TcpStream, user: u64) -> io::Result<()> {
    let name: String = user
        .to_string()
        .bytes()
        .map(|digit| char::from(digit - b'0' + b'a'))
        .collect();
    stream.write_all(format!("GET /hello/u{name} HTTP/1.1\r\nhost: bench\r\n\r\n").as_bytes())?;
    let mut response = [0; MAX_RESPONSE];
    let mut length = 0;
    // The body is one JSON object without another in it.
    while response[..length].last() != Some(&b'}') {
        match stream.read(&mut response[length..])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => length += read,
        }
    }
    if response.starts_with(b"HTTP/1.1 200 ") {
        Ok(())
    } else {
        Err(io::Error::other("not a greeting"))
    }
}
