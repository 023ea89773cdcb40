use std::{pin::pin, sync::Arc, time::Duration};

use claw_bus::Bus;
use claw_events::TypingStarted;
use claw_metrics::TYPING_INDICATORS;
use claw_whatsapp::send::WhatsApp;
use futures_util::StreamExt;
use tokio::{sync::Semaphore, time::sleep};
use tracing::{debug, warn};

use crate::rate_limiter::RateLimiter;

/// Most requests at once. Further signals are dropped, because a late typing indicator is useless.
const MOST_REQUESTS: usize = 32;

/// The pause before a new subscription after one was lost.
const RESUBSCRIBE_PAUSE: Duration = Duration::from_secs(1);

/// Shows users a typing indicator while their assistant works. Best effort: failures are only counted, and it never
/// delays a reply.
pub struct ShowTyping {
    pub bus: Bus,
    pub whatsapp: Arc<dyn WhatsApp>,
    pub rate_limiter: Arc<RateLimiter>,
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
                () = sleep(RESUBSCRIBE_PAUSE) => {}
                () = &mut stop => return,
            }
        }
    }

    async fn listen(&self) {
        let free = Semaphore::new(MOST_REQUESTS);
        match self.bus.share_signals::<TypingStarted>().await {
            Ok(signals) => {
                signals
                    .for_each_concurrent(None, |signal| self.show(signal, &free))
                    .await;
            }
            Err(error) => warn!(
                error = &error as &dyn std::error::Error,
                "subscribing to typing signals failed"
            ),
        }
    }

    async fn show(&self, signal: TypingStarted, free: &Semaphore) {
        let Ok(_permit) = free.try_acquire() else {
            count("left_out");
            return;
        };
        if self.rate_limiter.is_paused() {
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
                    "the typing indicator was not shown"
                );
            }
        }
    }
}

fn count(outcome: &'static str) {
    TYPING_INDICATORS.increment([outcome]);
}
