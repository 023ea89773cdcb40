//! Code that the simulators share: an HTTP server whose connections can be cut, one clock, a timeline of
//! events, and the program around a simulator. It knows none of the simulated APIs.

pub mod clock;
pub mod program;
pub mod server;
pub mod timeline;
