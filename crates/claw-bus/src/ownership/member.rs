use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_nats::jetstream::kv::Watch;
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use metrics::counter;
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
    plan::{self, Cause, Seat, Situation, Step},
    roll::Roll,
    sight::{Look, Sight},
    tenure::Tenure,
    unit::Unit,
    view::{Change, Claim, MemberId, Standing, View},
};
use crate::{Bus, BusError};

/// Pause before something that did not work is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// Pause before joining is tried again.
const JOIN_PAUSE: Duration = Duration::from_millis(500);

/// How often the bucket is read from the beginning, should the server ever not tell of a lapsed key.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// One incarnation of this replica, from its joining until it leaves or loses its lease.
pub(crate) struct Member {
    id: MemberId,
    bucket: Bucket,
    roll: Arc<Roll>,
    units: Vec<Unit>,
    grace: Duration,
    lease: Arc<Lease>,
    heartbeat: Heartbeat,
    connections: watch::Receiver<u64>,
    sight: Sight,
    look_again_at: Instant,
    seats: BTreeMap<Unit, Seat>,
    operations: FuturesUnordered<BoxFuture<'static, Done>>,
    tally: Tally,
    is_gone: bool,
}

/// How a membership ended.
pub(crate) enum End {
    /// Told to stop, and everything was given back.
    Left,
    /// The lease may have lapsed: everything is lost.
    Fenced,
}

/// What an operation came to.
enum Done {
    Renewed(Result<Renewed, WriteError>),
    Looking(u64, Result<Box<Watch>, BusError>),
    /// Claims were written while we had the connection of this number.
    Written(u64, Vec<(Write, Result<u64, WriteError>)>),
    /// Nothing runs any more under the tenure of this number.
    Idle(Unit, u64),
}

/// What a claim was written for.
#[derive(Debug, Clone, Copy)]
enum Write {
    Claim(Unit, Cause),
    Release(Unit),
}

/// Units that changed hands and were not yet told of.
#[derive(Default)]
struct Tally {
    taken: usize,
    handed_over: usize,
}

impl Member {
    /// Writes our key, however long that takes.
    pub(crate) async fn join(
        bus: &Bus,
        roll: Arc<Roll>,
        units: Vec<Unit>,
        grace: Duration,
    ) -> Self {
        loop {
            match Self::try_to_join(bus, &roll, &units, grace).await {
                Ok(member) => return member,
                Err(error) => warn!(
                    error = &*error as &dyn std::error::Error,
                    "{} could not join its replicas; trying again", bus.service
                ),
            }
            sleep(JOIN_PAUSE).await;
        }
    }

    async fn try_to_join(
        bus: &Bus,
        roll: &Arc<Roll>,
        units: &[Unit],
        grace: Duration,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut connections = bus.connections.clone();
        connections.mark_unchanged();
        let bucket = Bucket::open(bus).await?;
        let id = MemberId::new(bus.unique());
        let joined = bucket.renew(&id, Standing::Staying, 0).await?;
        let member = Self {
            id,
            bucket,
            roll: Arc::clone(roll),
            units: units.to_vec(),
            grace,
            lease: Arc::new(Lease::renewed_at(joined.sent)),
            heartbeat: Heartbeat::begun(joined.revision, joined.sent),
            connections,
            sight: Sight::Blind,
            look_again_at: Instant::now() + LOOK_AGAIN_AFTER,
            seats: BTreeMap::new(),
            operations: FuturesUnordered::new(),
            tally: Tally::default(),
            is_gone: false,
        };
        member.look(Duration::ZERO);
        Ok(member)
    }

    /// Does what there is to do until `stop` and everything is given back, or the lease is lost.
    pub(crate) async fn run(mut self, stop: &CancellationToken) -> End {
        loop {
            if self.is_gone || !self.lease.holds_at(Instant::now()) {
                warn!(
                    "{} was fenced: its lease could not be renewed in time",
                    self.roll.group
                );
                return End::Fenced;
            }
            if self.has_left() {
                self.roll.leave();
                self.bucket.forget(&self.id).await;
                info!("{} left its replicas", self.roll.group);
                return End::Left;
            }
            self.renew_when_due();
            self.plan();
            self.tell();
            let wake = self.wakes_at();
            tokio::select! {
                () = sleep_until(wake) => {}
                Some(done) = self.operations.next() => self.hear(done),
                seen = self.sight.next() => {
                    let look = self.sight.take_in(self.roll.group, seen.as_ref());
                    self.looked(look);
                }
                Ok(()) = self.connections.changed() => self.connect_again(),
                () = stop.cancelled(), if !self.heartbeat.is_leaving() => self.heartbeat.leave(),
            }
        }
    }

    /// Whether we are to leave, have nothing any more and ask for nothing.
    fn has_left(&self) -> bool {
        let has_nothing = |view: &View| !view.holds_any(&self.id);
        self.heartbeat.is_leaving()
            && self.seats.is_empty()
            && self.sight.view().is_some_and(has_nothing)
    }

    fn wakes_at(&self) -> Instant {
        let now = Instant::now();
        let patience = self.patience();
        self.seats
            .values()
            .filter_map(|seat| plan::wakes_at(*seat, patience))
            .chain(self.heartbeat.wakes_at())
            .chain([self.look_again_at])
            // What is past and not yet done waits for an answer.
            .filter(|wake| *wake > now)
            .fold(self.lease.ends(), Instant::min)
    }

    fn patience(&self) -> Duration {
        let stops_within = self.heartbeat.is_leaving().then_some(self.grace);
        self.sight.view().map_or(self.grace, |view| {
            plan::patience(view, &self.id, stops_within)
        })
    }

    fn renew_when_due(&mut self) {
        let now = Instant::now();
        if let Some((standing, over)) = self.heartbeat.beat(now) {
            let (bucket, id) = (self.bucket.clone(), self.id.clone());
            self.begin(async move { Done::Renewed(bucket.renew(&id, standing, over).await) });
        }
        if self.look_again_at <= now {
            self.look(Duration::ZERO);
            self.look_again_at = now + LOOK_AGAIN_AFTER;
        }
    }

    fn plan(&mut self) {
        let now = Instant::now();
        self.seats
            .retain(|_, seat| !matches!(seat, Seat::Paused { until } if *until <= now));
        let (mut writes, mut claims) = (Vec::new(), Vec::new());
        for (unit, step) in self.steps(now) {
            match step {
                Step::Claim { over, cause } => {
                    self.seats.insert(unit, Seat::Asking);
                    let holder = Some(self.id.clone());
                    writes.push(Write::Claim(unit, cause));
                    claims.push(NewClaim { unit, holder, over });
                }
                Step::Release { over } => {
                    self.seats.insert(unit, Seat::Asking);
                    // Before it is given back: nobody may act when somebody else can.
                    self.roll.lose(unit);
                    let holder = None;
                    writes.push(Write::Release(unit));
                    claims.push(NewClaim { unit, holder, over });
                }
                Step::End => self.end(unit, now),
                Step::Lose => {
                    self.seats.remove(&unit);
                    self.roll.lose(unit);
                }
            }
        }
        if !claims.is_empty() {
            let (bucket, connection) = (self.bucket.clone(), *self.connections.borrow());
            self.begin(async move {
                let written = bucket.claim_all(claims).await;
                Done::Written(connection, writes.into_iter().zip(written).collect())
            });
        }
    }

    fn steps(&self, now: Instant) -> Vec<(Unit, Step)> {
        let Some(view) = self.sight.view() else {
            return Vec::new();
        };
        let wanted = if self.heartbeat.is_leaving() {
            // The others read so a moment later.
            BTreeSet::new()
        } else {
            plan::wanted_by(&self.id, view, &self.units)
        };
        let situation = Situation {
            view,
            me: &self.id,
            wanted: &wanted,
            patience: self.patience(),
            now,
        };
        self.units
            .iter()
            .filter_map(|unit| {
                let step = plan::next_step(&situation, *unit, self.seats.get(unit).copied())?;
                Some((*unit, step))
            })
            .collect()
    }

    fn end(&mut self, unit: Unit, since: Instant) {
        let Some(tenure) = self.roll.tenure(unit) else {
            return;
        };
        tenure.end();
        let ending = Seat::Ending {
            epoch: tenure.epoch(),
            since,
            is_idle: false,
        };
        self.seats.insert(unit, ending);
        let number = tenure.number();
        self.begin(async move {
            tenure.idle().await;
            Done::Idle(unit, number)
        });
    }

    fn hear(&mut self, done: Done) {
        let now = Instant::now();
        match done {
            Done::Renewed(Ok(renewed)) => {
                self.lease.extend(renewed.sent);
                self.heartbeat
                    .beaten(renewed.standing, renewed.revision, renewed.sent);
            }
            Done::Renewed(Err(WriteError::Refused)) => self.is_gone = true,
            Done::Renewed(Err(WriteError::Unknown(_))) => self.heartbeat.missed(now),
            Done::Looking(connection, watch) => self.begin_to_look(connection, watch),
            Done::Written(connection, written) => {
                for (write, result) in written {
                    self.written(connection, write, result, now);
                }
            }
            Done::Idle(unit, number) => {
                let is_this = |tenure: Tenure| tenure.number() == number;
                if let Some(Seat::Ending { is_idle, .. }) = self.seats.get_mut(&unit) {
                    *is_idle |= self.roll.tenure(unit).is_some_and(is_this);
                }
            }
        }
    }

    fn written(
        &mut self,
        connection: u64,
        write: Write,
        result: Result<u64, WriteError>,
        now: Instant,
    ) {
        match (write, result) {
            (Write::Claim(unit, cause), Ok(revision)) => {
                self.learn(unit, Some(self.id.clone()), revision);
                self.claimed(unit, connection, cause, revision);
            }
            (Write::Claim(unit, _), Err(_)) => {
                let until = now + PAUSE;
                let again = match self.roll.tenure(unit) {
                    Some(tenure) => Seat::Stale {
                        epoch: tenure.epoch(),
                        not_before: until,
                    },
                    None => Seat::Paused { until },
                };
                self.seats.insert(unit, again);
            }
            (Write::Release(unit), Ok(revision)) => {
                self.learn(unit, None, revision);
                self.seats.remove(&unit);
                self.tally.handed_over += 1;
            }
            (Write::Release(unit), Err(_)) => {
                self.seats.insert(unit, Seat::Paused { until: now + PAUSE });
            }
        }
    }

    fn claimed(&mut self, unit: Unit, connection: u64, cause: Cause, epoch: u64) {
        if connection != *self.connections.borrow() {
            let not_before = Instant::now();
            self.seats.insert(unit, Seat::Stale { epoch, not_before });
            return;
        }
        counter!("claw_takeovers_total", "group" => self.roll.group, "cause" => cause.as_str())
            .increment(1);
        self.roll.begin(unit, epoch, &self.lease);
        self.seats.insert(unit, Seat::Held { epoch });
        self.tally.taken += 1;
    }

    fn learn(&mut self, unit: Unit, holder: Option<MemberId>, revision: u64) {
        self.sight
            .learn(Change::Claim(unit, Claim { holder, revision }));
    }

    /// Begins to read the bucket, after a pause.
    fn look(&self, pause: Duration) {
        let (bucket, connection) = (self.bucket.clone(), *self.connections.borrow());
        self.begin(async move {
            sleep(pause).await;
            Done::Looking(connection, bucket.watch().await)
        });
    }

    fn begin_to_look(&mut self, connection: u64, watch: Result<Box<Watch>, BusError>) {
        if connection != *self.connections.borrow() {
            return; // Another one is being begun.
        }
        match watch {
            Ok(watch) => self.sight = Sight::Reading(watch, View::default()),
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "{} could not look at its replicas; trying again", self.roll.group
                );
                self.look(PAUSE);
            }
        }
    }

    fn looked(&mut self, look: Look) {
        match look {
            Look::More => {}
            Look::Over => self.look(PAUSE),
            Look::Whole if self.roll.has_joined() => {}
            Look::Whole => {
                self.roll.join();
                let replicas = self.sight.view().map_or(0, |view| view.staying().count());
                info!(
                    "{} joined as {}: replicas now: {replicas}",
                    self.roll.group,
                    self.id.as_str()
                );
            }
        }
    }

    /// A new connection: what was on its way over the old one is lost. Look again, and claim again
    /// what is ours, so that it is asked for again under a new epoch.
    fn connect_again(&mut self) {
        self.sight = Sight::Blind;
        self.look(Duration::ZERO);
        let not_before = Instant::now();
        for seat in self.seats.values_mut() {
            if let Seat::Held { epoch } = *seat {
                *seat = Seat::Stale { epoch, not_before };
            }
        }
    }

    fn begin(&self, operation: impl Future<Output = Done> + Send + 'static) {
        self.operations.push(Box::pin(operation));
    }

    /// Says how much changed hands, once it is settled.
    fn tell(&mut self) {
        if self.seats.values().any(|seat| *seat == Seat::Asking) {
            return;
        }
        let Tally { taken, handed_over } = std::mem::take(&mut self.tally);
        let (group, owned) = (self.roll.group, self.roll.holdings());
        if taken > 0 {
            info!("{group} took over {taken}, has {owned}");
        }
        if handed_over > 0 {
            info!("{group} handed over {handed_over}, has {owned}");
        }
    }
}

/// However a membership ends, an aborted task included, nothing is ours after it.
impl Drop for Member {
    fn drop(&mut self) {
        self.roll.leave();
    }
}
