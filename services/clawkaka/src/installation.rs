use anyhow::Result;
use claw_domain::UserIdKey;
use claw_runtime::Env;
use secrecy::ExposeSecret;

/// The key of this installation's user ids: `USER_ID_KEY`.
pub(crate) fn user_id_key(env: &Env) -> Result<UserIdKey> {
    let digits = env.secret("USER_ID_KEY")?;
    let key = UserIdKey::parse(digits.expose_secret());
    Ok(key.map_err(|error| env.invalid("USER_ID_KEY", error))?)
}
