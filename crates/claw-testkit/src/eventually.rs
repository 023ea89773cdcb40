use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Longest wait for a condition. It is generous, because a test must not claim how fast the machine is.
const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until `condition` holds. Panics with `claim` if it does not hold within 20 s.
pub async fn eventually<F, Fut>(claim: &str, mut condition: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let deadline = Instant::now() + DEADLINE;
    while !condition().await {
        assert!(
            Instant::now() < deadline,
            "does not hold after {DEADLINE:?}: {claim}"
        );
        sleep(Duration::from_millis(20)).await;
    }
}
