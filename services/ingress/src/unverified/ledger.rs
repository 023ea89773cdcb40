use std::{
    collections::{BTreeMap, HashMap},
    mem,
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
    /// Of it, memory for bodies of strangers: of unverified requests whose peer is not proven.
    pub(super) stranger_bytes: usize,
    /// The number of requests of strangers.
    pub(super) stranger_requests: usize,
    /// The memory for one stranger's bodies.
    pub(super) peer_bytes: usize,
    /// The number of one stranger's requests.
    pub(super) peer_requests: usize,
}

/// The requests whose bodies are in memory, and the peers that have lately sent a valid signature.
///
/// If memory or places run out, the oldest unverified request is displaced, rather than the newest refused: a webhook
/// takes milliseconds to arrive, so a request that keeps its place for long is a stranger's. A request of a proven peer is
/// displaced only for another one, and only if no stranger is left.
#[derive(Debug)]
pub(super) struct Ledger {
    limits: Limits,
    next_id: u64,
    /// In the order of arrival, because ids ascend.
    requests: BTreeMap<u64, Held>,
    strangers: Share,
    by_stranger: HashMap<Peer, Share>,
    bytes: usize,
    /// When each proven peer's last valid signature was seen.
    proven: HashMap<Peer, Instant>,
}

#[derive(Debug)]
struct Held {
    peer: Peer,
    bytes: usize,
    stage: Stage,
}

/// What is known about a request. Tokens are cancelled to displace it.
#[derive(Debug)]
enum Stage {
    /// It is not verified, and its peer was not proven when it began.
    Stranger(CancellationToken),
    /// It is not verified, but its peer was proven.
    Known(CancellationToken),
    Verified,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) requests: usize,
    pub(super) bytes: usize,
}

/// Why there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// It is a stranger, and what strangers may hold is used up.
    ForStranger,
    /// Verified requests hold everything.
    ForAnyone,
}

impl Ledger {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            next_id: 0,
            requests: BTreeMap::new(),
            strangers: Share::default(),
            by_stranger: HashMap::new(),
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
        let stage = if self.is_proven(peer, now) {
            Stage::Known(displaced)
        } else {
            if self.share_of(peer).requests >= self.limits.peer_requests {
                return Err(NoRoom::ForStranger);
            }
            if self.strangers.requests >= self.limits.stranger_requests {
                self.displace_for_stranger(None)?;
            }
            self.by_stranger.entry(peer).or_default().requests += 1;
            self.strangers.requests += 1;
            Stage::Stranger(displaced)
        };
        let id = self.next_id;
        self.next_id += 1;
        let held = Held {
            peer,
            bytes: 0,
            stage,
        };
        self.requests.insert(id, held);
        Ok(id)
    }

    /// Takes `more` bytes for an unverified request.
    pub(super) fn grow(&mut self, id: u64, more: usize) -> Result<(), NoRoom> {
        // A request that was displaced a moment ago holds nothing, and will be told.
        let held = self.requests.get(&id).ok_or(NoRoom::ForStranger)?;
        let peer = held.peer;
        if matches!(held.stage, Stage::Stranger(_)) {
            if self.share_of(peer).bytes + more > self.limits.peer_bytes {
                return Err(NoRoom::ForStranger);
            }
            while self.strangers.bytes + more > self.limits.stranger_bytes
                || self.bytes + more > self.limits.bytes
            {
                self.displace_for_stranger(Some(id))?;
            }
            self.by_stranger.entry(peer).or_default().bytes += more;
            self.strangers.bytes += more;
        } else {
            while self.bytes + more > self.limits.bytes {
                self.displace_for_known(id)?;
            }
        }
        if let Some(held) = self.requests.get_mut(&id) {
            held.bytes += more;
        }
        self.bytes += more;
        Ok(())
    }

    /// The request has a valid signature: it cannot be displaced any more, and its peer is proven.
    pub(super) fn verified(&mut self, id: u64, now: Instant) {
        let Some(held) = self.requests.get_mut(&id) else {
            return;
        };
        let (peer, bytes) = (held.peer, held.bytes);
        if let Stage::Stranger(_) = mem::replace(&mut held.stage, Stage::Verified) {
            self.forget_stranger(peer, bytes);
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
        if matches!(held.stage, Stage::Stranger(_)) {
            self.forget_stranger(held.peer, held.bytes);
        }
    }

    /// The requests of strangers, and the bytes of their bodies.
    pub(super) const fn strangers(&self) -> Share {
        self.strangers
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
        self.by_stranger.get(&peer).copied().unwrap_or_default()
    }

    fn displace_for_stranger(&mut self, but: Option<u64>) -> Result<(), NoRoom> {
        let oldest = self.oldest(but, |stage| matches!(stage, Stage::Stranger(_)));
        self.displace(oldest.ok_or(NoRoom::ForStranger)?);
        Ok(())
    }

    fn displace_for_known(&mut self, but: u64) -> Result<(), NoRoom> {
        if self.displace_for_stranger(Some(but)).is_err() {
            let oldest = self.oldest(Some(but), |stage| !matches!(stage, Stage::Verified));
            self.displace(oldest.ok_or(NoRoom::ForAnyone)?);
        }
        Ok(())
    }

    /// The oldest request in such a stage, except `but`.
    fn oldest(&self, but: Option<u64>, is_such: impl Fn(&Stage) -> bool) -> Option<u64> {
        let mut requests = self.requests.iter();
        let found = requests.find(|(id, held)| Some(**id) != but && is_such(&held.stage));
        found.map(|(id, _)| *id)
    }

    fn displace(&mut self, id: u64) {
        if let Some(Stage::Stranger(displaced) | Stage::Known(displaced)) =
            self.requests.get(&id).map(|held| &held.stage)
        {
            displaced.cancel();
        }
        self.end(id);
    }

    fn forget_stranger(&mut self, peer: Peer, bytes: usize) {
        self.strangers.requests -= 1;
        self.strangers.bytes -= bytes;
        if let Some(share) = self.by_stranger.get_mut(&peer) {
            share.requests -= 1;
            share.bytes -= bytes;
            if share.requests == 0 {
                self.by_stranger.remove(&peer);
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
        stranger_bytes: 60,
        stranger_requests: 6,
        peer_bytes: 40,
        peer_requests: 3,
    };

    #[test]
    fn a_stranger_holds_no_more_than_its_share() {
        let mut ledger = Ledger::new(LIMITS);
        let now = Instant::now();

        let held = [(); 4].map(|()| begin(&mut ledger, stranger(1), now));

        assert!(held[..3].iter().all(Result::is_ok));
        assert_eq!(held[3].as_ref().unwrap_err(), &NoRoom::ForStranger);
        let (id, _) = held[0].as_ref().unwrap();
        assert_eq!(ledger.grow(*id, 40), Ok(()));
        assert_eq!(ledger.grow(*id, 1), Err(NoRoom::ForStranger));
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
        ledger.grow(first, 20).unwrap();
        ledger.grow(second, 40).unwrap();

        let (newcomer, _) = begin(&mut ledger, stranger(3), now).unwrap();
        assert_eq!(ledger.grow(newcomer, 30), Ok(()));

        assert!(first_token.is_cancelled() && second_token.is_cancelled());
        assert_eq!(ledger.bytes(), 30);
    }

    #[test]
    fn a_proven_peer_has_no_share_and_is_not_displaced_for_a_stranger() {
        let mut ledger = Ledger::new(LIMITS);
        let now = Instant::now();
        ledger.prove(stranger(9), now);
        let meta: Vec<_> = (0..20)
            .map(|_| begin(&mut ledger, stranger(9), now).unwrap())
            .collect();
        ledger.grow(meta[0].0, 90).unwrap();

        let (id, _) = begin(&mut ledger, stranger(1), now).unwrap();

        assert_eq!(ledger.grow(id, 11), Err(NoRoom::ForStranger));
        assert!(meta.iter().all(|(_, token)| !token.is_cancelled()));
    }

    #[test]
    fn a_proven_peer_displaces_its_own_oldest_request_only_if_no_stranger_is_left() {
        let mut ledger = Ledger::new(LIMITS);
        let now = Instant::now();
        ledger.prove(stranger(9), now);
        let (first, first_token) = begin(&mut ledger, stranger(9), now).unwrap();
        ledger.grow(first, 40).unwrap();
        let (other, other_token) = begin(&mut ledger, stranger(1), now).unwrap();
        ledger.grow(other, 40).unwrap();
        let (second, _) = begin(&mut ledger, stranger(9), now).unwrap();

        ledger.grow(second, 60).unwrap();
        assert!(other_token.is_cancelled() && !first_token.is_cancelled());

        ledger.grow(second, 1).unwrap();
        assert!(first_token.is_cancelled());
    }

    #[test]
    fn a_verified_request_is_not_displaced_and_keeps_its_memory_until_its_end() {
        let mut ledger = Ledger::new(LIMITS);
        let now = Instant::now();
        let mut verified = Vec::new();
        for _ in 0..2 {
            let (id, token) = begin(&mut ledger, stranger(9), now).unwrap();
            ledger.grow(id, 40).unwrap();
            ledger.verified(id, now);
            verified.push((id, token));
        }
        let (id, _) = begin(&mut ledger, stranger(9), now).unwrap();

        assert_eq!(ledger.grow(id, 21), Err(NoRoom::ForAnyone));

        assert!(verified.iter().all(|(_, token)| !token.is_cancelled()));
        ledger.end(verified[0].0);
        assert_eq!(ledger.grow(id, 21), Ok(()));
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
                    (2, Some(id)) if ledger.requests.get(&id).is_some_and(|held| !matches!(held.stage, Stage::Verified)) => {
                        let _ = ledger.grow(id, number);
                    }
                    (3, Some(id)) => ledger.verified(id, now),
                    (4, Some(id)) => ledger.end(id),
                    _ => {}
                }
                prop_assert!(ledger.bytes <= LIMITS.bytes);
                prop_assert!(ledger.strangers.bytes <= LIMITS.stranger_bytes);
                prop_assert!(ledger.strangers.requests <= LIMITS.stranger_requests);
            }
            for id in ids {
                ledger.end(id);
            }
            prop_assert_eq!(ledger.bytes, 0);
            prop_assert_eq!(ledger.strangers, Share::default());
            prop_assert!(ledger.by_stranger.is_empty() && ledger.requests.is_empty());
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
