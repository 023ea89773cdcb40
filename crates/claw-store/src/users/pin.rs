use chrono::{DateTime, TimeDelta, Utc};
use claw_domain::{Pin, UserId};
use sea_orm::{
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QuerySelect,
    TransactionTrait, UpdateMany,
    sea_query::{Expr, LockType},
};
use secrecy::{ExposeSecret, SecretBox};
use uuid::Uuid;

use super::{Users, update};
use crate::{
    Keyring, KeyringError, StoreError,
    entity::{
        user::Entity as User,
        user_pin::{Column, Entity, Model},
    },
    keyring::SealedCell,
};

/// Consecutive wrong tries after which the PIN is locked.
const TRIES_LIMIT: u32 = 5;
/// How long a lock lasts. Guessing without pause finds a PIN of the shortest length in about forty days.
const LOCKED_FOR: TimeDelta = TimeDelta::hours(1);
/// A PIN, padded to the longest length before it is sealed so that the sealed value does not show its length.
type Padded = [u8; Pin::MAX_DIGITS];

/// The result of trying a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinOutcome {
    /// The PIN is right.
    Right,
    /// The PIN is wrong.
    Wrong {
        /// How many tries are left.
        left: u32,
    },
    /// Too many tries were wrong: even the right PIN is refused until the lock ends.
    Locked {
        /// When the lock ends.
        until: DateTime<Utc>,
    },
    /// The user has no PIN, or is unknown.
    NotSet,
}

impl Users {
    /// Sets the PIN a user gives on the phone. Clears the wrong tries and the lock of the PIN before. Fails
    /// with [`StoreError::Missing`] for an unknown user.
    pub async fn set_pin(
        &self,
        user: UserId,
        pin: &Pin,
        keyring: &Keyring,
    ) -> Result<(), StoreError> {
        let sealed = seal(keyring, user.as_uuid(), &padded(pin))?;
        let update = replace(user, Some(sealed));
        self.database.update("user", "setting a PIN", update).await
    }

    /// Removes a user's PIN, its wrong tries and its lock.
    pub async fn remove_pin(&self, user: UserId) -> Result<(), StoreError> {
        self.database
            .update("user", "removing a PIN", replace(user, None))
            .await
    }

    /// Whether a user has a PIN.
    pub async fn has_pin(&self, user: UserId) -> Result<bool, StoreError> {
        let query = Entity::find_by_id(user.as_uuid())
            .filter(Column::PinSealed.is_not_null())
            .select_only()
            .column(Column::Id)
            .into_tuple::<Uuid>()
            .one(&self.database.pool);
        let found = self.database.run("looking for a PIN", query).await?;
        Ok(found.is_some())
    }

    /// Tries a PIN. The fifth consecutive wrong try locks the PIN for an hour. Each call counts as a try;
    /// concurrent calls run one after the other.
    pub async fn try_pin(
        &self,
        user: UserId,
        pin: &Pin,
        now: DateTime<Utc>,
        keyring: &Keyring,
    ) -> Result<PinOutcome, StoreError> {
        let tried = padded(pin);
        let work = async {
            let transaction = self.database.pool.begin().await?;
            // The weakest lock that other tries wait for: it does not delay this user's messages.
            let row = Entity::find_by_id(user.as_uuid())
                .lock(LockType::NoKeyUpdate)
                .one(&transaction)
                .await?;
            let outcome = match row {
                Some(row) => try_row(&transaction, &row, &tried, now, keyring).await?,
                None => Ok(PinOutcome::NotSet),
            };
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

/// Tries the PIN of a row and counts a wrong try. The inner error means that the sealed PIN does not open; that is
/// no error of the database and does not count as a try.
async fn try_row(
    transaction: &DatabaseTransaction,
    row: &Model,
    tried: &SecretBox<Padded>,
    now: DateTime<Utc>,
    keyring: &Keyring,
) -> Result<Result<PinOutcome, KeyringError>, DbErr> {
    let Some(sealed) = &row.pin_sealed else {
        return Ok(Ok(PinOutcome::NotSet));
    };
    if let Some(until) = row.pin_locked_until.filter(|until| now < *until) {
        return Ok(Ok(PinOutcome::Locked { until }));
    }
    let stored = match open(keyring, row.id, sealed) {
        Ok(stored) => stored,
        Err(error) => return Ok(Err(error)),
    };
    let outcome = outcome_of(is_same(&stored, tried), row.pin_failures, now);
    let (failures, locked_until) = match outcome {
        PinOutcome::Wrong { left } => (TRIES_LIMIT.saturating_sub(left).cast_signed(), None),
        PinOutcome::Locked { until } => (0, Some(until)),
        PinOutcome::Right | PinOutcome::NotSet => (0, None),
    };
    User::update_many()
        .col_expr(Column::PinFailures, Expr::value(failures))
        .col_expr(Column::PinLockedUntil, Expr::value(locked_until))
        .filter(Column::Id.eq(row.id))
        .exec(transaction)
        .await?;
    Ok(Ok(outcome))
}

/// The outcome of a try after `failures` consecutive wrong ones. A lock resets their count.
fn outcome_of(is_right: bool, failures: i32, now: DateTime<Utc>) -> PinOutcome {
    let failures = u32::try_from(failures).unwrap_or(0) + 1;
    match TRIES_LIMIT.saturating_sub(failures) {
        _ if is_right => PinOutcome::Right,
        0 => PinOutcome::Locked {
            until: now + LOCKED_FOR,
        },
        left => PinOutcome::Wrong { left },
    }
}

fn replace(user: UserId, sealed: Option<String>) -> UpdateMany<User> {
    update(user)
        .col_expr(Column::PinSealed, Expr::value(sealed))
        .col_expr(Column::PinFailures, Expr::value(0))
        .col_expr(Column::PinLockedUntil, Expr::value(None::<DateTime<Utc>>))
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
    fn the_fifth_wrong_try_locks_and_a_right_try_never_does() {
        let now = DateTime::UNIX_EPOCH;
        let until = now + LOCKED_FOR;

        let wrong = [0, 1, 2, 3, 4].map(|failures| outcome_of(false, failures, now));

        assert_eq!(
            wrong[..4],
            [4, 3, 2, 1].map(|left| PinOutcome::Wrong { left })
        );
        assert_eq!(wrong[4], PinOutcome::Locked { until });
        assert_eq!(outcome_of(true, 4, now), PinOutcome::Right);
    }

    #[test]
    fn a_pin_equals_only_itself() {
        let of = |pin| padded(&Pin::try_from(pin).unwrap());

        assert!(is_same(&of("4711"), &of("4711")));
        for other in ["4712", "47110", "47110000", "0471"] {
            assert!(!is_same(&of("4711"), &of(other)), "{other}");
        }
    }
}
