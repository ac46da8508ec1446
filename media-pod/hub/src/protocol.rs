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
    /// MPEG-TS in the body of an HTTP response.
    #[strum(serialize = "HTTP-TS")]
    HttpTs,
    /// Fragmented MP4 in the body of an HTTP response.
    #[strum(serialize = "HTTP-FMP4")]
    HttpFmp4,
    /// FLV over WebSocket.
    #[strum(serialize = "WS-FLV")]
    WsFlv,
    /// MPEG-TS over WebSocket.
    #[strum(serialize = "WS-TS")]
    WsTs,
    /// Fragmented MP4 over WebSocket.
    #[strum(serialize = "WS-FMP4")]
    WsFmp4,
    /// HTTP Live Streaming.
    #[strum(serialize = "HLS")]
    Hls,
}

impl Protocol {
    /// Every protocol, in the order of its variants.
    pub const ALL: [Self; 8] = [
        Self::Rtmp,
        Self::HttpFlv,
        Self::HttpTs,
        Self::HttpFmp4,
        Self::WsFlv,
        Self::WsTs,
        Self::WsFmp4,
        Self::Hls,
    ];

    /// As in status, metrics and hooks.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
