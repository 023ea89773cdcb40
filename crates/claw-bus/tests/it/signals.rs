use std::pin::pin;

use claw_domain::CallId;
use claw_events::{CallInterrupted, SpeechStreamed};
use futures_util::StreamExt;

use crate::world::{World, connect};

#[tokio::test]
async fn a_signal_reaches_the_listeners_of_its_call_and_of_all_calls() {
    let world = World::new().await;
    let ingress = connect(&world.nats, "ingress").await;
    let call = CallId::derived_from("CA1");
    let about = call.to_string();
    let pieces = ingress.hear_signals::<SpeechStreamed>(Some(&about)).await;
    let interrupts = world.gateway.hear_signals::<CallInterrupted>(None).await;
    let (mut pieces, mut interrupts) = (pin!(pieces.unwrap()), pin!(interrupts.unwrap()));
    let piece = SpeechStreamed {
        call,
        turn: 1,
        offset: 0,
        text: "Two".into(),
    };
    let elsewhere = SpeechStreamed {
        call: CallId::derived_from("CA2"),
        ..piece.clone()
    };
    let interrupt = CallInterrupted {
        user: claw_testkit::user("ada"),
        call,
        turn: 1,
    };

    // After a round trip the server knows the subscriptions.
    assert!(ingress.is_ready().await && world.gateway.is_ready().await);
    world.gateway.publisher().signal(&elsewhere).await;
    world.gateway.publisher().signal(&piece).await;
    ingress.publisher().signal(&interrupt).await;

    assert_eq!(pieces.next().await, Some(piece));
    assert_eq!(interrupts.next().await, Some(interrupt));
}
