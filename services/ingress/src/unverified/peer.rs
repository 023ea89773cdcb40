use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use axum::{
    extract::ConnectInfo,
    http::{Extensions, HeaderMap},
};

/// Caddy writes the address of its peer here, and removes what the sender wrote.
const HEADER: &str = "x-forwarded-for";

/// Length of the IPv6 prefix that one customer of a provider has to themselves.
const IPV6_PREFIX_BITS: u8 = 64;

/// The sender of a request, as the limits count it: an IPv4 address, or an IPv6 network.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Peer(IpAddr);

/// The networks in which a connection comes from Caddy, and may therefore say who the sender is.
#[derive(Debug, Clone)]
pub struct TrustedProxies(Vec<Network>);

/// A text is not a list of addresses and networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected IP addresses or networks like 10.0.0.0/8, separated by commas")]
pub struct InvalidNetworks;

#[derive(Debug, Clone, Copy)]
struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

impl Peer {
    /// The peer with this address.
    pub(super) fn of_address(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
                address.to_bits() & mask(128, IPV6_PREFIX_BITS),
            )),
        })
    }
}

/// Shows nothing: addresses lead to people.
impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Peer(…)")
    }
}

impl TrustedProxies {
    /// The peer that sent a request: the one that Caddy names, or else the one that is connected.
    pub(super) fn peer_of(&self, headers: &HeaderMap, extensions: &Extensions) -> Peer {
        let connected = extensions.get::<ConnectInfo<SocketAddr>>();
        // Every request has this; an address of nobody is one peer.
        let connected = connected.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |info| info.0.ip());
        let named = || {
            // Caddy adds its peer at the end.
            let last = headers.get_all(HEADER).into_iter().next_back()?;
            last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
        };
        let named = named().filter(|_| self.contain(connected));
        Peer::of_address(named.unwrap_or(connected))
    }

    fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }
}

/// Loopback and private networks: ingress listens nowhere else.
impl Default for TrustedProxies {
    fn default() -> Self {
        let private = "127.0.0.0/8,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7";
        private.parse().expect("these are networks")
    }
}

impl FromStr for TrustedProxies {
    type Err = InvalidNetworks;

    fn from_str(text: &str) -> Result<Self, InvalidNetworks> {
        text.split(',')
            .map(|network| network.trim().parse())
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl FromStr for Network {
    type Err = InvalidNetworks;

    fn from_str(text: &str) -> Result<Self, InvalidNetworks> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| InvalidNetworks)?;
        let all_bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = bits.map_or(Ok(all_bits), str::parse);
        let prefix_bits = prefix_bits.map_err(|_| InvalidNetworks)?;
        if prefix_bits > all_bits {
            return Err(InvalidNetworks);
        }
        Ok(Self {
            address,
            prefix_bits,
        })
    }
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        let (ours, theirs, all_bits) = match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                (ours.to_bits().into(), theirs.to_bits().into(), 32)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (ours.to_bits(), theirs.to_bits(), 128),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        (ours ^ theirs) & mask(all_bits, self.prefix_bits) == 0
    }
}

/// The first `prefix_bits` of the last `all_bits` of a number.
const fn mask(all_bits: u8, prefix_bits: u8) -> u128 {
    match u128::MAX.checked_shl((all_bits - prefix_bits) as u32) {
        Some(mask) => mask,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_caddy_is_believed_about_the_sender_of_a_request() {
        let proxies: TrustedProxies = "172.30.0.0/16, fd00::1".parse().unwrap();
        let peer_of = |connected: &str, named: &[&str]| {
            let mut extensions = Extensions::new();
            let connected: IpAddr = connected.parse().unwrap();
            extensions.insert(ConnectInfo(SocketAddr::new(connected, 1)));
            let named = named.iter();
            let headers = named.map(|named| (HEADER.parse().unwrap(), named.parse().unwrap()));
            let headers = headers.collect::<HeaderMap>();
            proxies.peer_of(&headers, &extensions).0
        };
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();

        for (connected, named, expected) in [
            ("172.30.9.9", &["198.51.100.7"][..], "198.51.100.7"),
            ("::ffff:172.30.9.9", &["198.51.100.7"], "198.51.100.7"),
            ("fd00::1", &["198.51.100.7"], "198.51.100.7"),
            // What the sender wrote comes before what Caddy adds.
            ("172.30.9.9", &["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
            ("172.30.9.9", &["1.1.1.1", "198.51.100.7"], "198.51.100.7"),
            ("172.30.9.9", &["somebody"], "172.30.9.9"),
            ("172.30.9.9", &[], "172.30.9.9"),
            ("172.31.0.1", &["198.51.100.7"], "172.31.0.1"),
            ("fd00::2", &["198.51.100.7"], "fd00::"),
        ] {
            assert_eq!(
                peer_of(connected, named),
                ip(expected),
                "{connected} {named:?}"
            );
        }
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_peer() {
        let of = |text: &str| Peer::of_address(text.parse().unwrap());

        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn public_addresses_are_trusted_only_if_they_are_named() {
        let default = TrustedProxies::default();
        let trusts = |address: &str| default.contain(address.parse().unwrap());

        assert!(
            ["127.0.0.1", "::1", "10.9.8.7", "172.31.0.1"]
                .map(trusts)
                .iter()
                .all(|is| *is)
        );
        assert!(
            !["172.32.0.1", "8.8.8.8", "2001:db8::1"]
                .map(trusts)
                .iter()
                .any(|is| *is)
        );
        let everyone: TrustedProxies = "0.0.0.0/0".parse().unwrap();
        assert!(everyone.contain("8.8.8.8".parse().unwrap()));
    }

    #[test]
    fn other_texts_are_no_networks() {
        for text in [
            "",
            "caddy",
            "10.0.0.0/33",
            "10.0.0.0/8,",
            "::1/129",
            "10.0.0.0/-1",
        ] {
            assert!(text.parse::<TrustedProxies>().is_err(), "{text}");
        }
    }
}
