use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use claw_domain::{Address, InviteId, MessageId, ReplyId, UserId, WhatsAppUserId};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult, TransactionTrait, Value};
use uuid::Uuid;

use crate::{
    AccessList, StoreError,
    calls::{BEGIN_CALL, CallBegin, begin_values, stored},
    database::{Database, read, statement},
    deliveries::delivery_id,
};

const RECORD: &str = include_str!("sql/newcomer.sql");
const COUNT: &str = include_str!("sql/count_newcomer.sql");
const REFUSE: &str = include_str!("sql/refuse.sql");

/// Two concurrent first messages both find no user. Without a conflict target, a conflict on any unique index (id or
/// phone) does nothing.
const INSERT_USER: &str = r#"
INSERT INTO "user" (id, phone, wa_user_id, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING"#;
const USE_INVITE: &str = "
UPDATE invite SET used = used + 1 WHERE id = $1 AND used < uses AND expires_at > $2";
const FORGET: &str = "SELECT forget_refusals($1, $2)";

/// The repository of those who have no row as a user: whether they may come in, and that they were refused.
#[derive(Clone)]
pub struct Newcomers {
    pub(crate) database: Database,
}

/// Somebody who has no row as a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newcomer {
    /// The id, derived from the address.
    pub user: UserId,
    /// The address.
    pub address: Address,
    /// WhatsApp's id, if it was given in addition to the phone number.
    pub wa_user_id: Option<WhatsAppUserId>,
}

/// What decides whether a newcomer may come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewcomerRecord {
    /// Whether they have a row as a user after all.
    pub is_known: bool,
    /// The operator's list on which they are.
    pub list: Option<AccessList>,
    /// Whether the invite that they named lets one more in.
    pub is_invited: bool,
    /// Newcomers who were counted this hour, on the clock (UTC).
    pub this_hour: u32,
    /// Newcomers who were counted this day (UTC).
    pub today: u32,
    /// Their refusal, unless its time to be forgotten has come.
    pub refusal: Option<Refusal>,
}

/// What is remembered of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The last message that changed this record.
    pub message: MessageId,
    /// Whether that message got an answer.
    pub is_told: bool,
    /// How many wrong invite codes they have sent.
    pub wrong_codes: u32,
    /// No code of theirs is tried before.
    pub wait_until: DateTime<Utc>,
}

/// A refusal to remember.
#[derive(Debug, Clone)]
pub struct NewRefusal {
    /// Who is refused.
    pub newcomer: Newcomer,
    /// When they wrote, by WhatsApp's clock.
    pub written_at: DateTime<Utc>,
    /// The answer, which has one piece; `None` if they get none.
    pub answer: Option<ReplyId>,
    /// What to remember.
    pub refusal: Refusal,
    /// When they are decided about as if they had not been refused. The row is deleted 31 days later.
    pub forget_at: DateTime<Utc>,
}

/// By what a newcomer comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entrance {
    /// By the operator's list. Not counted.
    Listed,
    /// By an invite, of which a use is used up. Not counted.
    Invited(InviteId),
    /// As one of at most so many.
    Counted {
        /// Most newcomers in an hour.
        per_hour: u32,
        /// Most newcomers in a day.
        per_day: u32,
    },
}

impl Newcomers {
    /// Reads what decides whether a user may come in whose message names `invite`. One round trip.
    pub async fn record(
        &self,
        user: UserId,
        invite: Option<InviteId>,
        now: DateTime<Utc>,
    ) -> Result<NewcomerRecord, StoreError> {
        let values = [
            user.as_uuid().into(),
            invite.map(|invite| invite.as_uuid()).into(),
            now.into(),
        ];
        let row = self.database.row(READING, RECORD, values).await?;
        record(&row, now)
    }

    /// Makes a newcomer a user, and counts them or the use of their invite, in one transaction. Returns `false`, and
    /// changes nothing, if others have taken the last place meanwhile. Does nothing for a user who is known.
    pub async fn admit(
        &self,
        newcomer: &Newcomer,
        entrance: Entrance,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        self.admit_with(newcomer, entrance, None, now).await
    }

    /// As [`Newcomers::admit`], and also stores the call, which makes them a user: both or neither.
    pub async fn admit_caller(
        &self,
        newcomer: &Newcomer,
        entrance: Entrance,
        call: &CallBegin,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        self.admit_with(newcomer, entrance, Some(call), now).await
    }

    async fn admit_with(
        &self,
        newcomer: &Newcomer,
        entrance: Entrance,
        call: Option<&CallBegin>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let work = async {
            let transaction = self.database.pool.begin().await?;
            let is_admitted = admit(&transaction, newcomer, entrance, now).await?;
            if let Some(call) = call.filter(|_| is_admitted) {
                let begin = statement(BEGIN_CALL, begin_values(call));
                transaction.execute_raw(begin).await?;
            }
            if is_admitted {
                transaction.commit().await?;
            } else {
                transaction.rollback().await?;
            }
            Ok(is_admitted)
        };
        self.database.run("admitting a newcomer", work).await
    }

    /// Remembers a refusal, so that its answer can be sent and no other follows. Also deletes some refusals that
    /// were forgotten long ago. May be repeated.
    pub async fn refuse(&self, new: &NewRefusal, now: DateTime<Utc>) -> Result<(), StoreError> {
        let user = new.newcomer.user.as_uuid();
        let (phone, wa_user_id) = columns(&new.newcomer);
        let answer = new.answer.map(|reply| delivery_id(reply, 0).as_uuid());
        let values = [
            user.into(),
            phone,
            wa_user_id,
            new.written_at.into(),
            new.refusal.message.as_uuid().into(),
            new.refusal.is_told.into(),
            stored(new.refusal.wrong_codes).into(),
            new.refusal.wait_until.into(),
            Vec::<Uuid>::from_iter(answer).into(),
            new.forget_at.into(),
        ];
        let forget = [now.into(), user.into()];
        self.database.rows(REFUSING, FORGET, forget).await?;
        self.database.rows(REFUSING, REFUSE, values).await.map(drop)
    }
}

const READING: &str = "reading what decides about a newcomer";
const REFUSING: &str = "remembering a refusal";

async fn admit(
    transaction: &DatabaseTransaction,
    newcomer: &Newcomer,
    entrance: Entrance,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let (phone, wa_user_id) = columns(newcomer);
    let user = newcomer.user.as_uuid().into();
    let insert = statement(INSERT_USER, [user, phone, wa_user_id, now.into()]);
    let is_known = transaction.execute_raw(insert).await?.rows_affected() == 0;
    if is_known {
        return Ok(true);
    }
    let take = match entrance {
        Entrance::Listed => return Ok(true),
        Entrance::Invited(invite) => statement(USE_INVITE, [invite.as_uuid().into(), now.into()]),
        Entrance::Counted { per_hour, per_day } => {
            let values = [
                hour_of(now).into(),
                day_of(now).into(),
                stored(per_hour).into(),
                stored(per_day).into(),
            ];
            statement(COUNT, values)
        }
    };
    Ok(transaction.execute_raw(take).await?.rows_affected() > 0)
}

/// The columns `phone` and `wa_user_id`.
fn columns(newcomer: &Newcomer) -> (Value, Value) {
    let (phone, wa_user_id) = match &newcomer.address {
        Address::Phone(phone) => (Some(phone.expose_e164()), newcomer.wa_user_id.as_ref()),
        Address::WhatsApp(id) => (None, Some(id)),
    };
    (phone.into(), wa_user_id.map(WhatsAppUserId::expose).into())
}

/// The full hour before `now`.
fn hour_of(now: DateTime<Utc>) -> DateTime<Utc> {
    now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now)
}

/// The midnight before `now`.
fn day_of(now: DateTime<Utc>) -> DateTime<Utc> {
    now.duration_trunc(TimeDelta::days(1)).unwrap_or(now)
}

fn record(row: &QueryResult, now: DateTime<Utc>) -> Result<NewcomerRecord, StoreError> {
    let list: Option<String> = read(READING, row, "list")?;
    // An older hour or day is over.
    let count = |period, start, count| -> Result<u32, StoreError> {
        let counted: i32 = read(READING, row, count)?;
        let is_over = read::<DateTime<Utc>>(READING, row, period)? < start;
        Ok(if is_over { 0 } else { counted.cast_unsigned() })
    };
    Ok(NewcomerRecord {
        is_known: read(READING, row, "is_known")?,
        list: list.as_deref().map(AccessList::stored).transpose()?,
        is_invited: read(READING, row, "is_invited")?,
        this_hour: count("hour", hour_of(now), "in_hour")?,
        today: count("day", day_of(now), "in_day")?,
        refusal: refusal(row)?,
    })
}

fn refusal(row: &QueryResult) -> Result<Option<Refusal>, StoreError> {
    let Some(message) = read::<Option<Uuid>>(READING, row, "message_id")? else {
        return Ok(None);
    };
    Ok(Some(Refusal {
        message: MessageId::from_uuid(message),
        is_told: read(READING, row, "is_told")?,
        wrong_codes: read::<i32>(READING, row, "wrong_codes")?.cast_unsigned(),
        wait_until: read(READING, row, "wait_until")?,
    }))
}
