//! Proof that a request comes from Twilio: HMAC-SHA1 over the public URL and the form fields.
//!
//! The rules are those of Twilio's page on webhook security and of its helper libraries. The URL is the
//! one configured at Twilio, so it is made from our own configured base and the path and query as they
//! arrived; the host a proxy reports is never believed.

mod tokens;
mod url;

pub use tokens::{AuthTokens, HEADER, IDEMPOTENCY_HEADER, NoAuthToken, SignatureError, sign};
pub use url::{PublicUrl, PublicUrlError};
