mod marks;

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use claw_domain::{Address, DeliveryId, DeliveryState, ReplyId, UserId, Wamid};
use sea_orm::EntityTrait;
use uuid::Uuid;

use crate::{
    StoreError,
    database::{Database, columns, joined, read},
    entity::delivery::{self, Entity},
    users::address,
};

static BEGIN: LazyLock<String> =
    LazyLock::new(|| include_str!("sql/begin.sql").replace("{delivery}", &columns::<Entity>("d")));
const IS_BLOCKED: &str = "
SELECT EXISTS (SELECT FROM access_list WHERE user_id = $1 AND list = 'block') AS is_blocked";
const REPORT: &str = include_str!("sql/report.sql");

/// A second attempt finds the rows of a concurrent call; the third is a reserve.
const BEGIN_ATTEMPTS: u32 = 3;

/// The repository of deliveries.
#[derive(Clone)]
pub struct Deliveries {
    pub(crate) database: Database,
}

/// The delivery of one piece of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The id, derived from the reply and the index; Meta returns it with each status.
    pub id: DeliveryId,
    /// The index of the piece within the reply, from 0.
    pub index: u32,
    /// The state after all reports so far.
    pub state: DeliveryState,
    /// WhatsApp's id of the message, once known.
    pub wamid: Option<Wamid>,
    /// The number of attempts to hand it to the channel. It tells whose attempt the row shows: a replica that
    /// changes the state names the number it knows.
    pub attempts: u32,
    /// When it was last handed to the channel.
    pub sending_since: Option<DateTime<Utc>>,
    /// The channel's error code, if the delivery failed with one.
    pub error_code: Option<i64>,
}

/// A reply whose delivery has begun.
#[derive(Debug, Clone)]
pub struct OutgoingReply {
    /// The address of the recipient, from the user's row.
    pub address: Address,
    /// When the user last wrote, which opens WhatsApp's 24-hour window; `None` if they have only called.
    pub last_written_at: Option<DateTime<Utc>>,
    /// Whether we may write to the recipient at all: they have written to us, or asked for a message on the phone.
    pub has_chat: bool,
    /// The deliveries of its pieces, in order; none if we may not write.
    pub pieces: Vec<Delivery>,
    /// Whether this call began the delivery and marked the first piece as `Sending`: the caller may send it
    /// without calling [`Deliveries::mark_sending`].
    pub claimed_first: bool,
    /// Whether the reply has to wait, because the user is suspended. No piece was claimed then.
    pub is_suspended: bool,
}

impl OutgoingReply {
    /// Whether a template was claimed that stands for all pieces. Then the others are accepted without an id of
    /// WhatsApp, and the reply must not be sent as texts, even if the user has written since.
    pub fn is_in_template(&self) -> bool {
        self.pieces
            .iter()
            .any(|piece| piece.state == DeliveryState::Accepted && piece.wamid.is_none())
    }
}

/// What becomes of a reply while its user is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhileSuspended {
    /// It waits for the end of the suspension.
    Hold,
    /// It is sent: it tells the user of the suspension.
    Send,
}

/// A delivery after a report about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reported {
    /// The id of the delivery that the report is about.
    pub id: DeliveryId,
    /// The reply that the piece belongs to.
    pub reply: ReplyId,
    /// The recipient of the reply.
    pub user: UserId,
    /// The state after this report and all earlier ones.
    pub state: DeliveryState,
}

impl Deliveries {
    /// Begins the delivery of a reply in `pieces` pieces. If `claim`, also claims the first piece, unless the
    /// delivery was begun before or has to wait because the user is suspended. One round trip; `None` for a blocked
    /// user, and for one who is neither known nor was refused lately.
    pub async fn begin(
        &self,
        user: UserId,
        reply: ReplyId,
        pieces: u32,
        claim: bool,
        hold: WhileSuspended,
        now: DateTime<Utc>,
    ) -> Result<Option<OutgoingReply>, StoreError> {
        let ids: Vec<Uuid> = (0..pieces)
            .map(|index| delivery_id(reply, index).as_uuid())
            .collect();
        for _ in 0..BEGIN_ATTEMPTS {
            let Some(outgoing) = self
                .begin_once(user, reply, ids.clone(), claim, hold, now)
                .await?
            else {
                return Ok(None);
            };
            if outgoing.pieces.len() == ids.len() || !outgoing.has_chat {
                return Ok(Some(outgoing));
            }
        }
        Err(StoreError::Contended {
            operation: BEGINNING,
        })
    }

    /// Whether the operator has blocked a user, to whom nothing is sent then.
    pub async fn is_blocked(&self, user: UserId) -> Result<bool, StoreError> {
        let row = self
            .database
            .row(BLOCKING, IS_BLOCKED, [user.as_uuid().into()])
            .await?;
        read(BLOCKING, &row, "is_blocked")
    }

    /// Applies the channel's report about a delivery, found by our id or else by the channel's. The state only
    /// moves forward; the channel's id is stored if the answer to the send was lost. One round trip; `None`
    /// for an unknown delivery.
    pub async fn report(
        &self,
        delivery: Option<DeliveryId>,
        wamid: &Wamid,
        state: DeliveryState,
        code: Option<i64>,
        at: DateTime<Utc>,
    ) -> Result<Option<Reported>, StoreError> {
        let values = [
            delivery.map(|id| id.as_uuid()).into(),
            wamid.as_str().into(),
            state.rank().into(),
            code.into(),
            at.into(),
        ];
        let rows = self.database.rows(REPORTING, REPORT, values).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some(Reported {
            id: DeliveryId::from_uuid(read(REPORTING, row, "id")?),
            reply: ReplyId::from_uuid(read(REPORTING, row, "reply_id")?),
            user: UserId::from_uuid(read(REPORTING, row, "user_id")?),
            state: state_of_rank(read(REPORTING, row, "state")?)?,
        }))
    }

    /// The delivery with this id.
    pub async fn get(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        let query = Entity::find_by_id(id.as_uuid()).one(&self.database.pool);
        let row = self.database.run("reading a delivery", query).await?;
        row.map(Delivery::try_from).transpose()
    }

    async fn begin_once(
        &self,
        user: UserId,
        reply: ReplyId,
        ids: Vec<Uuid>,
        claim: bool,
        hold: WhileSuspended,
        now: DateTime<Utc>,
    ) -> Result<Option<OutgoingReply>, StoreError> {
        let values = [
            user.as_uuid().into(),
            reply.as_uuid().into(),
            ids.into(),
            now.into(),
            claim.into(),
            (hold == WhileSuspended::Send).into(),
        ];
        let rows = self.database.rows(BEGINNING, &BEGIN, values).await?;
        let Some(first) = rows.first() else {
            return Ok(None);
        };
        let address = address(
            read(BEGINNING, first, "phone")?,
            read(BEGINNING, first, "wa_user_id")?,
        )?;
        let last_written_at = read(BEGINNING, first, "last_inbound_at")?;
        let has_chat = read(BEGINNING, first, "has_chat")?;
        let claimed_first = read(BEGINNING, first, "claimed")?;
        let is_suspended = read(BEGINNING, first, "suspended")?;
        let mut pieces = Vec::with_capacity(rows.len());
        for row in &rows {
            let piece: Option<delivery::Model> = joined(BEGINNING, row, "d")?;
            pieces.extend(piece.map(Delivery::try_from).transpose()?);
        }
        Ok(Some(OutgoingReply {
            address,
            last_written_at,
            has_chat,
            pieces,
            claimed_first,
            is_suspended,
        }))
    }
}

const BEGINNING: &str = "beginning a delivery";
const BLOCKING: &str = "reading whether a user is blocked";
const REPORTING: &str = "recording a delivery report";

/// The id of a piece's delivery: the same in every call, so that a repetition finds the same rows.
pub(crate) fn delivery_id(reply: ReplyId, index: u32) -> DeliveryId {
    DeliveryId::derived_from(&format!("{reply}:{index}"))
}

fn state_of_rank(rank: i16) -> Result<DeliveryState, StoreError> {
    DeliveryState::from_repr(rank).ok_or(StoreError::Corrupt {
        column: "delivery.state",
    })
}

impl TryFrom<delivery::Model> for Delivery {
    type Error = StoreError;

    fn try_from(row: delivery::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: DeliveryId::from_uuid(row.id),
            index: u32::try_from(row.piece).map_err(|_| StoreError::Corrupt {
                column: "delivery.piece",
            })?,
            state: state_of_rank(row.state)?,
            wamid: row.wamid.map(Wamid::new),
            attempts: u32::try_from(row.attempts).map_err(|_| StoreError::Corrupt {
                column: "delivery.attempts",
            })?,
            sending_since: row.sending_since,
            error_code: row.error_code,
        })
    }
}
