//! The provisioner on a real database and a real bus, with fakes for the container engine, the model provider and
//! OpenClaw; and once with a real engine and a real OpenClaw.

#[cfg(test)]
mod docker;
#[cfg(test)]
mod provision;
#[cfg(test)]
mod reconcile;
#[cfg(test)]
mod request;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod world;
