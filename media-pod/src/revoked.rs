//! Sessions whose StreamKey is taken away from them: ended at once, each with its closing event.

use crate::pod::Pod;
use headgate_hub::EndReason;
use std::sync::Weak;
use std::time::Duration;
use tokio::time::Instant;

/// How often it is looked again after keys have changed: for those who were being asked about.
const LOOK: Duration = Duration::from_millis(250);
/// For so long: no admission takes longer.
const FOR: Duration = Duration::from_secs(40);

/// Looks until the pod is gone.
pub(crate) async fn watch(pod: Weak<Pod>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(pod) = pod.upgrade() else { return };
        let since = *pod.revoked().lock();
        if since.is_some_and(|since| since.elapsed() <= FOR) {
            pod.end_revoked();
        }
    }
}

impl Pod {
    /// Keys have changed.
    pub(crate) fn revoke(&self) {
        *self.revoked().lock() = Some(Instant::now());
        self.end_revoked();
    }

    fn end_revoked(&self) {
        let sessions = self.hooks().sessions();
        for session in sessions.iter().filter(|session| !self.gate().lets_stay(session)) {
            // One that is not in yet is found the next time.
            if self.hub().kick(session.id, EndReason::Kicked) {
                let (kind, key) = (session.kind, session.key.as_deref().unwrap_or_default());
                tracing::info!(session = %session.id, %kind, stream = %session.name, key, "its stream key is taken away");
            }
        }
    }
}
