use std::{ops::Sub, time::Duration};

use anyhow::Result;
use e2e::harness::{MachineTime, Service, World};
use tokio::time::Instant;

/// Processor time, and the elapsed time in which it was used.
pub(crate) struct ProcessorUse {
    at: Instant,
    services: [Duration; Service::ALL.len()],
    machine: MachineTime,
    elapsed: Duration,
}

impl ProcessorUse {
    /// The processor time since the start of each process and of the machine.
    pub(crate) fn so_far(world: &World) -> Result<Self> {
        let mut services = [Duration::ZERO; Service::ALL.len()];
        for (spent, service) in services.iter_mut().zip(Service::ALL) {
            *spent = world.cpu_of(service)?;
        }
        Ok(Self {
            at: Instant::now(),
            services,
            machine: MachineTime::now()?,
            elapsed: Duration::ZERO,
        })
    }

    /// The elapsed time in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.elapsed.as_secs_f64()
    }

    /// Prints how many processors each service, the simulators and the rest kept busy.
    pub(crate) fn print(&self) {
        println!("  processors, of {}:", processors());
        for (spent, service) in self.services.iter().zip(Service::ALL) {
            self.print_one(service.name(), *spent);
        }
        let machine = &self.machine;
        self.print_one("simulators and callers", machine.own);
        let ours: Duration = self.services.iter().sum();
        let others = machine.all.saturating_sub(ours + machine.own);
        self.print_one("all others: Postgres, NATS, Caddy, …", others);
        self.print_one("stolen by the host", machine.stolen);
    }

    fn print_one(&self, what: &str, spent: Duration) {
        let busy = spent.as_secs_f64() / self.seconds().max(f64::MIN_POSITIVE);
        println!("    {what:<38} {busy:>5.2}");
    }
}

impl Sub for ProcessorUse {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        let mut services = self.services;
        for (spent, before) in services.iter_mut().zip(before.services) {
            *spent = spent.saturating_sub(before);
        }
        Self {
            at: self.at,
            services,
            machine: self.machine - before.machine,
            elapsed: self.at - before.at,
        }
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}
