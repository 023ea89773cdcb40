use std::sync::Arc;

use tokio_tungstenite::tungstenite::{self, protocol::CloseFrame};

use super::Flood;

/// Why a connection is closed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CloseReason {
    /// We closed it: its stop was requested, or its events are no longer read.
    #[error("closed by us")]
    Asked,
    /// OpenClaw closed it: with 1012 when it stops or restarts, 1008 when it rejects us, 1013 while
    /// it starts, 1009 after a frame over its limit, 1005 without a code.
    #[error("closed by OpenClaw with code {code}")]
    ByOpenClaw {
        /// The WebSocket close code.
        code: u16,
        /// OpenClaw's explanation, in English; empty if it gave none.
        reason: String,
    },
    /// The socket failed, or a received frame was not a WebSocket frame.
    #[error("the socket failed")]
    Lost(#[source] Arc<tungstenite::Error>),
    /// No frame arrived for more than two ticks: OpenClaw or the network is down.
    #[error("no frame arrived for too long")]
    Silent,
    /// OpenClaw does not read the frames we write.
    #[error("a frame could not be written in time")]
    Stalled,
    /// Our consumer did not take the events in time. Later events are lost.
    #[error("the events were not taken in time")]
    Lagged,
    /// We closed it, because the sandbox sends more than any OpenClaw does.
    #[error(transparent)]
    Flooded(Flood),
}

/// Stands for a missing close frame, and for one without a code.
const NO_CODE: u16 = 1005;

impl CloseReason {
    pub(super) fn of_frame(frame: Option<CloseFrame>) -> Self {
        frame.map_or(
            Self::ByOpenClaw {
                code: NO_CODE,
                reason: String::new(),
            },
            |frame| Self::ByOpenClaw {
                code: frame.code.into(),
                reason: frame.reason.as_str().to_owned(),
            },
        )
    }

    pub(super) fn of_error(error: tungstenite::Error) -> Self {
        match flood_of(&error) {
            Some(flood) => Self::Flooded(flood),
            None => Self::Lost(Arc::new(error)),
        }
    }

    /// What the sandbox sent too much of, if that is why the connection is closed.
    pub const fn flood(&self) -> Option<Flood> {
        match self {
            Self::Flooded(flood) => Some(*flood),
            Self::Asked
            | Self::ByOpenClaw { .. }
            | Self::Lost(_)
            | Self::Silent
            | Self::Stalled
            | Self::Lagged => None,
        }
    }
}

/// The flood for which the stream below a socket refused to read on.
pub(super) fn flood_of(error: &tungstenite::Error) -> Option<Flood> {
    if let tungstenite::Error::Io(error) = error {
        return error.get_ref()?.downcast_ref().copied();
    }
    None
}
