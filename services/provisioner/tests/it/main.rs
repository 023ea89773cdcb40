//! The provisioner on a real database and a real bus. The container engine, the key provider and OpenClaw are fakes,
//! except in `docker`, which uses a real engine and a real OpenClaw.

#[cfg(test)]
mod alive;
#[cfg(test)]
mod docker;
#[cfg(test)]
mod engines;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod orders;
#[cfg(test)]
mod pool;
#[cfg(test)]
mod provision;
#[cfg(test)]
mod reconcile;
#[cfg(test)]
mod request;
#[cfg(test)]
mod room;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod sleep;
#[cfg(test)]
mod suspension;
#[cfg(test)]
mod world;
