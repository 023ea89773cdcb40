use std::sync::Arc;

use tokio_tungstenite::tungstenite::{self, protocol::CloseFrame};

/// Why a connection is over.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CloseReason {
    /// We closed it.
    #[error("closed by us")]
    Asked,
    /// The gateway closed it: 1012 when it stops or restarts, 1008 when it does not want us, 1013
    /// while it starts, 1009 after a frame over its limit, 1005 without a code.
    #[error("closed by the gateway with code {code}")]
    ByGateway {
        /// The WebSocket close code.
        code: u16,
        /// In the gateway's words.
        reason: String,
    },
    /// The socket broke, or what came was no WebSocket frame.
    #[error("the socket broke")]
    Lost(#[source] Arc<tungstenite::Error>),
    /// Nothing was heard for more than two ticks: the gateway or the way to it is dead.
    #[error("nothing was heard for too long")]
    Silent,
    /// The gateway does not read what we write.
    #[error("a frame could not be written in time")]
    Stalled,
    /// The events were not taken in time. Nothing is known of what would have come next.
    #[error("the events were not taken in time")]
    Lagged,
}

/// No close frame, or one without a code.
const NO_CODE: u16 = 1005;

impl CloseReason {
    pub(super) fn of_frame(frame: Option<CloseFrame>) -> Self {
        frame.map_or(
            Self::ByGateway {
                code: NO_CODE,
                reason: String::new(),
            },
            |frame| Self::ByGateway {
                code: frame.code.into(),
                reason: frame.reason.as_str().to_owned(),
            },
        )
    }

    pub(super) fn of_error(error: tungstenite::Error) -> Self {
        Self::Lost(Arc::new(error))
    }
}
