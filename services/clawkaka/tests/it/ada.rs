//! A world with one user.

use std::time::Duration;

use claw_domain::{Address, PhoneNumber};
use claw_runtime::{Clock, SystemClock};
use claw_store::{Entrance, Newcomer, Store};
use claw_testkit::{TestNats, TestPostgres, user_of};

use crate::world::{Ran, run};

const ADA: &str = "+15550000001";

/// A database with one user, Ada, and a NATS server.
pub struct World {
    pub nats: TestNats,
    pub store: Store,
    postgres: TestPostgres,
}

impl World {
    pub async fn new() -> Self {
        let (nats, postgres) = tokio::join!(TestNats::start(), TestPostgres::start());
        let (nats, postgres) = (nats.unwrap(), postgres.unwrap());
        let url = postgres.url().into();
        claw_store::migrate(&url, &[], Duration::from_secs(10))
            .await
            .unwrap();
        let store = Store::connect(&url, 2).await.unwrap();
        let newcomer = Newcomer {
            user: user_of(&ada()),
            address: ada(),
            wa_user_id: None,
        };
        let newcomers = store.newcomers();
        let admitted = newcomers.admit(&newcomer, Entrance::Listed, SystemClock.now());
        assert!(admitted.await.unwrap());
        Self {
            nats,
            store,
            postgres,
        }
    }

    pub async fn run(&self, line: &str) -> Ran {
        let (nats, postgres) = (self.nats.url("admin"), self.postgres.url());
        run(line, &[("NATS_URL", &nats), ("DATABASE_URL", &postgres)]).await
    }
}

pub fn ada() -> Address {
    Address::Phone(PhoneNumber::try_from(ADA).unwrap())
}
