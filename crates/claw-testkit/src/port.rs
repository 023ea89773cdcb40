use std::net::{TcpListener, UdpSocket};

use anyhow::{Result, bail};
use rand::random_range;

/// Ports that neither the sandboxes nor the system's outgoing connections use. A port of the system's own range can be
/// taken by an outgoing connection while its server restarts, even by a client of that server, which then connects to
/// itself.
const RANGE: std::ops::Range<u16> = 20_000..30_000;

/// The number of ports that are tried before the reservation fails.
const ATTEMPTS: usize = 1_000;

/// A TCP port of the loopback interface that no other test on this machine gets while this value lives.
#[derive(Debug)]
pub struct ReservedPort {
    number: u16,
    /// Bound to the UDP port of the same number, which no other test can then bind.
    _reservation: UdpSocket,
}

impl ReservedPort {
    /// Reserves a port that nobody listens on.
    pub fn new() -> Result<Self> {
        for _ in 0..ATTEMPTS {
            let number = random_range(RANGE);
            let address = ("127.0.0.1", number);
            if let Ok(reservation) = UdpSocket::bind(address)
                && TcpListener::bind(address).is_ok()
            {
                return Ok(Self {
                    number,
                    _reservation: reservation,
                });
            }
        }
        bail!("no free port in {RANGE:?} after {ATTEMPTS} attempts");
    }

    /// The TCP port to listen on, at 127.0.0.1.
    pub const fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_reserved_port_is_given_once_and_never_to_an_outgoing_connection() {
        let ports: Vec<_> = (0..500).map(|_| ReservedPort::new().unwrap()).collect();

        let numbers: HashSet<u16> = ports.iter().map(ReservedPort::number).collect();

        assert_eq!(numbers.len(), ports.len());
        assert!(numbers.iter().all(|number| RANGE.contains(number)));
    }
}
