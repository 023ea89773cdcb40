use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::peer::Peer;

/// How long a peer counts as proven after a valid signature.
const PROVEN_FOR: Duration = Duration::from_hours(1);

/// Most proven peers that are remembered. Meta and Twilio have fewer addresses.
const MAX_PROVEN: usize = 4_096;

/// How much may be held at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Memory for all bodies, in bytes, until their content is stored.
    pub(super) bytes: usize,
    /// Memory for bodies of requests that are not verified yet.
    pub(super) unverified_bytes: usize,
    /// The number of requests that are not verified yet.
    pub(super) unverified_requests: usize,
    /// The share of one peer in the memory for unverified bodies, unless the peer is proven.
    pub(super) peer_bytes: usize,
    /// The share of one peer in the number of unverified requests, unless the peer is proven.
    pub(super) peer_requests: usize,
}

/// The requests whose bodies are in memory, and the peers that have lately sent a valid signature.
///
/// If memory or places run out, the oldest unverified request is displaced, rather than the newest refused: a webhook
/// takes milliseconds to arrive, so whoever keeps its place for long is a stranger. Requests of proven peers are
/// displaced last, and never for a stranger.
#[derive(Debug)]
pub(super) struct Ledger {
    limits: Limits,
    next_id: u64,
    /// In the order of arrival, because ids ascend.
    requests: BTreeMap<u64, Held>,
    shares: HashMap<Peer, Share>,
    unverified: Share,
    bytes: usize,
    /// When each proven peer's last valid signature was seen.
    proven: HashMap<Peer, Instant>,
}

#[derive(Debug)]
struct Held {
    peer: Peer,
    bytes: usize,
    /// Cancelled to displace the request; `None` once the request is verified.
    displaced: Option<CancellationToken>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) requests: usize,
    pub(super) bytes: usize,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// The peer is not proven, and what it may hold is used up.
    ForPeer,
    /// Verified requests and requests of proven peers hold everything.
    ForAnyone,
}

impl Ledger {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            next_id: 0,
            requests: BTreeMap::new(),
            shares: HashMap::new(),
            unverified: Share::default(),
            bytes: 0,
            proven: HashMap::new(),
        }
    }

    /// Gives the request a place, and returns its id. `displaced` is cancelled if another request needs the place.
    pub(super) fn begin(
        &mut self,
        peer: Peer,
        displaced: CancellationToken,
        now: Instant,
    ) -> Result<u64, NoRoom> {
        let is_proven = self.is_proven(peer, now);
        if !is_proven && self.share_of(peer).requests >= self.limits.peer_requests {
            return Err(NoRoom::ForPeer);
        }
        if self.unverified.requests >= self.limits.unverified_requests {
            self.displace(None, is_proven, now)?;
        }
        let id = self.next_id;
        self.next_id += 1;
        let held = Held {
            peer,
            bytes: 0,
            displaced: Some(displaced),
        };
        self.requests.insert(id, held);
        self.shares.entry(peer).or_default().requests += 1;
        self.unverified.requests += 1;
        Ok(id)
    }

    /// Takes `more` bytes for an unverified request.
    pub(super) fn grow(&mut self, id: u64, more: usize, now: Instant) -> Result<(), NoRoom> {
        // A request that was displaced a moment ago holds nothing and will be told.
        let Some(peer) = self.requests.get(&id).map(|held| held.peer) else {
            return Err(NoRoom::ForPeer);
        };
        let is_proven = self.is_proven(peer, now);
        if !is_proven && self.share_of(peer).bytes + more > self.limits.peer_bytes {
            return Err(NoRoom::ForPeer);
        }
        while self.unverified.bytes + more > self.limits.unverified_bytes
            || self.bytes + more > self.limits.bytes
        {
            self.displace(Some(id), is_proven, now)?;
        }
        if let Some(held) = self.requests.get_mut(&id) {
            held.bytes += more;
        }
        self.shares.entry(peer).or_default().bytes += more;
        self.unverified.bytes += more;
        self.bytes += more;
        Ok(())
    }

    /// The request has a valid signature: it cannot be displaced any more, and its peer is proven.
    pub(super) fn verified(&mut self, id: u64, now: Instant) {
        let Some(held) = self.requests.get_mut(&id) else {
            return;
        };
        let (peer, bytes) = (held.peer, held.bytes);
        if held.displaced.take().is_some() {
            self.leave_unverified(peer, bytes);
        }
        self.prove(peer, now);
    }

    /// The peer has sent a valid signature.
    pub(super) fn prove(&mut self, peer: Peer, now: Instant) {
        if self.proven.len() >= MAX_PROVEN && !self.proven.contains_key(&peer) {
            self.proven.retain(|_, at| *at + PROVEN_FOR > now);
            let oldest = self.proven.iter().min_by_key(|(_, at)| **at);
            let oldest = oldest.map(|(peer, _)| *peer);
            if let Some(oldest) = oldest.filter(|_| self.proven.len() >= MAX_PROVEN) {
                self.proven.remove(&oldest);
            }
        }
        self.proven.insert(peer, now);
    }

    /// The request's body is no longer in memory.
    pub(super) fn end(&mut self, id: u64) {
        let Some(held) = self.requests.remove(&id) else {
            return;
        };
        self.bytes -= held.bytes;
        if held.displaced.is_some() {
            self.leave_unverified(held.peer, held.bytes);
        }
    }

    /// The unverified requests and the bytes of their bodies.
    pub(super) const fn unverified(&self) -> Share {
        self.unverified
    }

    /// Bytes of all bodies.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    fn is_proven(&self, peer: Peer, now: Instant) -> bool {
        let proven_at = self.proven.get(&peer);
        proven_at.is_some_and(|at| *at + PROVEN_FOR > now)
    }

    fn share_of(&self, peer: Peer) -> Share {
        self.shares.get(&peer).copied().unwrap_or_default()
    }

    /// Displaces the oldest unverified request of an unproven peer, except `but`; if there is none and the place is
    /// for a proven peer, the oldest unverified request of any peer.
    fn displace(&mut self, but: Option<u64>, for_proven: bool, now: Instant) -> Result<(), NoRoom> {
        let candidates = || {
            let requests = self.requests.iter();
            requests.filter(|(id, held)| held.displaced.is_some() && Some(**id) != but)
        };
        let stranger = candidates().find(|(_, held)| !self.is_proven(held.peer, now));
        let victim = stranger.or_else(|| candidates().next().filter(|_| for_proven));
        let Some((id, held)) = victim.map(|(id, held)| (*id, held)) else {
            return Err(if for_proven {
                NoRoom::ForAnyone
            } else {
                NoRoom::ForPeer
            });
        };
        if let Some(displaced) = &held.displaced {
            displaced.cancel();
        }
        self.end(id);
        Ok(())
    }

    fn leave_unverified(&mut self, peer: Peer, bytes: usize) {
        self.unverified.requests -= 1;
        self.unverified.bytes -= bytes;
        if let Some(share) = self.shares.get_mut(&peer) {
            share.requests -= 1;
            share.bytes -= bytes;
            if share.requests == 0 {
                self.shares.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        bytes: 100,
        unverified_bytes: 60,
        unverified_requests: 6,
        peer_bytes: 40,
        peer_requests: 3,
    };

    #[test]
    fn a_stranger_holds_no_more_than_its_share() {
        let mut ledger = Ledger::new(LIMITS);
        let now = Instant::now();

        let held = [(); 4].map(|()| begin(&mut ledger, stranger(1), now));

        assert!(held[..3].iter().all(Result::is_ok));
        assert_eq!(held[3].as_ref().unwrap_err(), &NoRoom::ForPeer);
        let (id, _) = held[0].as_ref().unwrap();
        assert_eq!(ledger.grow(*id, 40, now), Ok(()));
        assert_eq!(ledger.grow(*id, 1, now), Err(NoRoom::ForPeer));
        ledger.end(*id);
        assert!(begin(&mut ledger, stranger(1), now).is_ok());
    }

    #[test]
    fn strangers_who_hold_every_place_do_not_keep_a_newcomer_out() {
        let mut ledger = Ledger::new(LIMITS);
        let now = Instant::now();
        let held: Vec<_> = (1..=6)
            .map(|n| begin(&mut ledger, stranger(n), now).unwrap())
            .collect();

        let newcomer = begin(&mut ledger, stranger(7), now);

        assert!(newcomer.is_ok());
        let displaced: Vec<bool> = held.iter().map(|(_, token)| token.is_cancelled()).collect();
        assert_eq!(displaced, [true, false, false, false, false, false]);
    }

    #[test]
    fn strangers_who_hold_all_memory_do_not_keep_a_newcomer_out() {
        let mut ledger = Ledger::new(LIMITS);
        let now = Instant::now();
        let (first, first_token) = begin(&mut ledger, stranger(1), now).unwrap();
        let (second, second_token) = begin(&mut ledger, stranger(2), now).unwrap();
        ledger.grow(first, 20, now).unwrap();
        ledger.grow(second, 40, now).unwrap();

        let (newcomer, _) = begin(&mut ledger, stranger(3), now).unwrap();
        assert_eq!(ledger.grow(newcomer, 30, now), Ok(()));

        assert!(first_token.is_cancelled() && second_token.is_cancelled());
        assert_eq!(ledger.bytes(), 30);
    }

    #[test]
    fn a_proven_peer_has_no_share_and_is_not_displaced_for_a_stranger() {
        let mut ledger = Ledger::new(LIMITS);
        let now = Instant::now();
        ledger.prove(stranger(9), now);
        let meta: Vec<_> = (0..6)
            .map(|_| begin(&mut ledger, stranger(9), now).unwrap())
            .collect();
        ledger.grow(meta[0].0, 60, now).unwrap();

        assert_eq!(
            begin(&mut ledger, stranger(1), now).unwrap_err(),
            NoRoom::ForPeer
        );
        assert!(meta.iter().all(|(_, token)| !token.is_cancelled()));
    }

    #[test]
    fn a_proven_peer_displaces_its_own_oldest_request_only_if_no_stranger_is_left() {
        let mut ledger = Ledger::new(LIMITS);
        let now = Instant::now();
        ledger.prove(stranger(9), now);
        let (_, own) = begin(&mut ledger, stranger(9), now).unwrap();
        let strangers: Vec<_> = (1..=5)
            .map(|n| begin(&mut ledger, stranger(n), now).unwrap())
            .collect();

        for _ in 0..5 {
            begin(&mut ledger, stranger(9), now).unwrap();
        }
        assert!(strangers.iter().all(|(_, token)| token.is_cancelled()));
        assert!(!own.is_cancelled());

        begin(&mut ledger, stranger(9), now).unwrap();
        assert!(own.is_cancelled());
    }

    #[test]
    fn a_verified_request_is_not_displaced_and_keeps_its_memory_until_its_end() {
        let mut ledger = Ledger::new(LIMITS);
        let now = Instant::now();
        let mut verified = Vec::new();
        for _ in 0..2 {
            let (id, token) = begin(&mut ledger, stranger(9), now).unwrap();
            ledger.grow(id, 40, now).unwrap();
            ledger.verified(id, now);
            verified.push((id, token));
        }
        let (id, _) = begin(&mut ledger, stranger(9), now).unwrap();

        assert_eq!(ledger.grow(id, 21, now), Err(NoRoom::ForAnyone));

        assert!(verified.iter().all(|(_, token)| !token.is_cancelled()));
        ledger.end(verified[0].0);
        assert_eq!(ledger.grow(id, 21, now), Ok(()));
    }

    #[test]
    fn a_peer_is_proven_for_an_hour() {
        let mut ledger = Ledger::new(LIMITS);
        let now = Instant::now();
        ledger.prove(stranger(1), now);

        let almost = now + PROVEN_FOR.saturating_sub(Duration::from_millis(1));

        assert!(ledger.is_proven(stranger(1), almost));
        assert!(!ledger.is_proven(stranger(1), now + PROVEN_FOR));
    }

    #[test]
    fn the_number_of_remembered_peers_is_limited() {
        let mut ledger = Ledger::new(LIMITS);
        let now = Instant::now();

        for n in 0..=u32::try_from(MAX_PROVEN).unwrap() {
            ledger.prove(stranger(n), now + Duration::from_millis(u64::from(n)));
        }

        assert_eq!(ledger.proven.len(), MAX_PROVEN);
        assert!(!ledger.proven.contains_key(&stranger(0)));
    }

    proptest! {
        #[test]
        fn no_sequence_of_requests_exceeds_a_limit_or_leaves_a_trace(
            steps in proptest::collection::vec((0_u8..5, 0_u32..4, 0_usize..50), 0..200)
        ) {
            let mut ledger = Ledger::new(LIMITS);
            let now = Instant::now();
            let mut ids = Vec::new();
            for (step, peer, number) in steps {
                let id = (!ids.is_empty()).then(|| ids[number % ids.len()]);
                match (step, id) {
                    (0 | 1, _) => ids.extend(begin(&mut ledger, stranger(peer), now).map(|(id, _)| id)),
                    // Only requests that are not verified grow.
                    (2, Some(id)) if ledger.requests.get(&id).is_some_and(|held| held.displaced.is_some()) => {
                        let _ = ledger.grow(id, number, now);
                    }
                    (3, Some(id)) => ledger.verified(id, now),
                    (4, Some(id)) => ledger.end(id),
                    _ => {}
                }
                prop_assert!(ledger.bytes <= LIMITS.bytes);
                prop_assert!(ledger.unverified.bytes <= LIMITS.unverified_bytes);
                prop_assert!(ledger.unverified.requests <= LIMITS.unverified_requests);
            }
            for id in ids {
                ledger.end(id);
            }
            prop_assert_eq!(ledger.bytes, 0);
            prop_assert_eq!(ledger.unverified, Share::default());
            prop_assert!(ledger.shares.is_empty() && ledger.requests.is_empty());
        }
    }

    fn begin(
        ledger: &mut Ledger,
        peer: Peer,
        now: Instant,
    ) -> Result<(u64, CancellationToken), NoRoom> {
        let token = CancellationToken::new();
        let id = ledger.begin(peer, token.clone(), now)?;
        Ok((id, token))
    }

    fn stranger(number: u32) -> Peer {
        Peer::of_address(IpAddr::V4(Ipv4Addr::from_bits(number)))
    }
}
