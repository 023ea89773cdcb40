//! The provisioner on a real database and a real bus, with the engine, the model provider and the
//! gateways faked; and once with a real engine and a real assistant.

#[cfg(test)]
mod docker;
#[cfg(test)]
mod provision;
#[cfg(test)]
mod reconcile;
#[cfg(test)]
mod request;
#[cfg(test)]
mod world;
