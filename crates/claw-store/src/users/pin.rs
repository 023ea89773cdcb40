use chrono::{DateTime, TimeDelta, Utc};
use claw_domain::{Attestation, CallId, Pin, UserId};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, ExprTrait, QueryFilter,
    QuerySelect, TransactionTrait, UpdateMany,
    sea_query::{Expr, LockType},
};
use secrecy::{ExposeSecret, SecretBox};
use uuid::Uuid;

use super::{Users, update};
use crate::{
    Keyring, KeyringError, StoreError,
    calls::stored,
    database::statement,
    entity::{
        call, pin_guesses,
        user::Entity as User,
        user_pin::{Column, Entity},
    },
    keyring::SealedCell,
};

const COUNT_WRONG_PIN: &str = include_str!("../sql/count_wrong_pin.sql");

/// Utterances of one call that are taken as a PIN. A wrong one costs the caller this call, not the user.
const TRIES_PER_CALL: u32 = 3;
/// Wrong PINs of one user's [`Callers`] in a day. After them these callers are refused, and the others are not. With
/// all of them together, guessing finds a PIN of the shortest length in some 170 days on average, and the user is told
/// after each call.
const WRONG_PER_DAY: u32 = 10;
/// The day begins with its first wrong PIN.
const DAY: TimeDelta = TimeDelta::hours(24);
/// A PIN, padded to the longest length before it is sealed so that the sealed value does not show its length.
type Padded = [u8; Pin::MAX_DIGITS];

/// A caller's try to give the PIN.
#[derive(Debug, Clone, Copy)]
pub struct PinTry<'a> {
    /// The call, which must be stored.
    pub call: CallId,
    /// The user of the number.
    pub user: UserId,
    /// What the network says about the number.
    pub attestation: Attestation,
    /// The number of the utterance within the call. Each is tried once, however often it is repeated.
    pub turn: u32,
    /// The PIN; `None` if the caller said or keyed in something else, which counts as a try of the call only.
    pub pin: Option<&'a Pin>,
}

/// The result of trying a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinOutcome {
    /// The PIN is right, and the call is open.
    Right,
    /// The PIN is wrong, and the caller may try again.
    Wrong,
    /// The caller may not try in this call: too many tries were wrong, or there is no PIN.
    Refused,
}

/// Callers whose wrong PINs are counted together, so that nobody can use up the tries of callers with better proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Callers {
    /// The network attests that the number is theirs.
    Attested,
    /// They show the number.
    Shown,
    /// They keyed the number in, or it is probably forged.
    Unproven,
}

impl Users {
    /// Sets the PIN a user gives on the phone, and forgets the wrong ones of the day. Fails with
    /// [`StoreError::Missing`] for an unknown user.
    pub async fn set_pin(
        &self,
        user: UserId,
        pin: &Pin,
        keyring: &Keyring,
    ) -> Result<(), StoreError> {
        let sealed = seal(keyring, user.as_uuid(), &padded(pin))?;
        let update = replace(user, Some(sealed));
        self.database
            .update("user", "setting a PIN", update)
            .await?;
        let forgive = pin_guesses::Entity::update_many()
            .col_expr(pin_guesses::Column::Wrong, Expr::value(0))
            .filter(pin_guesses::Column::UserId.eq(user.as_uuid()));
        let forgiven = self.database.execute("forgetting wrong PINs", forgive);
        forgiven.await.map(drop)
    }

    /// Removes a user's PIN.
    pub async fn remove_pin(&self, user: UserId) -> Result<(), StoreError> {
        self.database
            .update("user", "removing a PIN", replace(user, None))
            .await
    }

    /// Whether a user has a PIN; `None` for an unknown user.
    pub async fn has_pin(&self, user: UserId) -> Result<Option<bool>, StoreError> {
        let query = Entity::find_by_id(user.as_uuid())
            .select_only()
            .expr_as(Expr::col(Column::PinSealed).is_not_null(), "has_pin")
            .into_tuple::<bool>()
            .one(&self.database.pool);
        self.database.run("looking for a PIN", query).await
    }

    /// Tries a PIN, and opens the call if it is right. Concurrent tries of one user run one after the other.
    pub async fn try_pin(
        &self,
        attempt: &PinTry<'_>,
        now: DateTime<Utc>,
        keyring: &Keyring,
    ) -> Result<PinOutcome, StoreError> {
        let work = async {
            let transaction = self.database.pool.begin().await?;
            let outcome = try_in(&transaction, attempt, now, keyring).await?;
            transaction.commit().await?;
            Ok(outcome)
        };
        let outcome = self.database.run("trying a PIN", work).await?;
        Ok(outcome?)
    }

    /// Seals every PIN again, unless it is sealed with the keyring's first key; returns how many. Run it and
    /// [`crate::Sandboxes::rewrap`] before removing the other keys.
    pub async fn rewrap_pins(&self, keyring: &Keyring) -> Result<u64, StoreError> {
        let query = Entity::find()
            .filter(Column::PinSealed.is_not_null())
            .all(&self.database.pool);
        let mut rewrapped = 0;
        for row in self.database.run("reading sealed PINs", query).await? {
            let old = |sealed: &&String| !sealed.starts_with(&keyring.prefix());
            let Some(sealed) = row.pin_sealed.as_ref().filter(old) else {
                continue;
            };
            let again = seal(keyring, row.id, &open(keyring, row.id, sealed)?)?;
            let update = User::update_many()
                .col_expr(Column::PinSealed, Expr::value(again))
                .filter(Column::Id.eq(row.id))
                // A PIN set since the row was read must not be overwritten with the old one.
                .filter(Column::PinSealed.eq(sealed.as_str()));
            rewrapped += u64::from(self.database.execute("sealing a PIN again", update).await?);
        }
        Ok(rewrapped)
    }
}

/// Tries the PIN and counts a wrong one. The inner error means that the sealed PIN does not open; that is no error of
/// the database and does not count as a try.
async fn try_in(
    transaction: &DatabaseTransaction,
    attempt: &PinTry<'_>,
    now: DateTime<Utc>,
    keyring: &Keyring,
) -> Result<Result<PinOutcome, KeyringError>, DbErr> {
    let user = attempt.user.as_uuid();
    // The weakest lock that other tries wait for: it does not delay this user's messages.
    let row = Entity::find_by_id(user)
        .lock(LockType::NoKeyUpdate)
        .one(transaction)
        .await?;
    let call = call::Entity::find_by_id(attempt.call.as_uuid())
        .filter(call::Column::UserId.eq(user))
        .one(transaction)
        .await?;
    let (Some(Some(sealed)), Some(call)) = (row.map(|row| row.pin_sealed), call) else {
        return Ok(Ok(PinOutcome::Refused));
    };
    let tries = u32::try_from(call.pin_tries).unwrap_or(TRIES_PER_CALL);
    let turn = stored(attempt.turn);
    if call.opened_at.is_some() {
        return Ok(Ok(PinOutcome::Right));
    }
    if turn <= call.unstored_turn {
        return Ok(Ok(after_wrong(tries)));
    }
    let callers = Callers::of(attempt.attestation).as_str();
    let guesses = pin_guesses::Entity::find_by_id((user, callers.to_owned()))
        .one(transaction)
        .await?;
    let yesterday = now - DAY;
    let wrong_today = guesses
        .filter(|guesses| guesses.since > yesterday)
        .map_or(0, |guesses| guesses.wrong);
    if tries >= TRIES_PER_CALL || wrong_today >= stored(WRONG_PER_DAY) {
        return Ok(Ok(PinOutcome::Refused));
    }
    let is_right = match (attempt.pin, open(keyring, user, &sealed)) {
        (_, Err(error)) => return Ok(Err(error)),
        (Some(pin), Ok(right)) => is_same(&right, &padded(pin)),
        (None, Ok(_)) => false,
    };
    let is_guess = attempt.pin.is_some() && !is_right;
    if is_guess {
        let values = [user.into(), callers.into(), now.into(), yesterday.into()];
        transaction
            .execute_raw(statement(COUNT_WRONG_PIN, values))
            .await?;
    }
    let count = |column, by| Expr::col(column).add(i32::from(by));
    call::Entity::update_many()
        .col_expr(call::Column::UnstoredTurn, Expr::value(turn))
        .col_expr(call::Column::PinTries, count(call::Column::PinTries, true))
        .col_expr(
            call::Column::WrongPins,
            count(call::Column::WrongPins, is_guess),
        )
        .col_expr(call::Column::OpenedAt, Expr::value(is_right.then_some(now)))
        .filter(call::Column::Id.eq(attempt.call.as_uuid()))
        .exec(transaction)
        .await?;
    Ok(Ok(if is_right {
        PinOutcome::Right
    } else {
        after_wrong(tries + 1)
    }))
}

/// The outcome after so many wrong tries of a call.
const fn after_wrong(tries: u32) -> PinOutcome {
    if tries < TRIES_PER_CALL {
        PinOutcome::Wrong
    } else {
        PinOutcome::Refused
    }
}

impl Callers {
    const fn of(attestation: Attestation) -> Self {
        if matches!(attestation, Attestation::Full) {
            Self::Attested
        } else if attestation.is_shown() {
            Self::Shown
        } else {
            Self::Unproven
        }
    }

    /// The name in the table.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Attested => "attested",
            Self::Shown => "shown",
            Self::Unproven => "unproven",
        }
    }
}

fn replace(user: UserId, sealed: Option<String>) -> UpdateMany<User> {
    update(user).col_expr(Column::PinSealed, Expr::value(sealed))
}

/// Compares in constant time.
fn is_same(one: &SecretBox<Padded>, other: &SecretBox<Padded>) -> bool {
    let pairs = one.expose_secret().iter().zip(other.expose_secret());
    pairs.fold(0, |difference, (one, other)| difference | (one ^ other)) == 0
}

fn padded(pin: &Pin) -> SecretBox<Padded> {
    SecretBox::init_with_mut(|padded: &mut Padded| {
        for (byte, digit) in padded.iter_mut().zip(pin.expose().bytes()) {
            *byte = digit;
        }
    })
}

fn seal(keyring: &Keyring, row: Uuid, pin: &SecretBox<Padded>) -> Result<String, KeyringError> {
    keyring.seal(cell(row), pin.expose_secret())
}

fn open(keyring: &Keyring, row: Uuid, sealed: &str) -> Result<SecretBox<Padded>, KeyringError> {
    let opened = keyring.open(cell(row), sealed)?;
    let pin = Padded::try_from(opened.expose_secret()).map_err(|_| KeyringError::NotSealed)?;
    Ok(SecretBox::new(Box::new(pin)))
}

fn cell(row: Uuid) -> SealedCell {
    SealedCell {
        table: "user",
        row,
        column: "pin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_equals_only_itself() {
        let of = |pin| padded(&Pin::try_from(pin).unwrap());

        assert!(is_same(&of("4711"), &of("4711")));
        for other in ["4712", "47110", "47110000", "0471"] {
            assert!(!is_same(&of("4711"), &of(other)), "{other}");
        }
    }
}
