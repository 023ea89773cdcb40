use crate::world::{World, address};

#[tokio::test]
async fn somebody_we_never_heard_from_has_no_address() {
    let world = World::new().await;
    let known = world.person(1).await;

    assert_eq!(
        world.store.users().address_of(known).await.unwrap(),
        Some(address(1))
    );
    assert_eq!(
        world
            .store
            .users()
            .address_of(address(2).user())
            .await
            .unwrap(),
        None
    );
}
