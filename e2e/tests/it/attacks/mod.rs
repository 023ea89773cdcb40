//! Attacks on the whole system. Each test is named by what the attacker fails to do.

mod admission;
mod door;
mod flood;
mod poison;
mod suspension;
