use claw_domain::Wamid;
use claw_testkit::eventually;

use crate::world::{PATIENT, World};

#[tokio::test]
async fn a_message_at_work_is_shown_as_read() {
    let world = World::new().await;
    let _outbound = world.outbound(PATIENT).await;
    let wamid = Wamid::new("wamid.question");

    eventually("the message is marked", async || {
        // Nobody hears a signal before listening has begun, so it is given again.
        world.signal_typing(&wamid).await;
        world.phone.read().contains(&wamid)
    })
    .await;
}
