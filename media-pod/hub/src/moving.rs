//! A hub on its way out: newcomers are sent elsewhere, and those who are in leave one after the other, or by themselves.
//!
//! Who leaves when is decided by the caller, who ends them with [`Hub::kick`].

use crate::{Hub, Refusal, Session, SessionKind};
use std::sync::Arc;

/// Who may come in. The others are refused with [`Reason::Draining`](crate::Reason::Draining), on connections that are open already too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Newcomers {
    /// Everybody.
    #[default]
    All,
    /// Players, for a moment: they have been led here and have nowhere else to go yet.
    Players,
    /// Nobody.
    None,
}

impl Newcomers {
    /// Whether a session of this kind is among them.
    pub(crate) fn include(self, kind: SessionKind) -> bool {
        match self {
            Self::All => true,
            Self::Players => kind == SessionKind::Play,
            Self::None => false,
        }
    }
}

impl Hub {
    /// From now on only these are let in. Who is in, or is asked about already, is left alone.
    pub fn let_in(&self, newcomers: Newcomers) {
        self.0.registry.lock().newcomers = newcomers;
    }

    /// Whether newcomers are let in at all: for protocols that can refuse a connection before it says what it wants.
    pub fn check_open(&self) -> Result<(), Refusal> {
        self.0.registry.lock().check_open()
    }

    /// While `true`, publishers are asked to come back elsewhere, where their protocol can ask that. They go on until they do.
    pub fn ask_publishers_to_leave(&self, ask: bool) {
        self.0
            .leave
            .send_if_modified(|asked| std::mem::replace(asked, ask) != ask);
    }

    /// The sessions that are in, in no order.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        let lives = self.0.registry.lock().all();
        lives.iter().map(|live| Arc::clone(&live.session)).collect()
    }
}
