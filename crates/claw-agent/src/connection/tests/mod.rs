mod calls;
mod ends;
mod greeting;
mod scripted;
