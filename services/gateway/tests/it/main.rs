//! The service as its operator runs it.

mod settings;
