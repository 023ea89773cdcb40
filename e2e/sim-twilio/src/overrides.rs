use std::time::Duration;

/// How Twilio connects to a URL: as its fragment says (`#rc=2&rp=ct,5xx&rt=10000`), otherwise with the
/// defaults. The fragment is neither sent nor signed. (Twilio docs, *Connection overrides*.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectionOverrides {
    /// The URL without its fragment.
    pub(crate) url: String,
    /// `ct`: limit of the connection's establishment.
    pub(crate) connect: Duration,
    /// `rt`: limit of one attempt.
    pub(crate) read: Duration,
    /// `tt`: limit of all attempts together.
    pub(crate) total: Duration,
    /// `rc`: attempts after the first.
    pub(crate) retries: u32,
    /// `rp`: the failures that are retried.
    policy: Vec<String>,
}

/// The failures of an attempt that the retry policy distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The connection was not established.
    Connect,
    /// The answer did not arrive in time.
    Read,
    /// The answer has this HTTP status.
    Status(u16),
}

/// Most retries that a URL can set.
const MOST_RETRIES: u32 = 5;

impl ConnectionOverrides {
    pub(crate) fn of(url: &str, read_limit: Duration) -> Self {
        let (url, fragment) = url.split_once('#').unwrap_or((url, ""));
        let mut overrides = Self {
            url: url.to_owned(),
            connect: Duration::from_secs(5),
            read: read_limit,
            total: read_limit,
            retries: 1,
            policy: vec!["ct".to_owned()],
        };
        for setting in fragment.split('&') {
            let Some((name, value)) = setting.split_once('=') else {
                continue;
            };
            let ms = value
                .parse()
                .ok()
                .map(|ms: u64| Duration::from_millis(ms.clamp(100, 15_000)));
            match (name, ms) {
                ("ct", Some(time)) => overrides.connect = time.min(Duration::from_secs(10)),
                ("rt", Some(time)) => overrides.read = time,
                ("tt", Some(time)) => overrides.total = time,
                ("rc", _) => {
                    let retries = value.parse().unwrap_or(1);
                    overrides.retries = MOST_RETRIES.min(retries);
                }
                ("rp", _) => overrides.policy = value.split(',').map(str::to_owned).collect(),
                _ => {}
            }
        }
        overrides
    }

    /// Whether `failure` is retried.
    pub(crate) fn retries_after(&self, failure: Failure) -> bool {
        let name = match failure {
            Failure::Connect => "ct",
            Failure::Read => "rt",
            Failure::Status(400..=499) => "4xx",
            Failure::Status(500..=599) => "5xx",
            Failure::Status(_) => return false,
        };
        self.policy.iter().any(|rule| rule == name || rule == "all")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(15);

    #[test]
    fn without_a_fragment_only_a_failed_connection_is_retried_and_only_once() {
        let overrides = ConnectionOverrides::of("https://voice.example.com/a?b=c", LIMIT);

        assert_eq!(overrides.url, "https://voice.example.com/a?b=c");
        assert_eq!(overrides.retries, 1);
        assert!(overrides.retries_after(Failure::Connect));
        assert!(!overrides.retries_after(Failure::Status(503)));
        assert!(!overrides.retries_after(Failure::Read));
    }

    #[test]
    fn a_fragment_sets_limits_and_retries_and_is_removed_from_the_url() {
        let overrides =
            ConnectionOverrides::of("https://v.example/a#rc=9&rp=ct,5xx&rt=4000&tt=99999", LIMIT);

        assert_eq!(overrides.url, "https://v.example/a");
        assert_eq!(overrides.retries, 5);
        assert_eq!(overrides.read, Duration::from_secs(4));
        assert_eq!(overrides.total, LIMIT);
        assert!(overrides.retries_after(Failure::Status(503)));
        assert!(!overrides.retries_after(Failure::Status(404)));
    }
}
