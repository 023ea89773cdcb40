use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};
use tokio_util::sync::PollSemaphore;

use super::{
    LONGEST_MESSAGE_BYTES,
    budget::{FrameBudget, LONG_BYTES, LongMessagePermit},
    flood::{Flood, Traffic},
    frame_position::{Header, Position},
};

/// How long a long message may take from the moment it has its share of the budget. Others wait for that share.
const LONG_MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest payload of a control frame (RFC 6455, 5.5).
const LONGEST_CONTROL_FRAME_BYTES: u64 = 125;

/// A stream that reads no more from a sandbox than the sandbox may send. A read fails with [`Flood`] in the
/// [`io::Error`] when frames or bytes come too fast, and waits while too many long messages are in memory.
///
/// A read never goes beyond the end of a frame, so the WebSocket above has nothing left when it returns a message.
#[derive(Debug)]
pub(super) struct Metered<S> {
    stream: S,
    position: Position,
    /// Frames that came together with the HTTP response.
    early: Vec<u8>,
    traffic: Traffic,
    /// Length of the message that is arriving, as far as the headers of its frames tell.
    message_bytes: u64,
    long_messages: PollSemaphore,
    permit: Option<LongMessagePermit>,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Metered<S> {
    /// A stream that begins with the HTTP response that opens the WebSocket.
    pub(super) fn before_upgrade(stream: S, budget: &FrameBudget) -> Self {
        Self::at(Position::UPGRADE, stream, budget)
    }

    /// A stream that begins with a frame.
    #[cfg(test)]
    pub(super) fn of_frames(stream: S, budget: &FrameBudget) -> Self {
        Self::at(Position::FRAME, stream, budget)
    }

    fn at(position: Position, stream: S, budget: &FrameBudget) -> Self {
        Self {
            stream,
            position,
            early: Vec::new(),
            traffic: Traffic::new(Instant::now()),
            message_bytes: 0,
            long_messages: budget.long_messages(),
            permit: None,
            deadline: None,
        }
    }

    /// Must be called when a message has been read. Returns what a long message holds of the budget, to be dropped when
    /// the message is.
    pub(super) fn finish_message(&mut self) -> Option<LongMessagePermit> {
        self.message_bytes = 0;
        self.deadline = None;
        self.permit.take()
    }

    /// Waits until the message that is arriving may take more memory.
    fn poll_permit(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.message_bytes <= LONG_BYTES as u64 {
            return Poll::Ready(Ok(()));
        }
        if self.permit.is_none() {
            self.permit = ready!(self.long_messages.poll_acquire(context));
            self.deadline = Some(Box::pin(sleep(LONG_MESSAGE_TIMEOUT)));
        }
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::Error::other(Flood::SlowMessage)));
        }
        Poll::Ready(Ok(()))
    }

    /// Takes note of bytes that were read. Returns how many of them to pass on.
    fn account(&mut self, read: &[u8]) -> io::Result<usize> {
        if matches!(self.position, Position::Upgrade { .. }) {
            let end = self.position.end_of_upgrade(read).unwrap_or(read.len());
            self.early.extend_from_slice(&read[end..]);
            return Ok(end);
        }
        if let Some(header) = self.position.advance(read) {
            self.begin_frame(header).map_err(io::Error::other)?;
        }
        Ok(read.len())
    }

    fn begin_frame(&mut self, header: Header) -> Result<(), Flood> {
        let is_too_long = if header.is_control {
            header.payload_bytes > LONGEST_CONTROL_FRAME_BYTES
        } else {
            self.message_bytes = self.message_bytes.saturating_add(header.payload_bytes);
            self.message_bytes > LONGEST_MESSAGE_BYTES as u64
        };
        if is_too_long {
            return Err(Flood::LongMessage);
        }
        self.traffic.count(header.payload_bytes, Instant::now())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_permit(context))?;
        let room = buffer.remaining();
        let most = this
            .position
            .bytes_wanted()
            .map_or(room, |wanted| wanted.min(room));
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
        if this.early.is_empty() {
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut part))?;
        } else {
            let early = this.early.len().min(most);
            part.put_slice(&this.early[..early]);
            this.early.drain(..early);
        }
        let passed_on = this.account(part.filled())?;
        buffer.advance(passed_on);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
