//! [`Failure`]: why a call brought no yes. Its message names what came, and never a query, a key or a body.

use strum::IntoStaticStr;

/// Why a back end's yes did not come; the word is the same in the refusal, the report, the Event and the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr)]
pub enum Cause {
    /// A valid answer that said no.
    #[strum(serialize = "HookDenied")]
    Denied,
    /// No answer in time, or no free place to ask in time.
    #[strum(serialize = "HookTimeout")]
    Timeout,
    /// No connection, or one that broke before the answer was whole.
    #[strum(serialize = "HookUnreachable")]
    Unreachable,
    /// An answer with a status that the dialect does not take for one.
    #[strum(serialize = "HookBadStatus")]
    BadStatus,
    /// A good status with a body that says neither yes nor no.
    #[strum(serialize = "HookBadAnswer")]
    BadAnswer,
    /// It has not answered for a while, and was not asked.
    #[strum(serialize = "HookCircuitOpen")]
    CircuitOpen,
}

impl Cause {
    /// PascalCase.
    pub fn reason(self) -> &'static str {
        self.into()
    }
}

/// One failed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub cause: Cause,
    /// What came, in words.
    pub message: String,
}

impl Failure {
    /// A failure with its cause and what came.
    pub fn new(cause: Cause, message: impl Into<String>) -> Self {
        Self {
            cause,
            message: message.into(),
        }
    }
}
