use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_nats::jetstream::kv::Watch;
use claw_metrics::TAKEOVERS;
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    bucket::{Bucket, NewClaim, Renewed, WriteError},
    heartbeat::Heartbeat,
    lease::Lease,
    plan::{self, Cause, ClaimStep, Situation, UnitState},
    registry::Registry,
    tenure::Tenure,
    unit::Unit,
    view::{Change, Claim, MemberId, MemberStatus, View},
    watch_state::{WatchProgress, WatchState},
};
use crate::{Bus, BusError};

/// Pause before a failed operation is retried.
const PAUSE: Duration = Duration::from_millis(100);

/// Pause before joining is retried.
const JOIN_PAUSE: Duration = Duration::from_millis(500);

/// How often the whole bucket is read again, in case the server does not report an expired key.
const REWATCH_AFTER: Duration = Duration::from_secs(30);

/// One membership of this replica, from joining until it leaves or loses its lease.
pub(crate) struct Member {
    id: MemberId,
    bucket: Bucket,
    registry: Arc<Registry>,
    units: Vec<Unit>,
    grace: Duration,
    lease: Arc<Lease>,
    heartbeat: Heartbeat,
    connections: watch::Receiver<u64>,
    watch_state: WatchState,
    rewatch_at: Instant,
    units_held: BTreeMap<Unit, UnitState>,
    operations: FuturesUnordered<BoxFuture<'static, Completed>>,
    tally: Tally,
    is_gone: bool,
}

/// How a membership ended.
pub(crate) enum MembershipEnd {
    /// The service stops, and every unit was released.
    Left,
    /// The lease may have expired: every unit is lost.
    Fenced,
}

/// The result of an operation.
enum Completed {
    Renewed(Result<Renewed, WriteError>),
    WatchStarted(u64, Result<Box<Watch>, BusError>),
    /// Claims were written over the connection of this number.
    Written(u64, Vec<(Write, Result<u64, WriteError>)>),
    /// No work runs under the tenure of this number any more.
    Idle(Unit, u64),
}

/// The purpose of a written claim.
#[derive(Debug, Clone, Copy)]
enum Write {
    Claim(Unit, Cause),
    Release(Unit),
}

/// Units that changed hands since the last log line.
#[derive(Default)]
struct Tally {
    taken: usize,
    handed_over: usize,
}

impl Member {
    /// Joins the other replicas; retries until it succeeds.
    pub(crate) async fn join(
        bus: &Bus,
        registry: Arc<Registry>,
        units: Vec<Unit>,
        grace: Duration,
    ) -> Self {
        loop {
            match Self::try_to_join(bus, &registry, &units, grace).await {
                Ok(member) => return member,
                Err(error) => warn!(
                    error = &*error as &dyn std::error::Error,
                    "{} could not join the other replicas; trying again", bus.service
                ),
            }
            sleep(JOIN_PAUSE).await;
        }
    }

    async fn try_to_join(
        bus: &Bus,
        registry: &Arc<Registry>,
        units: &[Unit],
        grace: Duration,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut connections = bus.connections.clone();
        connections.mark_unchanged();
        let bucket = Bucket::open(bus).await?;
        let id = MemberId::new(bus.unique());
        let joined = bucket.renew(&id, MemberStatus::Staying, 0).await?;
        let member = Self {
            id,
            bucket,
            registry: Arc::clone(registry),
            units: units.to_vec(),
            grace,
            lease: Arc::new(Lease::renewed_at(joined.sent)),
            heartbeat: Heartbeat::begun(joined.revision, joined.sent),
            connections,
            watch_state: WatchState::Disconnected,
            rewatch_at: Instant::now() + REWATCH_AFTER,
            units_held: BTreeMap::new(),
            operations: FuturesUnordered::new(),
            tally: Tally::default(),
            is_gone: false,
        };
        member.start_watch(Duration::ZERO);
        Ok(member)
    }

    /// Holds units until `stop` is cancelled and all of them are released, or until the lease is lost.
    pub(crate) async fn run(mut self, stop: &CancellationToken) -> MembershipEnd {
        loop {
            if self.is_gone || !self.lease.holds_at(Instant::now()) {
                warn!(
                    "{} stopped acting because its lease was not renewed in time; it joins again",
                    self.registry.group
                );
                return MembershipEnd::Fenced;
            }
            if self.has_left() {
                self.registry.leave();
                self.bucket.forget(&self.id).await;
                info!("{} released all units and left", self.registry.group);
                return MembershipEnd::Left;
            }
            self.renew_when_due();
            self.plan();
            self.log_changes();
            let wake = self.wakes_at();
            tokio::select! {
                () = sleep_until(wake) => {}
                Some(done) = self.operations.next() => self.complete(done),
                seen = self.watch_state.next() => {
                    let progress = self.watch_state.take_in(self.registry.group, seen.as_ref());
                    self.watch_progressed(progress);
                }
                Ok(()) = self.connections.changed() => self.claim_again_after_reconnect(),
                () = stop.cancelled(), if !self.heartbeat.is_leaving() => self.heartbeat.leave(),
            }
        }
    }

    /// Whether this replica is leaving, holds no unit and has no claim in flight.
    fn has_left(&self) -> bool {
        let has_nothing = |view: &View| !view.holds_any(&self.id);
        self.heartbeat.is_leaving()
            && self.units_held.is_empty()
            && self.watch_state.view().is_some_and(has_nothing)
    }

    fn wakes_at(&self) -> Instant {
        let now = Instant::now();
        let hand_over_grace = self.hand_over_grace();
        self.units_held
            .values()
            .filter_map(|state| plan::wakes_at(*state, hand_over_grace))
            .chain(self.heartbeat.wakes_at())
            .chain([self.rewatch_at])
            // The operation for a time in the past is already in flight.
            .filter(|wake| *wake > now)
            .fold(self.lease.ends(), Instant::min)
    }

    fn hand_over_grace(&self) -> Duration {
        let stops_within = self.heartbeat.is_leaving().then_some(self.grace);
        self.watch_state.view().map_or(self.grace, |view| {
            plan::hand_over_grace(view, &self.id, stops_within)
        })
    }

    fn renew_when_due(&mut self) {
        let now = Instant::now();
        if let Some((status, over)) = self.heartbeat.beat(now) {
            let (bucket, id) = (self.bucket.clone(), self.id.clone());
            self.start(async move { Completed::Renewed(bucket.renew(&id, status, over).await) });
        }
        if self.rewatch_at <= now {
            self.start_watch(Duration::ZERO);
            self.rewatch_at = now + REWATCH_AFTER;
        }
    }

    fn plan(&mut self) {
        let now = Instant::now();
        self.units_held
            .retain(|_, state| !matches!(state, UnitState::Paused { until } if *until <= now));
        let (mut writes, mut claims) = (Vec::new(), Vec::new());
        for (unit, step) in self.steps(now) {
            match step {
                ClaimStep::Claim { over, cause } => {
                    self.units_held.insert(unit, UnitState::Asking);
                    let holder = Some(self.id.clone());
                    writes.push(Write::Claim(unit, cause));
                    claims.push(NewClaim { unit, holder, over });
                }
                ClaimStep::Release { over } => {
                    self.units_held.insert(unit, UnitState::Asking);
                    // The tenure is lost before the unit is released: two replicas must never act at once.
                    self.registry.lose(unit);
                    let holder = None;
                    writes.push(Write::Release(unit));
                    claims.push(NewClaim { unit, holder, over });
                }
                ClaimStep::End => self.end(unit, now),
                ClaimStep::Lose => {
                    self.units_held.remove(&unit);
                    self.registry.lose(unit);
                }
            }
        }
        if !claims.is_empty() {
            let (bucket, connection) = (self.bucket.clone(), *self.connections.borrow());
            self.start(async move {
                let written = bucket.claim_all(claims).await;
                Completed::Written(connection, writes.into_iter().zip(written).collect())
            });
        }
    }

    fn steps(&self, now: Instant) -> Vec<(Unit, ClaimStep)> {
        let Some(view) = self.watch_state.view() else {
            return Vec::new();
        };
        let wanted = if self.heartbeat.is_leaving() {
            // The view still counts this replica as staying for a moment.
            BTreeSet::new()
        } else {
            plan::wanted_by(&self.id, view, &self.units)
        };
        let situation = Situation {
            view,
            me: &self.id,
            wanted: &wanted,
            hand_over_grace: self.hand_over_grace(),
            now,
        };
        self.units
            .iter()
            .filter_map(|unit| {
                let step = plan::next_step(&situation, *unit, self.units_held.get(unit).copied())?;
                Some((*unit, step))
            })
            .collect()
    }

    fn end(&mut self, unit: Unit, since: Instant) {
        let Some(tenure) = self.registry.tenure(unit) else {
            return;
        };
        tenure.end();
        let ending = UnitState::Ending {
            epoch: tenure.epoch(),
            since,
            is_idle: false,
        };
        self.units_held.insert(unit, ending);
        let number = tenure.number();
        self.start(async move {
            tenure.idle().await;
            Completed::Idle(unit, number)
        });
    }

    fn complete(&mut self, done: Completed) {
        let now = Instant::now();
        match done {
            Completed::Renewed(Ok(renewed)) => {
                self.lease.extend(renewed.sent);
                self.heartbeat
                    .beaten(renewed.status, renewed.revision, renewed.sent);
            }
            Completed::Renewed(Err(WriteError::Refused)) => self.is_gone = true,
            Completed::Renewed(Err(WriteError::Unknown(_))) => self.heartbeat.missed(now),
            Completed::WatchStarted(connection, watch) => self.watch_started(connection, watch),
            Completed::Written(connection, written) => {
                for (write, result) in written {
                    self.write_completed(connection, write, result, now);
                }
            }
            Completed::Idle(unit, number) => {
                let is_this = |tenure: Tenure| tenure.number() == number;
                if let Some(UnitState::Ending { is_idle, .. }) = self.units_held.get_mut(&unit) {
                    *is_idle |= self.registry.tenure(unit).is_some_and(is_this);
                }
            }
        }
    }

    fn write_completed(
        &mut self,
        connection: u64,
        write: Write,
        result: Result<u64, WriteError>,
        now: Instant,
    ) {
        match (write, result) {
            (Write::Claim(unit, cause), Ok(revision)) => {
                self.learn(unit, Some(self.id.clone()), revision);
                self.begin_tenure(unit, connection, cause, revision);
            }
            (Write::Claim(unit, _), Err(_)) => {
                let until = now + PAUSE;
                let again = match self.registry.tenure(unit) {
                    Some(tenure) => UnitState::Stale {
                        epoch: tenure.epoch(),
                        not_before: until,
                    },
                    None => UnitState::Paused { until },
                };
                self.units_held.insert(unit, again);
            }
            (Write::Release(unit), Ok(revision)) => {
                self.learn(unit, None, revision);
                self.units_held.remove(&unit);
                self.tally.handed_over += 1;
            }
            (Write::Release(unit), Err(_)) => {
                self.units_held
                    .insert(unit, UnitState::Paused { until: now + PAUSE });
            }
        }
    }

    fn begin_tenure(&mut self, unit: Unit, connection: u64, cause: Cause, epoch: u64) {
        if connection != *self.connections.borrow() {
            let not_before = Instant::now();
            self.units_held
                .insert(unit, UnitState::Stale { epoch, not_before });
            return;
        }
        TAKEOVERS.increment([self.registry.group, cause.as_str()]);
        self.registry.begin(unit, epoch, &self.lease, cause);
        self.units_held.insert(unit, UnitState::Held { epoch });
        self.tally.taken += 1;
    }

    fn learn(&mut self, unit: Unit, holder: Option<MemberId>, revision: u64) {
        self.watch_state
            .learn(Change::Claim(unit, Claim { holder, revision }));
    }

    /// Starts watching the bucket, after a pause.
    fn start_watch(&self, pause: Duration) {
        let (bucket, connection) = (self.bucket.clone(), *self.connections.borrow());
        self.start(async move {
            sleep(pause).await;
            Completed::WatchStarted(connection, bucket.watch().await)
        });
    }

    fn watch_started(&mut self, connection: u64, watch: Result<Box<Watch>, BusError>) {
        if connection != *self.connections.borrow() {
            return; // Another watch is being started.
        }
        match watch {
            Ok(watch) => self.watch_state = WatchState::Reading(watch, View::default()),
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "{} could not watch the leases of its replicas; trying again",
                    self.registry.group
                );
                self.start_watch(PAUSE);
            }
        }
    }

    fn watch_progressed(&mut self, progress: WatchProgress) {
        match progress {
            WatchProgress::More => {}
            WatchProgress::Ended => self.start_watch(PAUSE),
            WatchProgress::Complete if self.registry.has_joined() => {}
            WatchProgress::Complete => {
                self.registry.join();
                let replicas = self
                    .watch_state
                    .view()
                    .map_or(0, |view| view.staying().count());
                info!(
                    "{} joined as {}; live replicas: {replicas}",
                    self.registry.group,
                    self.id.as_str()
                );
            }
        }
    }

    /// Handles a new connection. Deliveries in flight on the old one are lost, so the bucket is watched again and
    /// every unit claimed again, which makes its consumer start under a new epoch.
    fn claim_again_after_reconnect(&mut self) {
        self.watch_state = WatchState::Disconnected;
        self.start_watch(Duration::ZERO);
        let not_before = Instant::now();
        for state in self.units_held.values_mut() {
            if let UnitState::Held { epoch } = *state {
                *state = UnitState::Stale { epoch, not_before };
            }
        }
    }

    fn start(&self, operation: impl Future<Output = Completed> + Send + 'static) {
        self.operations.push(Box::pin(operation));
    }

    /// Logs how many units changed hands, once no claim is in flight.
    fn log_changes(&mut self) {
        if self
            .units_held
            .values()
            .any(|state| *state == UnitState::Asking)
        {
            return;
        }
        let Tally { taken, handed_over } = std::mem::take(&mut self.tally);
        let (group, owned) = (self.registry.group, self.registry.holdings());
        if taken > 0 {
            info!("{group} took over {taken} units and holds {owned}");
        }
        if handed_over > 0 {
            info!("{group} handed over {handed_over} units and holds {owned}");
        }
    }
}

/// Loses all units however the membership ends, an aborted task included.
impl Drop for Member {
    fn drop(&mut self) {
        self.registry.leave();
    }
}
