//! Where a publisher's stream goes besides its viewers here.

use crate::{Refusal, Session};
use std::sync::Arc;

/// Pushes streams to other servers. Whoever decides where to, as SRS's `on_forward` does, is given one.
///
/// Meant to be called by a [`crate::Gate`] in `admit`: the push begins when the session is established, and ends with it.
pub trait Forward: Send + Sync + 'static {
    /// Pushes a publisher's stream to each of these URLs, `rtmp://` or `rtmps://`, until its session ends; a target that breaks off or is not there is
    /// tried again. Returns at once. An error says what is wrong with a URL that can never be pushed to, or that there are too many: then
    /// nothing is pushed. It does not repeat a URL, which may hold a key.
    fn forward(&self, session: &Arc<Session>, urls: &[String]) -> Result<(), Refusal>;
}
