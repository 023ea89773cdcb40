use claw_domain::{DeliveryId, DeliveryState, ReplyId, UserId, Wamid};
use claw_store::{Caller, Deliveries, Delivery, OutgoingReply, VoiceMessage, WhileSuspended::Hold};
use claw_testkit::user_of;
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::task::JoinSet;

use crate::world::{World, address, at, phone, speech};

#[tokio::test]
async fn the_first_begin_claims_the_first_piece_and_a_second_begin_finds_it_claimed() {
    let world = World::new().await;
    let user = world.user(1).await;
    let deliveries = world.store.deliveries();

    let first = begin(&deliveries, user, "r", 3).await;
    let second = begin(&deliveries, user, "r", 3).await;

    assert!(first.claimed_first && !second.claimed_first);
    assert_eq!(first.pieces, second.pieces);
    assert_eq!(first.address, address(1));
    let states: Vec<_> = first
        .pieces
        .iter()
        .map(|piece| (piece.index, piece.state, piece.attempts))
        .collect();
    assert_eq!(
        states,
        [
            (0, DeliveryState::Sending, 1),
            (1, DeliveryState::Pending, 0),
            (2, DeliveryState::Pending, 0)
        ]
    );
    assert_eq!(
        first.pieces[1].id,
        DeliveryId::derived_from(&format!("{}:1", ReplyId::derived_from("r")))
    );
}

#[tokio::test]
async fn begin_returns_the_time_of_the_users_last_message() {
    let world = World::new().await;
    let writer = world.user(1).await;
    let caller = VoiceMessage {
        caller: Caller::Welcomed {
            phone: phone(2),
            wants_template: true,
        },
        ..speech(2, 5)
    };
    let messages = world.store.messages();
    messages.receive_voice(&caller).await.unwrap();
    let deliveries = world.store.deliveries();

    let to_writer = begin(&deliveries, writer, "w", 1).await;
    let to_caller = begin(&deliveries, caller.user, "c", 1).await;

    assert_eq!(to_writer.last_written_at, Some(at(0)));
    assert_eq!(to_caller.last_written_at, None);
}

#[tokio::test]
async fn nothing_is_begun_for_a_user_who_has_only_called_and_asked_for_no_message() {
    let world = World::new().await;
    let messages = world.store.messages();
    for (number, wants_template) in [(1, false), (2, true)] {
        let welcomed = VoiceMessage {
            caller: Caller::Welcomed {
                phone: phone(number),
                wants_template,
            },
            ..speech(number, 0)
        };
        messages.receive_voice(&welcomed).await.unwrap();
        let profile = world.store.users().profile(welcomed.user).await.unwrap();
        let profile = profile.unwrap();
        assert_eq!(
            (profile.last_written_at, profile.has_chat),
            (None, wants_template)
        );

        let begun = begin(&world.store.deliveries(), welcomed.user, "r", 2).await;

        let pieces = if wants_template { 2 } else { 0 };
        assert_eq!(
            (begun.has_chat, begun.pieces.len()),
            (wants_template, pieces)
        );
    }
    assert_eq!(world.count("delivery").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_concurrent_calls_claims_the_first_piece_and_all_see_every_piece() {
    let world = World::new().await;
    let user = world.user(1).await;
    for round in 0..5 {
        let mut calls = JoinSet::new();
        for _ in 0..40 {
            let deliveries = world.store.deliveries();
            calls.spawn(async move { begin(&deliveries, user, &format!("r{round}"), 4).await });
        }

        let answers = calls.join_all().await;

        assert_eq!(
            answers.iter().filter(|answer| answer.claimed_first).count(),
            1
        );
        assert!(answers.iter().all(|answer| answer.pieces.len() == 4));
    }
}

#[tokio::test]
async fn no_delivery_begins_for_an_unknown_user() {
    let world = World::new().await;
    let stranger = user_of(&address(9));

    let begun = world
        .store
        .deliveries()
        .begin(stranger, ReplyId::derived_from("r"), 1, true, Hold, at(1))
        .await
        .unwrap();

    assert!(begun.is_none());
    assert_eq!(world.count("delivery").await, 0);
}

#[tokio::test]
async fn the_answer_to_a_send_does_not_undo_a_report_that_arrived_before_it() {
    let world = World::new().await;
    let user = world.user(1).await;
    let deliveries = world.store.deliveries();
    let piece = begin(&deliveries, user, "r", 1).await.pieces[0].clone();
    let wamid = Wamid::new("wamid.out");

    let reported = deliveries
        .report(
            Some(piece.id),
            &wamid,
            DeliveryState::Delivered,
            None,
            at(2),
        )
        .await
        .unwrap()
        .unwrap();
    deliveries
        .mark_accepted(piece.id, &wamid, at(3))
        .await
        .unwrap();
    deliveries
        .mark_failed(piece.id, Some(1), at(4))
        .await
        .unwrap();
    deliveries.mark_pending(&piece, at(5)).await.unwrap();

    assert_eq!(
        (reported.user, reported.reply),
        (user, ReplyId::derived_from("r"))
    );
    assert!(
        !mark_sending(&deliveries, &piece, 6).await,
        "the piece would be sent twice"
    );
    let after = get(&deliveries, piece.id).await;
    assert_eq!(
        (after.state, after.wamid, after.error_code),
        (DeliveryState::Delivered, Some(wamid), None)
    );
}

#[tokio::test]
async fn a_report_without_our_id_is_matched_by_whatsapps_id_and_an_unknown_one_matches_nothing() {
    let world = World::new().await;
    let user = world.user(1).await;
    let deliveries = world.store.deliveries();
    let piece = begin(&deliveries, user, "r", 1).await.pieces[0].clone();
    let wamid = Wamid::new("wamid.out");
    deliveries
        .mark_accepted(piece.id, &wamid, at(2))
        .await
        .unwrap();
    let stranger = DeliveryId::derived_from("not ours");

    for id in [None, Some(stranger)] {
        let reported = deliveries
            .report(id, &wamid, DeliveryState::Read, None, at(3))
            .await
            .unwrap();
        assert_eq!(reported.map(|reported| reported.id), Some(piece.id));
    }
    let unknown = Wamid::new("wamid.other");
    let reported = deliveries
        .report(Some(stranger), &unknown, DeliveryState::Read, None, at(3))
        .await
        .unwrap();
    assert_eq!(reported, None);
}

#[tokio::test]
async fn a_failure_keeps_its_code_until_the_message_is_reported_as_delivered() {
    let world = World::new().await;
    let user = world.user(1).await;
    let deliveries = world.store.deliveries();
    let piece = begin(&deliveries, user, "r", 1).await.pieces[0].clone();
    let wamid = Wamid::new("wamid.out");

    deliveries
        .report(
            Some(piece.id),
            &wamid,
            DeliveryState::Failed,
            Some(131_047),
            at(2),
        )
        .await
        .unwrap();
    deliveries
        .report(Some(piece.id), &wamid, DeliveryState::Sent, None, at(3))
        .await
        .unwrap();

    let failed = get(&deliveries, piece.id).await;
    assert_eq!(
        (failed.state, failed.error_code),
        (DeliveryState::Failed, Some(131_047))
    );
    let delivered = deliveries
        .report(
            Some(piece.id),
            &wamid,
            DeliveryState::Delivered,
            None,
            at(4),
        )
        .await
        .unwrap()
        .unwrap();
    assert_eq!(delivered.state, DeliveryState::Delivered);
}

#[tokio::test]
async fn a_piece_that_certainly_was_not_sent_may_be_sent_again() {
    let world = World::new().await;
    let user = world.user(1).await;
    let deliveries = world.store.deliveries();
    let piece = begin(&deliveries, user, "r", 1).await.pieces[0].clone();

    deliveries.mark_pending(&piece, at(2)).await.unwrap();
    let waiting = get(&deliveries, piece.id).await;
    let may_send = mark_sending(&deliveries, &waiting, 3).await;

    assert_eq!(
        (waiting.state, waiting.sending_since),
        (DeliveryState::Pending, None)
    );
    assert!(may_send);
    let sending = get(&deliveries, piece.id).await;
    assert_eq!((sending.attempts, sending.sending_since), (2, Some(at(3))));
}

#[tokio::test]
async fn a_replica_sends_nothing_and_undoes_nothing_after_another_has_begun_to_send() {
    let world = World::new().await;
    let user = world.user(1).await;
    let deliveries = world.store.deliveries();
    let of_first = begin(&deliveries, user, "r", 1).await.pieces[0].clone();
    deliveries.mark_pending(&of_first, at(2)).await.unwrap();
    let mut of_second = get(&deliveries, of_first.id).await;
    let of_third = of_second.clone();
    assert!(
        deliveries
            .mark_sending(&mut of_second, Hold, at(3))
            .await
            .unwrap()
    );

    deliveries.mark_pending(&of_first, at(4)).await.unwrap();
    deliveries.mark_pending(&of_third, at(4)).await.unwrap();

    assert!(!mark_sending(&deliveries, &of_first, 5).await);
    assert!(!mark_sending(&deliveries, &of_third, 5).await);
    assert_eq!(get(&deliveries, of_first.id).await, of_second);
}

#[tokio::test]
async fn a_template_settles_the_other_pieces_if_its_own_is_still_claimed() {
    let world = World::new().await;
    let user = world.user(1).await;
    let deliveries = world.store.deliveries();
    let begun = begin(&deliveries, user, "r", 3).await;
    let ids: Vec<_> = begun.pieces.iter().map(|piece| piece.id).collect();
    let lapsed = Delivery {
        attempts: 0,
        ..begun.pieces[0].clone()
    };

    let marked = deliveries.mark_in_template(&lapsed, &ids[1..], at(2));
    marked.await.unwrap();
    assert!(!begin(&deliveries, user, "r", 3).await.is_in_template());
    let marked = deliveries.mark_in_template(&begun.pieces[0], &ids[1..], at(2));
    marked.await.unwrap();
    // Refused: the template is sent again later, and the other pieces are still not.
    deliveries
        .mark_pending(&begun.pieces[0], at(3))
        .await
        .unwrap();

    let again = begin(&deliveries, user, "r", 3).await;
    let states: Vec<_> = again.pieces.iter().map(|piece| piece.state).collect();
    let (pending, settled) = (DeliveryState::Pending, DeliveryState::Accepted);
    assert_eq!(states, [pending, settled, settled]);
    assert!(again.is_in_template() && !begun.is_in_template());
    assert!(!mark_sending(&deliveries, &again.pieces[1], 4).await);
}

#[tokio::test]
async fn a_delivery_may_begin_without_a_claim() {
    let world = World::new().await;
    let user = world.user(1).await;
    let deliveries = world.store.deliveries();
    let reply = ReplyId::derived_from("r");

    let begun = deliveries.begin(user, reply, 1, false, Hold, at(1)).await;

    let begun = begun.unwrap().unwrap();
    assert!(!begun.claimed_first);
    assert_eq!(begun.pieces[0].state, DeliveryState::Pending);
    assert!(mark_sending(&deliveries, &begun.pieces[0], 2).await);
}

#[test]
fn reports_in_any_order_end_in_the_state_that_the_domain_computes() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::with_connections(2));
    let user = runtime.block_on(world.user(1));
    let states = prop::sample::select(DeliveryState::ALL);
    let reports = (
        any::<u64>(),
        prop::collection::vec((states, any::<bool>()), 1..12),
    );

    TestRunner::new(ProptestConfig::with_cases(40))
        .run(&reports, |(reply, reports)| {
            runtime.block_on(report_all(&world.store.deliveries(), user, reply, &reports));
            Ok(())
        })
        .unwrap();
}

/// Reports some states by our id and others by WhatsApp's, and calls `mark_accepted` halfway.
async fn report_all(
    deliveries: &Deliveries,
    user: UserId,
    reply: u64,
    reports: &[(DeliveryState, bool)],
) {
    let piece = begin(deliveries, user, &reply.to_string(), 1).await.pieces[0].clone();
    let wamid = Wamid::new(format!("wamid.{reply}"));
    let mut expected = piece.state;
    for (n, (state, by_our_id)) in reports.iter().enumerate() {
        if n == reports.len() / 2 {
            deliveries
                .mark_accepted(piece.id, &wamid, at(1))
                .await
                .unwrap();
            expected = expected.advanced_by(DeliveryState::Accepted);
        }
        let id = (*by_our_id || n < reports.len() / 2).then_some(piece.id);
        let reported = deliveries
            .report(id, &wamid, *state, None, at(2))
            .await
            .unwrap()
            .unwrap();
        expected = expected.advanced_by(*state);
        assert_eq!(reported.state, expected);
    }
}

async fn begin(deliveries: &Deliveries, user: UserId, reply: &str, pieces: u32) -> OutgoingReply {
    deliveries
        .begin(
            user,
            ReplyId::derived_from(reply),
            pieces,
            true,
            Hold,
            at(1),
        )
        .await
        .unwrap()
        .unwrap()
}

async fn mark_sending(deliveries: &Deliveries, read: &Delivery, seconds: i64) -> bool {
    let mut piece = read.clone();
    deliveries
        .mark_sending(&mut piece, Hold, at(seconds))
        .await
        .unwrap()
}

async fn get(deliveries: &Deliveries, id: DeliveryId) -> Delivery {
    deliveries.get(id).await.unwrap().unwrap()
}
