use std::fmt;

use anyhow::Result;
use claw_bus::{OperatorEvents, ToldEvent};
use claw_events::OperatorEvent;
use claw_runtime::Env;
use serde::Serialize;

use crate::{
    arguments::ListEvents,
    bus,
    output::{remark, rfc3339},
};

/// Prints the newest operator events and, if asked to, each later one.
pub(crate) async fn list(env: &Env, command: ListEvents) -> Result<()> {
    let format = command.output.format();
    let kind = command.kind.as_deref();
    let events = OperatorEvents::open(&bus::connect(env).await?).await?;
    let newest = events.newest(kind, command.limit).await?;
    for told in &newest.events {
        format.print(&EventLine::from(told))?;
    }
    let left_out = newest.total - newest.events.len();
    if left_out > 0 {
        remark(format_args!(
            "{left_out} older events are not listed, see --limit"
        ))?;
    }
    if command.follow {
        let print = |told: ToldEvent| format.print(&EventLine::from(&told));
        return events.follow(kind, newest.next, print).await;
    }
    if newest.total == 0 {
        remark("no operator event is stored")?;
    }
    Ok(())
}

/// One operator event.
#[derive(Serialize)]
struct EventLine<'a> {
    sequence: u64,
    time: String,
    service: &'a str,
    kind: &'a str,
    text: String,
    event: Option<&'a OperatorEvent>,
}

impl<'a> From<&'a ToldEvent> for EventLine<'a> {
    fn from(told: &'a ToldEvent) -> Self {
        Self {
            sequence: told.sequence,
            time: rfc3339(told.time),
            service: &told.service,
            kind: &told.kind,
            text: told.event.as_ref().map_or_else(
                || "this version of clawkaka cannot read the event".to_owned(),
                ToString::to_string,
            ),
            event: told.event.as_ref(),
        }
    }
}

impl fmt::Display for EventLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}  {:<11}  {}: {}",
            self.time, self.service, self.kind, self.text
        )
    }
}
