//! Verification of Twilio's request signature: HMAC-SHA1 over the public URL and the form fields.
//!
//! The rules come from Twilio's page on webhook security and from its helper libraries. The signed URL is the
//! one configured at Twilio, so it is built from our configured base and the path and query as received; a host
//! reported by a proxy is never trusted.

mod tokens;
mod url;

pub use tokens::{AuthTokens, HEADER, IDEMPOTENCY_HEADER, Signature, SignatureError, sign};
pub use url::{PublicUrl, PublicUrlError};
