//! What a pod says of its open sessions, as long as a real one says it: nobody but a pod can read it, so any text of that length will do.

use super::super::hooks::people;
use crate::error::{Context as _, Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use headgate_control::LedgerEntry;
use headgate_hooks::{Hooks, Place, SealKey, Storage};
use headgate_hub::SessionKind;
use uuid::Uuid;

/// How long the texts are.
#[derive(Clone, Copy, Debug)]
pub struct Sealed {
    publisher: usize,
    connection: usize,
}

/// The two entries of one publisher: its session's and its connection's.
#[derive(Clone, Debug)]
pub struct Entries(pub [LedgerEntry; 2]);

impl Sealed {
    /// From what real hooks say of a publisher.
    pub async fn measured() -> Result<Self> {
        let wrong = |what: &str, error: &dyn std::fmt::Display| Error::new(format!("{what}: {error}"));
        let seal = SealKey::new(&[7; 32]).map_err(|e| wrong("the seal key", &e))?;
        let storage = Storage {
            state: None,
            seal: Some(seal),
        };
        let hooks = Hooks::new(&prometheus::Registry::new(), "benchmark", &Place::default(), &storage);
        let hooks = hooks.map_err(|e| wrong("making hooks", &e))?;
        hooks.reconfigure(&people::server(), &[]);
        let session = people::session(SessionKind::Publish, "room-1234");
        let connected = hooks.connect(&session.connection).await;
        connected.map_err(|e| wrong("connecting", &e))?;
        let published = hooks.publish(&session).await;
        published.map_err(|e| wrong("publishing", &e))?;
        let open = hooks.ledger().open;
        let of = |own: bool| {
            let found = open.iter().find(|entry| (entry.session == session.id) == own);
            found.map(|entry| entry.sealed.len())
        };
        Ok(Self {
            publisher: of(true).context("no entry of a publisher")?,
            connection: of(false).context("no entry of a connection")?,
        })
    }

    /// What a pod says of this session, the same each time it is asked if the caller keeps it.
    pub fn entries(&self, session: Uuid) -> Entries {
        let entry = |session, length| LedgerEntry {
            session,
            sealed: text(length),
        };
        Entries([entry(session, self.publisher), entry(Uuid::now_v7(), self.connection)])
    }
}

fn text(length: usize) -> String {
    let bytes: Vec<u8> = (0..length).map(|_| rand::random()).collect();
    URL_SAFE_NO_PAD.encode(bytes).chars().take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn texts_are_as_long_as_real_ones_and_each_is_another() {
        let sealed = Sealed::measured().await.unwrap();
        assert!(sealed.publisher > 500 && sealed.connection > 300, "{sealed:?}");
        let (Entries(a), Entries(b)) = (sealed.entries(Uuid::now_v7()), sealed.entries(Uuid::now_v7()));
        assert_eq!(a[0].sealed.len(), sealed.publisher);
        assert_ne!(a[0].sealed, b[0].sealed);
    }
}
