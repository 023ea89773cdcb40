use std::{ops::Sub, time::Duration};

use anyhow::{Context, Result};

/// Clock ticks per second in `/proc`; Linux fixes them at 100 for user space.
const TICKS_PER_SECOND: u64 = 100;

/// The processor time used since the machine booted, summed over all processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineTime {
    /// Time of all processes and of interrupts.
    pub all: Duration,
    /// Time of this process, with the simulators.
    pub own: Duration,
    /// Time that the hypervisor gave to other machines (steal time).
    pub stolen: Duration,
}

impl MachineTime {
    /// Reads the times from `/proc`.
    pub fn now() -> Result<Self> {
        let stat = std::fs::read_to_string("/proc/stat")?;
        let (all, stolen) = machine(&stat).context("an unexpected format of /proc/stat")?;
        Ok(Self {
            all,
            own: time_of("self")?,
            stolen,
        })
    }
}

impl Sub for MachineTime {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            all: self.all.saturating_sub(before.all),
            own: self.own.saturating_sub(before.own),
            stolen: self.stolen.saturating_sub(before.stolen),
        }
    }
}

/// Processor time of a process, given by its id or as `self`.
pub(super) fn time_of(process: &str) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The process's name may contain blanks; the fields after its bracket have fixed positions (utime is the 14th).
    let (_, fields) = stat
        .rsplit_once(')')
        .context("an unexpected format of /proc/<pid>/stat")?;
    let ticks = ticks(fields);
    let (user, system) = ticks
        .get(11)
        .zip(ticks.get(12))
        .context("/proc/<pid>/stat has no utime and stime")?;
    Ok(of_ticks(user + system))
}

/// Resident memory of a process, in bytes.
pub(super) fn memory_of(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    let kilobytes: u64 = kilobytes
        .context("/proc/<pid>/status has no VmRSS")?
        .parse()?;
    Ok(kilobytes * 1024)
}

/// Busy and stolen time, from the line of all processors together.
fn machine(stat: &str) -> Option<(Duration, Duration)> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    // The fourth and fifth fields are idle time and time waiting for a disk.
    let [user, nice, system, _, _, irq, softirq, stolen, ..] = ticks(line)[..] else {
        return None;
    };
    let busy = user + nice + system + irq + softirq;
    Some((of_ticks(busy), of_ticks(stolen)))
}

/// Numbers separated by blanks; 0 for a field that is not a number.
fn ticks(fields: &str) -> Vec<u64> {
    let fields = fields.split_whitespace();
    fields
        .map(|field| field.parse().unwrap_or_default())
        .collect()
}

fn of_ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_and_disk_wait_times_do_not_count_as_busy() {
        let stat = "cpu  100 1 50 9000 800 2 3 40 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";

        let busy = Duration::from_millis(1_560);
        assert_eq!(machine(stat), Some((busy, Duration::from_millis(400))));
        assert_eq!(machine("intr 1"), None);
    }
}
