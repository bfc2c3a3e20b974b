//! Who may come in: the admin's account and sessions, keys of programs, how often each may ask, and the
//! log of what admins did.
//!
//! Owns every secret by which somebody proves himself to the hub. Of passwords, keys and tokens only hashes
//! are stored; what is compared is compared as digests, so that time tells nothing. Knows no HTTP: the guard
//! reads headers and cookies, the pages set them.

mod account;
mod audit;
mod door;
mod keys;
mod oauth;
mod password;
mod rate;
mod secret;
mod session;
mod throttle;

pub use account::{LoginError, SetupError};
pub use door::{Access, AccessConfig};
pub use keys::{Bearer, KeyRefusal, NewKey};
pub use oauth::{OauthConfig, TokenLimits, TokenRefusal};
pub use password::PASSWORD_MIN_CHARS;
pub use session::{LoggedIn, SESSION_IDLE, SESSION_LIFE};
