//! Requests whose signature is not verified yet may come from anyone. `UnverifiedRequests` reads their bodies within
//! limits, for each peer and in all.

mod ledger;
mod peer;

use std::{ops::Deref, sync::Arc, time::Duration};

use axum::{
    body::{Body, BodyDataStream},
    extract::Request,
    http::{Extensions, HeaderMap},
};
use claw_metrics::{REQUEST_BODY_BYTES, UNVERIFIED_REQUESTS};
use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::refusal::Refusal;
use ledger::{Ledger, Limits, NoRoom};
pub(crate) use peer::Peer;
pub use peer::{InvalidNetworks, TrustedProxies};

const LIMITS: Limits = Limits {
    // 21 of the largest bodies, or 16,384 ordinary ones.
    bytes: 64 * 1024 * 1024,
    // Buffers of the HTTP server take several times as much beside it.
    stranger_bytes: 8 * 1024 * 1024,
    stranger_requests: 256,
    // One of the largest bodies, with room for ordinary ones beside it.
    peer_bytes: 4 * 1024 * 1024,
    peer_requests: 32,
};

/// The first memory that a body takes, in bytes. Each further step doubles what it has.
const FIRST_BYTES: usize = 4 * 1024;

/// How much of a refused request is still read, and for how long. If a server answers and closes before it has read
/// the request, Caddy may miss the answer, and would take the server for broken. Caddy sends bodies up to this size
/// in one go.
const DISCARDED_BYTES: usize = 256 * 1024;
const DISCARD_TIMEOUT: Duration = Duration::from_millis(500);

/// Reads the bodies of requests that are not verified yet. Cheap to clone.
#[derive(Clone)]
pub(crate) struct UnverifiedRequests {
    proxies: TrustedProxies,
    ledger: Arc<Mutex<Ledger>>,
}

/// The largest body that is read, and the time that it may take to arrive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    pub(crate) bytes: usize,
    pub(crate) time: Duration,
}

/// A body in memory, which is accounted for until this is dropped.
pub(crate) struct HeldBody {
    bytes: Vec<u8>,
    id: u64,
    ledger: Arc<Mutex<Ledger>>,
}

impl UnverifiedRequests {
    pub(crate) fn new(proxies: TrustedProxies) -> Self {
        Self {
            proxies,
            ledger: Arc::new(Mutex::new(Ledger::new(LIMITS))),
        }
    }

    /// The peer that sent a request.
    pub(crate) fn peer_of(&self, headers: &HeaderMap, extensions: &Extensions) -> Peer {
        self.proxies.peer_of(headers, extensions)
    }

    /// Reads the body, if it arrives whole, in time, and within the limits. Memory is taken as bytes arrive, whatever
    /// length the sender announces.
    pub(crate) async fn read(
        &self,
        request: Request,
        limits: BodyLimits,
    ) -> Result<HeldBody, Refusal> {
        let peer = self.peer_of(request.headers(), request.extensions());
        let mut arriving = request.into_body().into_data_stream();
        let displaced = CancellationToken::new();
        let read = async {
            let mut body = self.hold(peer, displaced.clone())?;
            let filled = timeout(limits.time, body.fill(&mut arriving, limits.bytes));
            tokio::select! {
                filled = filled => filled.unwrap_or(Err(Refusal::Incomplete))?,
                () = displaced.cancelled() => return Err(Refusal::Busy),
            }
            Ok(body)
        };
        let read = read.await;
        if read.is_err() {
            discard_rest(arriving).await;
        }
        read
    }

    /// The peer has sent a valid signature without a body.
    pub(crate) fn prove(&self, peer: Peer) {
        self.ledger.lock().prove(peer, Instant::now());
    }

    fn hold(&self, peer: Peer, displaced: CancellationToken) -> Result<HeldBody, NoRoom> {
        let mut ledger = self.ledger.lock();
        let id = ledger.begin(peer, displaced, Instant::now())?;
        observe(&ledger);
        Ok(HeldBody {
            bytes: Vec::new(),
            id,
            ledger: Arc::clone(&self.ledger),
        })
    }
}

impl HeldBody {
    /// The signature of the request is valid: from here on it is not displaced, and its peer is proven.
    pub(crate) fn verified(&self) {
        let mut ledger = self.ledger.lock();
        ledger.verified(self.id, Instant::now());
        observe(&ledger);
    }

    async fn fill(
        &mut self,
        arriving: &mut BodyDataStream,
        limit_bytes: usize,
    ) -> Result<(), Refusal> {
        while let Some(chunk) = arriving.next().await {
            let chunk = chunk.map_err(|_| Refusal::Incomplete)?;
            let length = self.bytes.len() + chunk.len();
            if length > limit_bytes {
                return Err(Refusal::TooLarge);
            }
            let has = self.bytes.capacity();
            if length > has {
                let wanted = length.max(2 * has).max(FIRST_BYTES);
                self.grow(wanted.min(limit_bytes.max(FIRST_BYTES)) - has)?;
            }
            self.bytes.extend_from_slice(&chunk);
        }
        Ok(())
    }

    /// Takes memory for `more` bytes.
    fn grow(&mut self, more: usize) -> Result<(), NoRoom> {
        let mut ledger = self.ledger.lock();
        ledger.grow(self.id, more)?;
        observe(&ledger);
        drop(ledger);
        let spare = self.bytes.capacity() - self.bytes.len();
        self.bytes.reserve_exact(spare + more);
        Ok(())
    }
}

impl Deref for HeldBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for HeldBody {
    fn drop(&mut self) {
        self.bytes = Vec::new();
        let mut ledger = self.ledger.lock();
        ledger.end(self.id);
        observe(&ledger);
    }
}

impl From<NoRoom> for Refusal {
    fn from(lack: NoRoom) -> Self {
        match lack {
            NoRoom::ForStranger => Self::Busy,
            NoRoom::ForAnyone => Self::Full,
        }
    }
}

/// Reads the body of a request that is refused, and keeps nothing.
pub(crate) async fn discard(body: Body) {
    discard_rest(body.into_data_stream()).await;
}

async fn discard_rest(mut arriving: BodyDataStream) {
    let reading = async {
        let mut discarded = 0;
        while let Some(Ok(chunk)) = arriving.next().await {
            discarded += chunk.len();
            if discarded >= DISCARDED_BYTES {
                return;
            }
        }
    };
    // The answer does not depend on it.
    let _ = timeout(DISCARD_TIMEOUT, reading).await;
}

fn observe(ledger: &Ledger) {
    let gauge = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    UNVERIFIED_REQUESTS.set(gauge(ledger.strangers().requests), []);
    REQUEST_BODY_BYTES.set(gauge(ledger.bytes()), []);
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, net::SocketAddr};

    use axum::{body::Bytes, extract::ConnectInfo};
    use futures_util::{FutureExt, stream};

    use super::*;

    const MIB: usize = 1024 * 1024;
    const LARGEST: BodyLimits = BodyLimits {
        bytes: 3 * MIB,
        time: Duration::from_secs(10),
    };

    #[tokio::test]
    async fn announcing_a_length_takes_no_memory() {
        let requests = UnverifiedRequests::new(TrustedProxies::default());
        let mut waiting = Vec::new();
        for number in 0..250 {
            let mut request = half_open(number, 10);
            let announced = "3145728".parse().unwrap();
            request.headers_mut().insert("content-length", announced);
            let mut reading = Box::pin(requests.read(request, LARGEST));
            assert!((&mut reading).now_or_never().is_none());
            waiting.push(reading);
        }

        assert_eq!(requests.ledger.lock().bytes(), 250 * FIRST_BYTES);
    }

    #[tokio::test]
    async fn a_body_takes_no_more_than_twice_its_size_and_gives_all_of_it_back() {
        let requests = UnverifiedRequests::new(TrustedProxies::default());

        for size in [0, 1, 4_096, 4_097, 700_000, 3 * MIB] {
            let body = requests.read(whole(1, size), LARGEST).await.ok().unwrap();
            let taken = requests.ledger.lock().bytes();
            assert_eq!(body.len(), size);
            assert!(
                taken >= size && taken <= (2 * size).max(FIRST_BYTES),
                "{size}: {taken}"
            );
            assert!(taken >= body.bytes.capacity());
        }

        assert_eq!(requests.ledger.lock().bytes(), 0);
    }

    #[tokio::test]
    async fn the_largest_body_from_an_unknown_peer_is_read_while_strangers_hold_all_places() {
        let requests = UnverifiedRequests::new(TrustedProxies::default());
        let mut strangers = Vec::new();
        for number in 0..600 {
            let request = half_open(number, 100_000);
            let mut reading = Box::pin(requests.read(request, LARGEST));
            let _ = (&mut reading).now_or_never();
            strangers.push(reading);
        }

        let body = requests.read(whole(9_999, 3 * MIB), LARGEST).await;

        assert_eq!(body.ok().unwrap().len(), 3 * MIB);
        assert!(requests.ledger.lock().bytes() <= LIMITS.stranger_bytes);
        assert!(requests.ledger.lock().strangers().requests <= LIMITS.stranger_requests);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_arrive_is_given_up() {
        let requests = UnverifiedRequests::new(TrustedProxies::default());

        let read = requests.read(half_open(1, 10), LARGEST).await;

        assert!(matches!(read.err(), Some(Refusal::Incomplete)));
        assert_eq!(requests.ledger.lock().bytes(), 0);
    }

    /// A request whose body ends.
    fn whole(peer: u32, bytes: usize) -> Request {
        request(peer, Body::from(vec![b'x'; bytes]))
    }

    /// A request of which these bytes arrive, and then nothing.
    fn half_open(peer: u32, bytes: usize) -> Request {
        let first = stream::iter([Ok::<_, Infallible>(Bytes::from(vec![b'x'; bytes]))]);
        request(peer, Body::from_stream(first.chain(stream::pending())))
    }

    fn request(peer: u32, body: Body) -> Request {
        let mut request = Request::new(body);
        let address = SocketAddr::new(std::net::Ipv4Addr::from_bits(peer).into(), 1);
        request.extensions_mut().insert(ConnectInfo(address));
        request
    }
}
