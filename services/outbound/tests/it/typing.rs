use claw_domain::Wamid;
use claw_testkit::eventually;

use crate::world::{LONG_TIMEOUTS, World};

#[tokio::test]
async fn a_message_in_progress_is_marked_as_read() {
    let world = World::new().await;
    let _outbound = world.outbound(LONG_TIMEOUTS).await;
    let wamid = Wamid::new("wamid.question");

    eventually("the message is marked", async || {
        // A signal from before the subscription is lost, so it is repeated.
        world.signal_typing(&wamid).await;
        world.whatsapp.marked_read().contains(&wamid)
    })
    .await;
}
