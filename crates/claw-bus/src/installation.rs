//! The proof that user ids are derived with the key that the installation began with: a value in the metadata of the
//! bucket of live calls, which ingress may read and only the operator's command can write.

use async_nats::jetstream::{ErrorCode, context::GetStreamErrorKind, stream::Config};

use crate::{
    Bus, BusError,
    streams::{ACCOUNT_OF_JSON_BUCKETS, CALLS, bucket_definition},
};

/// The name of the value in the metadata.
const USER_ID_CHECK: &str = "clawkaka-user-id-check";

/// Why a key for user ids was refused.
#[derive(Debug, thiserror::Error)]
pub enum UserIdKeyError {
    /// The installation began with another key.
    #[error(
        "USER_ID_KEY is not the key with which this installation began: with it, every user would be a stranger. \
         Restore the old key"
    )]
    Changed,
    /// No key was recorded.
    #[error("no USER_ID_KEY is recorded on the bus: run `clawkaka bus ensure` with it")]
    NotRecorded,
    /// The recorded value could not be read or written.
    #[error(transparent)]
    Bus(#[from] BusError),
}

impl Bus {
    /// Fails unless `check` is the check value of the key that was recorded.
    pub async fn verify_user_id_key(&self, check: &str) -> Result<(), UserIdKeyError> {
        match recorded_check(self).await? {
            Some(recorded) if recorded == check => Ok(()),
            Some(_) => Err(UserIdKeyError::Changed),
            None => Err(UserIdKeyError::NotRecorded),
        }
    }

    /// Records the check value of the key, once for an installation, and verifies it from then on. Run it after
    /// [`crate::ensure`], as the user admin.
    pub async fn record_user_id_key(&self, check: &str) -> Result<(), UserIdKeyError> {
        if recorded_check(self).await?.is_none() {
            let definition = with_check(bucket_definition(CALLS), Some(check.to_owned()));
            self.jetstream_in(ACCOUNT_OF_JSON_BUCKETS)
                .update_stream(definition)
                .await
                .map_err(|error| BusError::jetstream("recording the USER_ID_KEY", error))?;
        }
        self.verify_user_id_key(check).await
    }
}

/// The recorded value; `None` if none was recorded, or if the bucket does not exist yet.
pub(crate) async fn recorded_check(bus: &Bus) -> Result<Option<String>, BusError> {
    let jetstream = bus.jetstream_in(ACCOUNT_OF_JSON_BUCKETS);
    let stream = jetstream.get_stream(format!("KV_{CALLS}")).await;
    match stream {
        Ok(stream) => Ok(stream
            .cached_info()
            .config
            .metadata
            .get(USER_ID_CHECK)
            .cloned()),
        Err(error)
            if matches!(error.kind(), GetStreamErrorKind::JetStream(refusal)
                if refusal.error_code() == ErrorCode::STREAM_NOT_FOUND) =>
        {
            Ok(None)
        }
        Err(error) => Err(BusError::jetstream(
            "reading the recorded USER_ID_KEY",
            error,
        )),
    }
}

/// The definition with a recorded value.
pub(crate) fn with_check(definition: Config, check: Option<String>) -> Config {
    let metadata = check.map(|check| (USER_ID_CHECK.to_owned(), check));
    Config {
        metadata: metadata.into_iter().collect(),
        ..definition
    }
}
