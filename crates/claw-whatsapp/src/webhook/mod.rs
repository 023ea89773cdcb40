//! Reads the bodies of Meta's webhook.

mod content;
mod lenient;
mod message;
mod notification;
mod parse;
mod repair;
mod status;
mod subscription;

pub use notification::{
    AccountError, ApiError, InboundMessage, Item, Lack, Notification, OtherField, Status,
    Unattributable,
};
pub use parse::{ParseError, parse};
pub use subscription::{SubscriptionError, verify_subscription};
