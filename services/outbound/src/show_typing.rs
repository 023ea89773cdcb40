use std::{pin::pin, sync::Arc, time::Duration};

use claw_bus::Bus;
use claw_events::TypingStarted;
use claw_whatsapp::send::WhatsApp;
use futures_util::StreamExt;
use metrics::counter;
use tokio::{sync::Semaphore, time::sleep};
use tracing::{debug, warn};

use crate::gate::Gate;

/// Marks under way at once; what comes beyond is left out, since it is worthless when it comes late.
const MARKS_AT_ONCE: usize = 32;

/// Pause before lost signals are listened for again.
const LISTEN_PAUSE: Duration = Duration::from_secs(1);

/// Shows people that their assistant is at work. An ornament: it fails in silence, and makes no reply
/// wait.
pub struct ShowTyping {
    pub bus: Bus,
    pub whatsapp: Arc<dyn WhatsApp>,
    pub gate: Arc<Gate>,
}

impl ShowTyping {
    /// Runs until `stop` resolves.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = self.listen() => {}
                () = &mut stop => return,
            }
            tokio::select! {
                () = sleep(LISTEN_PAUSE) => {}
                () = &mut stop => return,
            }
        }
    }

    async fn listen(&self) {
        let free = Semaphore::new(MARKS_AT_ONCE);
        match self.bus.share_signals::<TypingStarted>().await {
            Ok(signals) => {
                signals
                    .for_each_concurrent(None, |signal| self.show(signal, &free))
                    .await;
            }
            Err(error) => warn!(
                error = &error as &dyn std::error::Error,
                "typing signals cannot be heard"
            ),
        }
    }

    async fn show(&self, signal: TypingStarted, free: &Semaphore) {
        let Ok(_permit) = free.try_acquire() else {
            count("left_out");
            return;
        };
        if self.gate.is_resting() {
            count("left_out");
            return;
        }
        match self.whatsapp.mark_read_and_typing(&signal.wamid).await {
            Ok(()) => count("shown"),
            Err(error) => {
                count("failed");
                debug!(
                    error = &error as &dyn std::error::Error,
                    user.id = %signal.user,
                    "typing was not shown"
                );
            }
        }
    }
}

fn count(outcome: &'static str) {
    counter!("claw_typing_total", "outcome" => outcome).increment(1);
}
