//! The servers of a URL, which may list several, as PostgreSQL's own programs read it: `h1:5432,h2:5433` in the place of
//! the host, or `host=h1,h2&port=5432,5433` as parameters.

use url::Url;

use super::parameters::{ATTRIBUTES, InvalidPostgresUrl, check_parameters};

/// Names of the parameter that gives the hosts. Of several the last one counts.
const HOSTS: [&str; 2] = ["host", "hostaddr"];
/// The parameter that gives the ports.
const PORTS: &str = "port";

/// The servers of a URL.
pub(super) struct Servers {
    /// A URL for each, in order.
    pub urls: Vec<Url>,
    /// Whether one that takes no writes is passed over.
    pub wants_writes: bool,
}

impl Servers {
    /// Reads the text of a URL.
    pub fn parse(text: &str) -> Result<Self, InvalidPostgresUrl> {
        let given = of_places(text)?;
        let first = given.first().ok_or_else(nameless)?;
        check_parameters(first)?;
        let hosts = last(first, &HOSTS);
        let count = hosts.as_ref().map_or(given.len(), |(_, hosts)| hosts.len());
        let ports = last(first, &[PORTS]).map(|(_, ports)| ports);
        if ports
            .as_ref()
            .is_some_and(|ports| ports.len() != 1 && ports.len() != count)
        {
            return Err(invalid("there have to be as many ports as hosts, or one"));
        }
        let one = |place: usize| {
            let host = hosts
                .as_ref()
                .map(|(name, hosts)| (&**name, &*hosts[place]));
            let port = ports
                .as_ref()
                .map(|ports| ports.get(place).unwrap_or(&ports[0]));
            let url = given.get(place).filter(|_| host.is_none()).unwrap_or(first);
            of_one(url, host, port.map(|port| &**port))
        };
        Ok(Self {
            urls: (0..count).map(one).collect::<Result<_, _>>()?,
            wants_writes: wants_writes(first)?,
        })
    }
}

fn invalid(problem: &str) -> InvalidPostgresUrl {
    InvalidPostgresUrl(problem.to_owned())
}

fn nameless() -> InvalidPostgresUrl {
    invalid("a host has no name")
}

/// A URL for each place that the text lists before its path. The host may be missing where a parameter gives the folder
/// of the server's socket.
fn of_places(text: &str) -> Result<Vec<Url>, InvalidPostgresUrl> {
    let start = text.find("://").map_or(text.len(), |scheme| scheme + 3);
    let (scheme, rest) = text.split_at(start);
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (login, places) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    let places: Vec<_> = match places {
        "" if !login.is_empty() => vec!["localhost"],
        places => places.split(',').collect(),
    };
    let several = places.len() > 1;
    let one = |place: &&str| {
        if several && (place.is_empty() || place.starts_with(':')) {
            return Err(nameless());
        }
        let url = Url::parse(&format!("{scheme}{login}{place}{path}"));
        url.map_err(|error| invalid(&error.to_string()))
    };
    places.iter().map(one).collect()
}

/// The last parameter of one of these names: its name, and the parts of its value.
fn last(url: &Url, names: &[&str]) -> Option<(String, Vec<String>)> {
    let pairs = url.query_pairs();
    let (name, value) = pairs.filter(|(name, _)| names.contains(&&**name)).last()?;
    let parts = value.split(',').map(str::to_owned).collect();
    Some((name.into_owned(), parts))
}

/// The URL of one server: with its part of each list, and without what the driver does not know.
fn of_one(
    url: &Url,
    host: Option<(&str, &str)>,
    port: Option<&str>,
) -> Result<Url, InvalidPostgresUrl> {
    if host.is_some_and(|(_, host)| host.is_empty()) {
        return Err(nameless());
    }
    let is_kept = |name: &str| {
        name != ATTRIBUTES
            && !(host.is_some() && HOSTS.contains(&name))
            && !(port.is_some() && name == PORTS)
    };
    let kept = url.query_pairs().filter(|(name, _)| is_kept(name));
    let mut pairs: Vec<_> = kept
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    let port = port
        .filter(|port| !port.is_empty())
        .map(|port| (PORTS, port));
    let own = host.into_iter().chain(port);
    pairs.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let mut url = url.clone();
    url.set_query(None);
    if !pairs.is_empty() {
        url.query_pairs_mut().extend_pairs(pairs);
    }
    Ok(url)
}

/// Which of the servers will do. The service uses none that follows another one, so `any` is the first that does not.
fn wants_writes(url: &Url) -> Result<bool, InvalidPostgresUrl> {
    let Some((_, given)) = last(url, &[ATTRIBUTES]) else {
        return Ok(false);
    };
    match given.join(",").as_str() {
        "any" | "primary" => Ok(false),
        "read-write" => Ok(true),
        _ => Err(invalid(
            "target_session_attrs has to be any, primary or read-write: a standby may lack what was written",
        )),
    }
}
