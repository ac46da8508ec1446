//! Why a pod does not take a config.

use headgate_control::Problem;

/// Why a config is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadConfig {
    /// Two listeners, one port or name.
    #[error("two listeners have the {0} {1:?}")]
    ListenerClash(&'static str, String),
    /// A key that no check could be made from.
    #[error(transparent)]
    Key(#[from] crate::keys::BadKey),
    /// An endpoint that cannot be called.
    #[error("hook endpoint {0:?} has no URL that can be called")]
    HookUrl(String),
    /// The process ends.
    #[error("the pod is stopping")]
    Stopping,
}

impl BadConfig {
    /// PascalCase.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ListenerClash(..) => "ListenerClash",
            Self::Key(_) => "BadKey",
            Self::HookUrl(_) => "BadUrl",
            Self::Stopping => "Stopping",
        }
    }
}

impl From<BadConfig> for Problem {
    fn from(bad: BadConfig) -> Self {
        Self {
            reason: bad.reason().into(),
            message: bad.to_string(),
        }
    }
}
