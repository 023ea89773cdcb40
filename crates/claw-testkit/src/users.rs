use claw_domain::{Address, MessageId, UserId, UserIdKey};

/// The key with which tests derive user ids. It occurs nowhere else, so that a search finds a leak.
pub const USER_ID_KEY: &str = "1d5eed1d5eed1d5eed1d5eed1d5eed1d5eed1d5eed1d5eed1d5eed1d5eed1d5e";

/// The key [`USER_ID_KEY`].
///
/// # Panics
///
/// Never: the constant is a key.
pub fn user_id_key() -> UserIdKey {
    UserIdKey::parse(USER_ID_KEY).expect("the constant is a key")
}

/// The id of the user at an address.
pub fn user_of(address: &Address) -> UserId {
    user_id_key().user_of(address)
}

/// A user without an address, the same for the same name.
pub fn user(name: &str) -> UserId {
    UserId::in_place_of(MessageId::derived_from(name))
}
