//! How many connections one address has open: a stranger who takes all that his address may have leaves the others theirs.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Deserialize;
use tokio::net::TcpStream;

/// What one connection too many is told, whatever it wanted.
const REFUSAL: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
/// Leading bits of an IPv6 address that are one customer's, who has all addresses that begin with them.
const CUSTOMER_BITS: u32 = 64;

/// An address, or all that begin like it: `10.0.0.7`, `10.0.0.0/8`, `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

/// The open connections by address. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Peers {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    /// 0 = any number.
    most: usize,
    exempt: Arc<[Network]>,
}

/// An address has as many connections as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

/// The place of one connection; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    peer: IpAddr,
}

impl Peers {
    /// At most so many connections for each address, 0 = any number; those who are `exempt` are not counted.
    pub(crate) fn new(most: usize, exempt: Vec<Network>) -> Self {
        Self { open: Arc::default(), most, exempt: exempt.into() }
    }

    /// A place for one more connection; `None` where none is needed.
    pub(super) fn enter(&self, address: IpAddr) -> Result<Option<Place>, TooMany> {
        let address = address.to_canonical();
        if self.most == 0 || self.exempt.iter().any(|network| network.holds(address)) {
            return Ok(None);
        }
        let peer = customer(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(peer).or_default();
        if *count >= self.most {
            return Err(TooMany);
        }
        *count += 1;
        Ok(Some(Place { open: self.open.clone(), peer }))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.peer);
            }
        }
    }
}

/// Says why, without waiting for anything, and lets the connection go.
pub(super) fn refuse(stream: &TcpStream, address: SocketAddr) {
    if let Err(error) = stream.try_write(REFUSAL) {
        tracing::debug!(%address, %error, "a refused connection was not told why");
    }
    tracing::debug!(%address, "a connection was refused: its address has as many as it may");
}

fn customer(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) => Ipv6Addr::from_bits(six.to_bits() & (u128::MAX << (128 - CUSTOMER_BITS))).into(),
        four @ IpAddr::V4(_) => four,
    }
}

impl Network {
    fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros() >= self.bits,
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits() ^ other.to_bits()).leading_zeros() >= self.bits,
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad =
            || format!("`{text}` is no network; give an address or one with its bits, like 10.0.0.0/8 or fd00::/8");
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.trim().parse().map_err(|_| bad())?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(all), |bits| bits.trim().parse()).map_err(|_| bad())?;
        if bits > all {
            return Err(bad());
        }
        Ok(Self { address, bits })
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_has_its_own_places_and_they_come_back() {
        let peers = Peers::new(2, vec!["127.0.0.0/8".parse().expect("a network")]);
        let enter = |address| peers.enter(ip(address));
        let held = (enter("192.0.2.1"), enter("::ffff:192.0.2.1"));
        assert!(held.0.is_ok() && held.1.is_ok());
        assert_eq!(enter("192.0.2.1").err(), Some(TooMany));
        let other = enter("192.0.2.2").expect("his own");
        assert!((0..9).all(|_| matches!(enter("127.0.0.9"), Ok(None))), "those who are exempt are not counted");
        drop(held.0);
        let again = enter("192.0.2.1").expect("a place came back");
        drop((held.1, other, again));
        assert!(peers.open.lock().expect("whole").is_empty(), "nobody is remembered");
        assert!(matches!(Peers::new(0, Vec::new()).enter(ip("192.0.2.1")), Ok(None)), "0 is no bound");
    }

    #[test]
    fn all_addresses_of_one_customer_share_their_places() {
        let peers = Peers::new(1, Vec::new());
        let held = peers.enter(ip("2001:db8:0:1::1")).expect("a place");
        assert!(peers.enter(ip("2001:db8:0:1:ffff::2")).is_err());
        assert!(peers.enter(ip("2001:db8:0:2::1")).is_ok());
        drop(held);
    }

    #[test]
    fn networks_are_read_and_what_is_none_is_named() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.9.8.7", "11.0.0.0"),
            ("10.0.0.7", "10.0.0.7", "10.0.0.6"),
            ("fd00::/8", "fd12::1", "fe80::1"),
            ("::1", "::1", "127.0.0.1"),
            ("0.0.0.0/0", "192.0.2.1", "::1"),
        ] {
            let network: Network = text.parse().expect(text);
            assert!(network.holds(ip(inside)) && !network.holds(ip(outside)), "{text}");
        }
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0.0/x", "::1/129"] {
            assert!(text.parse::<Network>().expect_err(text).contains("10.0.0.0/8"));
        }
    }
}
