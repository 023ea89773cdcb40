use chrono::{DateTime, Utc};
use claw_domain::UserId;
use claw_events::Event;

use crate::{Bus, BusError, StreamHistory};

impl Bus {
    /// The events of this type about `user` that were stored since then, oldest first, whether handled or not.
    /// Several round trips: not for every message.
    pub async fn stored<E: Event>(
        &self,
        user: UserId,
        since: DateTime<Utc>,
    ) -> Result<Vec<E>, BusError> {
        let history = StreamHistory::open(self, E::STREAM).await?;
        let mut events = Vec::new();
        history
            .visit_since(user, since, |event| events.push(event))
            .await?;
        Ok(events)
    }
}
