//! The protocols that sessions speak: a bounded label.

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, strum::Display, strum::IntoStaticStr)]
pub enum Protocol {
    /// RTMP over TCP.
    #[strum(serialize = "RTMP")]
    Rtmp,
    /// FLV in the body of an HTTP response.
    #[strum(serialize = "HTTP-FLV")]
    HttpFlv,
}

impl Protocol {
    /// Every protocol, in the order of its variants.
    pub const ALL: [Self; 2] = [Self::Rtmp, Self::HttpFlv];

    /// As in status, metrics and hooks.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
