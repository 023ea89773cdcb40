mod calls;
mod closing;
mod handshake;
mod scripted;
