use claw_store::{KeyringError, Sandbox, SandboxSecrets, StoreError};
use secrecy::ExposeSecret;

use crate::world::{NEW_KEY, OLD_KEY, World, keyring, message, reply};

#[tokio::test]
async fn secrets_are_returned_for_their_owner_only() {
    let world = World::new().await;
    let sandbox = with_key(&world, 1).await;
    let stranger = world.user(2).await;

    let secrets = secrets_of(&world, &sandbox, OLD_KEY)
        .await
        .unwrap()
        .unwrap();

    assert_eq!(secrets.gateway_token.expose_secret(), "the gateway token");
    assert_eq!(
        secrets.device_seed.expose_secret(),
        b"thirty-two bytes of device seed!"
    );
    assert_eq!(
        secrets.model_key.unwrap().expose_secret(),
        "sk-or-v1-model-key"
    );
    let of_stranger = world
        .store
        .sandboxes()
        .secrets_of(stranger, sandbox.id, &keyring(OLD_KEY))
        .await
        .unwrap();
    assert!(of_stranger.is_none());
}

#[tokio::test]
async fn a_sealed_value_copied_to_another_row_or_column_does_not_open() {
    let world = World::new().await;
    let [first, second] = [with_key(&world, 1).await, with_key(&world, 2).await];
    for copied in [
        "SET gateway_token_sealed = (SELECT gateway_token_sealed FROM sandbox WHERE user_id <> s.user_id)",
        "SET gateway_token_sealed = model_key_sealed",
    ] {
        world
            .sql(&format!(
                "UPDATE sandbox AS s {copied} WHERE id = '{}'",
                second.id.as_uuid()
            ))
            .await;

        let error = secrets_of(&world, &second, OLD_KEY).await.unwrap_err();

        let id = "old".to_owned();
        assert!(
            matches!(error, StoreError::Sealed(KeyringError::NotAuthentic { id: found }) if found == id)
        );
    }
    assert!(secrets_of(&world, &first, OLD_KEY).await.is_ok());
}

#[tokio::test]
async fn master_keys_are_rotated_without_an_interruption() {
    let world = World::new().await;
    let sandbox = with_key(&world, 1).await;
    let both = format!("{NEW_KEY},{OLD_KEY}");

    assert!(secrets_of(&world, &sandbox, &both).await.is_ok());
    let missing = secrets_of(&world, &sandbox, NEW_KEY).await.unwrap_err();
    let rewrapped = world
        .store
        .sandboxes()
        .rewrap(&keyring(&both))
        .await
        .unwrap();
    let again = world
        .store
        .sandboxes()
        .rewrap(&keyring(&both))
        .await
        .unwrap();

    assert!(matches!(missing, StoreError::Sealed(KeyringError::MissingKey { id }) if id == "old"));
    assert_eq!((rewrapped, again), (1, 0));
    let secrets = secrets_of(&world, &sandbox, NEW_KEY)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        secrets.model_key.unwrap().expose_secret(),
        "sk-or-v1-model-key"
    );
}

#[tokio::test]
async fn no_column_of_any_table_holds_a_secret_in_clear_text() {
    let world = World::new().await;
    with_key(&world, 1).await;
    let asked = message(1, 0);
    world.answer(&asked, reply("a")).await;

    let mut dump = String::new();
    for table in [
        "\"user\"", "alias", "sandbox", "message", "delivery", "\"call\"",
    ] {
        for row in world
            .sql(&format!("SELECT t::text AS row FROM {table} AS t"))
            .await
        {
            dump.push_str(&row.try_get::<String>("", "row").unwrap());
        }
    }

    assert!(
        dump.contains("message 0 of 1") && dump.contains("v1.old."),
        "the dump lacks the data"
    );
    for secret in [
        "the gateway token",
        "thirty-two bytes of device seed!",
        "sk-or-v1-model-key",
    ] {
        let digits = hex::encode(secret);
        assert!(
            !dump.contains(secret) && !dump.contains(&digits),
            "{secret}"
        );
    }
}

#[tokio::test]
async fn an_error_does_not_show_the_offending_values() {
    let world = World::new().await;
    let user = world.user(1).await;

    let error = world.store.users().set_quiet(user, Some("4711")).await;
    let error = error.unwrap_err();

    let shown = format!("{error:?} {error}");
    assert!(
        !shown.contains("1555") && !shown.contains("4711"),
        "{shown}"
    );
    assert!(!error.is_transient());
}

async fn with_key(world: &World, number: u32) -> Sandbox {
    let sandbox = world.user_with_sandbox(number).await;
    let key = "sk-or-v1-model-key".into();
    let sandboxes = world.store.sandboxes();
    assert!(
        sandboxes
            .record_model_key(sandbox.current_start(), "hash", &key, &keyring(OLD_KEY))
            .await
            .unwrap()
    );
    sandbox
}

async fn secrets_of(
    world: &World,
    sandbox: &Sandbox,
    keys: &str,
) -> Result<Option<SandboxSecrets>, StoreError> {
    world
        .store
        .sandboxes()
        .secrets_of(sandbox.user, sandbox.id, &keyring(keys))
        .await
}
