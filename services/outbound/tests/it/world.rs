use std::{net::SocketAddr, num::NonZeroU32, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use claw_bus::{Bus, BusConfig, Publisher};
use claw_calls::LiveCalls;
use claw_domain::{
    Address, Channel, DeliveryId, DeliveryState, MessageId, PhoneNumber, ReplyId, ReplySource,
    UserId, Wamid,
};
use claw_events::{DeliveryReported, Event, ReplyProduced, ReportedError, SuspensionChanged};
use claw_store::{AccessList, Delivery, Entrance, InboundMessage, Newcomer, Store};
use claw_suspensions::SuspensionView;
use claw_testkit::{TestNats, TestPostgres, eventually, user_of};
use claw_whatsapp::{
    fake::FakeWhatsApp,
    send::{CloudApiConfig, Template, WhatsApp},
};
use futures_util::StreamExt;
use outbound::{App, Config, DeliverReply, PieceSender, RateLimiter, Reports, Timeouts};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};

/// A wait that outlasts every test.
pub const LONG: Duration = Duration::from_hours(1);
/// A wait that tests can afford.
pub const SHORT: Duration = Duration::from_millis(200);

pub const LONG_TIMEOUTS: Timeouts = Timeouts {
    outcome: LONG,
    catching_up: LONG,
    arrival: LONG,
};
pub const SHORT_TIMEOUTS: Timeouts = Timeouts {
    outcome: SHORT,
    catching_up: SHORT,
    arrival: SHORT,
};

/// A bus, a database with one user, Ada, and a fake WhatsApp.
pub struct World {
    pub nats: TestNats,
    pub postgres: Arc<TestPostgres>,
    pub store: Store,
    pub whatsapp: Arc<FakeWhatsApp>,
    pub ada: Address,
    /// The template that outbound is configured with.
    pub template: Option<Template>,
    admin: Bus,
    pub gateway: Publisher,
    ingress: Publisher,
}

impl World {
    pub async fn new() -> Self {
        let nats = TestNats::start().await.unwrap();
        let postgres = Arc::new(TestPostgres::start().await.unwrap());
        let url = postgres.url().into();
        claw_store::migrate(&url, &[], Duration::from_secs(10))
            .await
            .unwrap();
        let store = Store::connect(&url, 4).await.unwrap();
        let admin = connect(&nats, "admin").await;
        claw_bus::ensure(&admin).await.unwrap();
        let world = Self {
            gateway: connect(&nats, "gateway").await.publisher(),
            ingress: connect(&nats, "ingress").await.publisher(),
            ada: Address::Phone(PhoneNumber::try_from("15550000001").unwrap()),
            whatsapp: Arc::default(),
            template: None,
            nats,
            postgres,
            store,
            admin,
        };
        world.introduce().await;
        world
    }

    /// Starts outbound with the fake WhatsApp.
    pub async fn outbound(&self, timeouts: Timeouts) -> Outbound {
        let whatsapp: Arc<FakeWhatsApp> = Arc::clone(&self.whatsapp);
        self.outbound_with(whatsapp, timeouts).await
    }

    /// Starts outbound with this implementation of WhatsApp.
    pub async fn outbound_with(&self, whatsapp: Arc<dyn WhatsApp>, timeouts: Timeouts) -> Outbound {
        let app = App::build_with(self.config(), whatsapp, timeouts)
            .await
            .unwrap();
        let address = app.address().unwrap();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(app.run_until_stopped(async {
            let _ = stopped.await;
        }));
        Outbound {
            address,
            stop: Some(stop),
            running,
        }
    }

    /// The handler without a consumer, for tests that call it directly.
    pub async fn deliver_reply(&self) -> DeliverReply {
        let rate = NonZeroU32::new(1_000).unwrap();
        self.deliver_reply_with(RateLimiter::new(rate, Instant::now()))
            .await
    }

    pub async fn deliver_reply_with(&self, rate_limiter: RateLimiter) -> DeliverReply {
        let bus = connect(&self.nats, "outbound").await;
        let sender = PieceSender::new(
            bus.clone(),
            self.store.deliveries(),
            Arc::clone(&self.whatsapp) as Arc<dyn WhatsApp>,
            Arc::new(rate_limiter),
            Reports::default(),
            Arc::new(claw_runtime::SystemClock),
            SHORT_TIMEOUTS,
            SuspensionView::read(&self.store).await.unwrap(),
        );
        let live_calls = LiveCalls::open(&bus).await.unwrap();
        DeliverReply::new(sender, bus.publisher(), live_calls, self.template.clone())
    }

    pub async fn live_calls(&self) -> LiveCalls {
        LiveCalls::open(&connect(&self.nats, "outbound").await)
            .await
            .unwrap()
    }

    /// A reply to Ada that is not published.
    pub fn reply(&self, text: &str) -> ReplyProduced {
        ReplyProduced {
            id: ReplyId::derived_from(text),
            user: user_of(&self.ada),
            cause: None,
            source: ReplySource::Chat,
            channel: Channel::WhatsApp,
            text: text.into(),
        }
    }

    /// Publishes a reply to Ada.
    pub async fn say(&self, text: &str) -> ReplyProduced {
        let reply = self.reply(text);
        self.gateway.publish(&reply).await.unwrap();
        reply
    }

    /// Publishes a delivery report on an accepted message.
    pub async fn report(
        &self,
        message: &claw_whatsapp::fake::AcceptedMessage,
        state: DeliveryState,
    ) {
        self.report_with(message, state, None).await;
    }

    pub async fn report_with(
        &self,
        message: &claw_whatsapp::fake::AcceptedMessage,
        state: DeliveryState,
        code: Option<i64>,
    ) {
        self.report_status(message, Some(state), code).await;
    }

    /// Publishes a report on an accepted message; `None` is a status that outbound does not know.
    pub async fn report_status(
        &self,
        message: &claw_whatsapp::fake::AcceptedMessage,
        state: Option<DeliveryState>,
        code: Option<i64>,
    ) {
        let report = DeliveryReported {
            user: user_of(&self.ada),
            wamid: message.wamid.clone(),
            delivery: Some(message.tracker),
            state,
            status: state.map_or("new", DeliveryState::as_str).to_owned(),
            at: now(),
            error: code.map(|code| ReportedError { code, title: None }),
        };
        self.ingress.publish(&report).await.unwrap();
    }

    pub async fn signal_typing(&self, wamid: &Wamid) {
        let signal = claw_events::TypingStarted {
            user: user_of(&self.ada),
            wamid: wamid.clone(),
        };
        self.gateway.signal(&signal).await;
    }

    /// Suspends Ada, or everybody, without telling outbound.
    pub async fn suspend(&self, whom: Whom) {
        let suspensions = self.store.suspensions();
        match whom {
            Whom::Ada => {
                let suspended = suspensions
                    .suspend(user_of(&self.ada), "abuse", now())
                    .await;
                assert!(suspended.unwrap().is_some());
            }
            Whom::Everybody => drop(suspensions.suspend_all("incident", now()).await.unwrap()),
        }
    }

    /// Puts Ada on the block list, without telling outbound.
    pub async fn block_ada(&self) {
        let (lists, ada) = (self.store.access_lists(), user_of(&self.ada));
        let put = lists.put(ada, AccessList::Block, "", now());
        put.await.unwrap();
    }

    /// Ends a suspension, and tells outbound as the operator's command does.
    pub async fn resume(&self, whom: Whom) {
        let suspensions = self.store.suspensions();
        match whom {
            Whom::Ada => drop(suspensions.resume(user_of(&self.ada)).await.unwrap()),
            Whom::Everybody => drop(suspensions.resume_all().await.unwrap()),
        }
        self.tell_of_suspension(whom).await;
    }

    pub async fn tell_of_suspension(&self, whom: Whom) {
        let changed = SuspensionChanged {
            user: (whom == Whom::Ada).then(|| user_of(&self.ada)),
            resumed_because: None,
        };
        self.admin.publisher().signal(&changed).await;
    }

    /// The events of this type that are published from now on.
    pub async fn watch<E: Event>(&self) -> mpsc::UnboundedReceiver<E> {
        let mut events = Box::pin(self.admin.watch::<E>().await.unwrap());
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let _ = sender.send(event);
            }
        });
        receiver
    }

    pub async fn piece(&self, reply: &ReplyProduced, index: u32) -> Option<Delivery> {
        let id = DeliveryId::derived_from(&format!("{}:{index}", reply.id));
        self.store.deliveries().get(id).await.unwrap()
    }

    pub async fn piece_becomes(&self, reply: &ReplyProduced, index: u32, state: DeliveryState) {
        eventually(&format!("piece {index} becomes {state:?}"), async || {
            self.piece(reply, index)
                .await
                .is_some_and(|piece| piece.state == state)
        })
        .await;
    }

    /// Waits until WhatsApp has got exactly this many sends, successful or not.
    pub async fn attempted(&self, count: usize) {
        eventually(&format!("{count} attempts to send"), async || {
            self.whatsapp.attempts() >= count
        })
        .await;
        assert_eq!(self.whatsapp.attempts(), count);
    }

    fn config(&self) -> Config {
        Config {
            health: SocketAddr::from(([127, 0, 0, 1], 0)),
            nats_url: self.nats.url("outbound").into(),
            database_url: self.postgres.url_of("outbound").into(),
            whatsapp: CloudApiConfig {
                base_url: "http://127.0.0.1:1".into(),
                phone_number_id: "1055".into(),
                access_token: "unused".into(),
            },
            template: self.template.clone(),
            messages_per_second: NonZeroU32::new(1_000).unwrap(),
            grace: Duration::from_secs(10),
        }
    }

    /// Stores Ada's first message, which makes her a user.
    async fn introduce(&self) {
        let hello = InboundMessage {
            id: MessageId::derived_from("hello"),
            user: user_of(&self.ada),
            address: self.ada.clone(),
            wa_user_id: None,
            name: None,
            wamid: Wamid::new("wamid.hello"),
            content_kind: "text".into(),
            content: "hello".into(),
            sent_at: now(),
            now: now(),
            sequence: 1,
            needs_answer: true,
            is_replay: false,
        };
        let newcomer = Newcomer {
            user: hello.user,
            address: hello.address.clone(),
            wa_user_id: None,
        };
        let newcomers = self.store.newcomers();
        let admitted = newcomers.admit(&newcomer, Entrance::Listed, now());
        assert!(admitted.await.unwrap());
        self.store.messages().receive(&hello).await.unwrap();
    }
}

/// Whom a test suspends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    Ada,
    Everybody,
}

/// A running outbound. Dropping it aborts it.
pub struct Outbound {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Outbound {
    /// Aborts outbound, as `kill -9` would.
    pub async fn crash(mut self) {
        self.running.abort();
        let _ = (&mut self.running).await;
    }

    /// Stops outbound, as SIGTERM would.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let _ = self.stop.take().unwrap().send(());
        (&mut self.running).await.unwrap()
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.running.abort();
    }
}

pub async fn next<E>(events: &mut mpsc::UnboundedReceiver<E>) -> E {
    let event = tokio::time::timeout(Duration::from_secs(20), events.recv()).await;
    event.expect("an event within 20 s").unwrap()
}

pub fn unknown_user() -> UserId {
    claw_testkit::user("unknown")
}

pub async fn connect(nats: &TestNats, service: &'static str) -> Bus {
    Bus::connect(&BusConfig {
        url: nats.url(service).into(),
        service,
    })
    .await
    .unwrap()
}

fn now() -> DateTime<Utc> {
    use claw_runtime::Clock;
    claw_runtime::SystemClock.now()
}
