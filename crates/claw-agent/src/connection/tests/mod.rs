mod calls;
mod closing;
mod flooding;
mod handshake;
mod scripted;
