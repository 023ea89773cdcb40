use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::mpsc;

use super::CloseReason;
use crate::AgentEvent;

/// Events not yet taken by their consumer. A run causes about five besides its deltas.
pub(super) const EVENTS_IN_FLIGHT: usize = 256;

/// Capacity kept free for other events: deltas are dropped when less is left. The final event
/// repeats the whole text.
const CAPACITY_WITHOUT_DELTAS: usize = EVENTS_IN_FLIGHT / 2;

/// Most bytes of text in the queue of one connection: two texts of the longest reply.
const QUEUED_TEXT_BYTES: usize = 256 * 1024;

/// A queue of events, bounded in number and in bytes.
pub(super) fn channel() -> (EventSender, EventQueue) {
    let (sender, receiver) = mpsc::channel(EVENTS_IN_FLIGHT);
    let text_bytes = Arc::new(AtomicUsize::new(0));
    let queue = EventQueue {
        receiver,
        text_bytes: Arc::clone(&text_bytes),
    };
    (EventSender { sender, text_bytes }, queue)
}

pub(super) struct EventSender {
    /// Boxed, because a channel allocates space for 32 items and thousands of connections are idle.
    sender: mpsc::Sender<Box<AgentEvent>>,
    text_bytes: Arc<AtomicUsize>,
}

impl EventSender {
    /// Queues an event. What nobody needs is left out; fails if there is no room for the rest.
    pub(super) fn send(&self, mut event: AgentEvent) -> Result<(), CloseReason> {
        let is_delta = matches!(event, AgentEvent::ChatDelta { .. });
        let is_noise = matches!(event, AgentEvent::Tick | AgentEvent::Other { .. });
        let queued = self.text_bytes.load(Ordering::Relaxed);
        let is_full = queued + text_bytes(&event) > QUEUED_TEXT_BYTES;
        let is_late = is_full || self.sender.capacity() < CAPACITY_WITHOUT_DELTAS;
        if is_noise || (is_delta && is_late) {
            return Ok(());
        }
        if is_full && let AgentEvent::ChatFinal { text, .. } = &mut event {
            // The transcript has it.
            *text = None;
        }
        let bytes = text_bytes(&event);
        self.text_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.sender
            .try_send(Box::new(event))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => CloseReason::Lagged,
                mpsc::error::TrySendError::Closed(_) => CloseReason::Asked,
            })
    }
}

#[derive(Debug)]
pub(super) struct EventQueue {
    receiver: mpsc::Receiver<Box<AgentEvent>>,
    text_bytes: Arc<AtomicUsize>,
}

impl EventQueue {
    /// The next event, or `None` when the sender is gone. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<AgentEvent> {
        let event = self.receiver.recv().await?;
        self.text_bytes
            .fetch_sub(text_bytes(&event), Ordering::Relaxed);
        Some(*event)
    }
}

fn text_bytes(event: &AgentEvent) -> usize {
    match event {
        AgentEvent::ChatDelta { text, .. } => text.expose().len(),
        AgentEvent::ChatFinal {
            text: Some(text), ..
        } => text.expose().len(),
        AgentEvent::Challenge { .. }
        | AgentEvent::ChatFinal { text: None, .. }
        | AgentEvent::ChatError { .. }
        | AgentEvent::ChatAborted { .. }
        | AgentEvent::LifecycleStart { .. }
        | AgentEvent::LifecycleEnd { .. }
        | AgentEvent::SessionMessage { .. }
        | AgentEvent::Heartbeat
        | AgentEvent::CronFinished
        | AgentEvent::Tick
        | AgentEvent::Shutdown
        | AgentEvent::Other { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MAIN_SESSION;

    #[tokio::test]
    async fn finals_lose_their_texts_when_too_much_text_waits() {
        let (sender, mut queue) = channel();
        let long = "a".repeat(100 * 1024);

        for _ in 0..4 {
            sender.send(finished(&long)).unwrap();
        }
        let mut texts = Vec::new();
        for _ in 0..4 {
            texts.push(queue.next().await.unwrap());
        }
        sender.send(finished(&long)).unwrap();
        texts.push(queue.next().await.unwrap());

        let has_text = |event: &AgentEvent| text_bytes(event) > 0;
        let has_text: Vec<bool> = texts.iter().map(has_text).collect();
        assert_eq!(has_text, [true, true, false, false, true]);
    }

    fn finished(text: &str) -> AgentEvent {
        AgentEvent::ChatFinal {
            run: "k".to_owned(),
            session: MAIN_SESSION.to_owned(),
            text: Some(text.into()),
        }
    }
}
