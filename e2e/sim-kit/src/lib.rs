//! What the simulators share: a server whose connections can be cut, one clock, notes of when things
//! happened, and the program around a simulator. It knows none of the APIs that are simulated.

pub mod clock;
pub mod moments;
pub mod serve;
