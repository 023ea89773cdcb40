use async_nats::jetstream::{
    self,
    kv::{Operation, Store},
};
use claw_bus::Unit;
use claw_events::PARTITIONS;
use futures_util::TryStreamExt;

use crate::world::{Replica, World};

/// The leases and claims of one service in the bucket `OWN`.
pub struct Owners {
    bucket: Store,
    service: &'static str,
}

impl Owners {
    pub async fn of(world: &World, service: &'static str) -> Self {
        let jetstream = jetstream::new(world.client(service).await);
        Self {
            bucket: jetstream.get_key_value("OWN").await.unwrap(),
            service,
        }
    }

    /// The id of a replica that holds at least one unit.
    pub async fn id_of(&self, replica: &Replica) -> String {
        for tenure in replica.tenures() {
            let holder = self.holder_of(tenure.unit()).await;
            // A tenure ends before its unit is released, so this claim was the replica's own when it was read.
            if !tenure.ending().is_cancelled() {
                return holder.unwrap();
            }
        }
        panic!("the replica holds no unit");
    }

    /// The id of the replica that holds `unit`; `None` if the unit is released.
    pub async fn holder_of(&self, unit: Unit) -> Option<String> {
        let value = self.bucket.get(self.unit_key(unit)).await.unwrap()?;
        let id = String::from_utf8(value.to_vec()).unwrap();
        (!id.is_empty()).then_some(id)
    }

    /// The holder of each partition that is not released.
    pub async fn holders(&self) -> Vec<String> {
        let mut holders = Vec::new();
        for partition in 0..PARTITIONS {
            holders.extend(self.holder_of(Unit::Partition(partition)).await);
        }
        holders
    }

    /// The ids of the replicas whose leases have neither expired nor been released.
    pub async fn members(&self) -> Vec<String> {
        let prefix = self.member_key("");
        let keys = self.bucket.keys().await.unwrap();
        let keys: Vec<String> = keys.try_collect().await.unwrap();
        keys.iter()
            .filter_map(|key| key.strip_prefix(&prefix))
            .map(str::to_owned)
            .collect()
    }

    /// The revision of the latest claim or release of `unit`. Revisions of all keys have one order.
    pub async fn claimed_at(&self, unit: Unit) -> u64 {
        let entry = self.bucket.entry(self.unit_key(unit)).await;
        entry.unwrap().unwrap().revision
    }

    /// The revision at which the lease of a replica expired or was released; `None` while the lease is valid.
    pub async fn lease_ended_at(&self, id: &str) -> Option<u64> {
        let entry = self.bucket.entry(self.member_key(id)).await.unwrap();
        let ended = entry.filter(|entry| entry.operation != Operation::Put);
        ended.map(|entry| entry.revision)
    }

    fn unit_key(&self, unit: Unit) -> String {
        format!("{}.u.{unit}", self.service)
    }

    fn member_key(&self, id: &str) -> String {
        format!("{}.m.{id}", self.service)
    }
}
