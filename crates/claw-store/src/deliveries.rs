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
const REPORT: &str = include_str!("sql/report.sql");

/// A second look finds what another one wrote at the moment of the first; one more, to be sure.
const BEGIN_ATTEMPTS: u32 = 3;

/// How far the pieces of replies have come.
#[derive(Clone)]
pub struct Deliveries {
    pub(crate) database: Database,
}

/// One piece of a reply, as sent to the channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id, derived from reply and index; Meta returns it with each status.
    pub id: DeliveryId,
    /// Of which reply.
    pub reply: ReplyId,
    /// Which piece, from 0.
    pub index: u32,
    /// How far it has come.
    pub state: DeliveryState,
    /// WhatsApp's id of it, once known.
    pub wamid: Option<Wamid>,
    /// How often it was handed to the channel.
    pub attempts: u32,
    /// When it was last handed over.
    pub sending_since: Option<DateTime<Utc>>,
    /// The channel's code of the failure, if it failed and the channel gave one.
    pub error_code: Option<i64>,
}

/// A reply that is to be sent, or was.
#[derive(Debug, Clone)]
pub struct OutgoingReply {
    /// Where to.
    pub address: Address,
    /// When the person last wrote, which opens WhatsApp's 24 hours; `None` if they have only called so far.
    pub last_written_at: Option<DateTime<Utc>>,
    /// Its pieces, in order.
    pub pieces: Vec<Delivery>,
    /// This call marked the first piece as `Sending`: nobody began before, send it without asking again.
    pub claimed_first: bool,
}

/// A delivery after a report about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reported {
    /// Which piece.
    pub id: DeliveryId,
    /// Of which reply.
    pub reply: ReplyId,
    /// To whom.
    pub user: UserId,
    /// How far it has come, this report and all earlier ones together.
    pub state: DeliveryState,
}

impl Deliveries {
    /// Writes down that a reply goes out in so many pieces, and claims the first if nobody began before.
    /// One round trip. `None` for a person we do not know.
    pub async fn begin(
        &self,
        user: UserId,
        reply: ReplyId,
        pieces: u32,
        now: DateTime<Utc>,
    ) -> Result<Option<OutgoingReply>, StoreError> {
        let ids: Vec<Uuid> = (0..pieces)
            .map(|index| delivery_id(reply, index).as_uuid())
            .collect();
        for _ in 0..BEGIN_ATTEMPTS {
            let Some(outgoing) = self.begin_once(user, reply, ids.clone(), now).await? else {
                return Ok(None);
            };
            if outgoing.pieces.len() == ids.len() {
                return Ok(Some(outgoing));
            }
        }
        Err(StoreError::Contended {
            operation: BEGINNING,
        })
    }

    /// What the channel reports about a piece, found by our id or else by the channel's. Moves it forward
    /// only, and keeps the channel's id if the answer to the send was lost. One round trip. `None` when
    /// it is not one of ours.
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

    /// One piece.
    pub async fn get(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        let query = Entity::find_by_id(id.as_uuid()).one(&self.database.pool);
        let row = self.database.run("reading a delivery", query).await?;
        row.map(Delivery::try_from).transpose()
    }

    /// Whether sending this reply was begun (or finished) before.
    pub async fn has_begun(&self, reply: ReplyId) -> Result<bool, StoreError> {
        Ok(self.get(delivery_id(reply, 0)).await?.is_some())
    }

    async fn begin_once(
        &self,
        user: UserId,
        reply: ReplyId,
        ids: Vec<Uuid>,
        now: DateTime<Utc>,
    ) -> Result<Option<OutgoingReply>, StoreError> {
        let values = [
            user.as_uuid().into(),
            reply.as_uuid().into(),
            ids.into(),
            now.into(),
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
        let claimed_first = read(BEGINNING, first, "claimed")?;
        let mut pieces = Vec::with_capacity(rows.len());
        for row in &rows {
            let piece: Option<delivery::Model> = joined(BEGINNING, row, "d")?;
            pieces.extend(piece.map(Delivery::try_from).transpose()?);
        }
        Ok(Some(OutgoingReply {
            address,
            last_written_at,
            pieces,
            claimed_first,
        }))
    }
}

const BEGINNING: &str = "beginning a delivery";
const REPORTING: &str = "recording a delivery report";

/// The id of a piece: the same reply always goes out under the same ids.
fn delivery_id(reply: ReplyId, index: u32) -> DeliveryId {
    DeliveryId::derived_from(&format!("{reply}:{index}"))
}

fn state_of_rank(rank: i16) -> Result<DeliveryState, StoreError> {
    DeliveryState::from_rank(rank).ok_or(StoreError::Corrupt {
        column: "delivery.state",
    })
}

impl TryFrom<delivery::Model> for Delivery {
    type Error = StoreError;

    fn try_from(row: delivery::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: DeliveryId::from_uuid(row.id),
            reply: ReplyId::from_uuid(row.reply_id),
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
