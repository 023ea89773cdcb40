use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Longest a test waits for something that should happen.
const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until `condition` holds; panics with `claim` when it does not within 20 s.
pub async fn eventually<F, Fut>(claim: &str, mut condition: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let deadline = Instant::now() + DEADLINE;
    while !condition().await {
        assert!(
            Instant::now() < deadline,
            "still not so after {DEADLINE:?}: {claim}"
        );
        sleep(Duration::from_millis(20)).await;
    }
}
