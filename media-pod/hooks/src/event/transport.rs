//! How a client speaks, in the two words that every dialect is made from: what is carried, and over what.

use headgate_hub::Protocol;
use serde::{Deserialize, Serialize};

use super::details::Source;

/// What is carried: ZLMediaKit's `schema`. FLV is RTMP's own form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Schema {
    /// RTMP and FLV.
    #[default]
    Rtmp,
    /// RTSP.
    Rtsp,
    /// MPEG-TS.
    Ts,
    /// Fragmented MP4.
    Fmp4,
    /// HLS of MPEG-TS.
    Hls,
    /// HLS of fragmented MP4.
    #[strum(serialize = "hls.fmp4")]
    HlsFmp4,
    /// WebRTC.
    Rtc,
    /// SRT.
    Srt,
    /// RTP without RTSP.
    Rtp,
}

/// The schemas by which this version plays every stream, made when somebody asks for them. HTTP-FLV is RTMP's.
pub const PLAYED: [Schema; 4] = [Schema::Rtmp, Schema::Ts, Schema::Fmp4, Schema::Hls];

/// Over what: ZLMediaKit's `protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Carrier {
    /// RTMP.
    #[default]
    Rtmp,
    /// RTMP over TLS.
    Rtmps,
    /// RTSP.
    Rtsp,
    /// RTSP over TLS.
    Rtsps,
    /// The body of an HTTP answer.
    Http,
    /// The same over TLS.
    Https,
    /// A WebSocket.
    Ws,
    /// The same over TLS.
    Wss,
    /// Playlists and segments.
    Hls,
    /// The same with fragmented MP4.
    #[strum(serialize = "hls.fmp4")]
    HlsFmp4,
    /// WebRTC.
    Rtc,
    /// SRT.
    Srt,
    /// RTP.
    Rtp,
    /// RTP over UDP.
    Udp,
    /// RTP over TCP.
    Tcp,
}

impl Schema {
    /// As ZLMediaKit writes it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// What a publisher of it is called.
    pub fn push(self) -> Source {
        match self {
            Self::Rtmp => Source::RtmpPush,
            Self::Rtsp => Source::RtspPush,
            Self::Rtp => Source::RtpPush,
            Self::Rtc => Source::RtcPush,
            Self::Srt => Source::SrtPush,
            Self::Ts | Self::Fmp4 | Self::Hls | Self::HlsFmp4 => Source::Unknown,
        }
    }
}

impl Carrier {
    /// As ZLMediaKit writes it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Both words of one of the hub's protocols, by its name: `WSS-FLV` is what FLV is over what a WebSocket with TLS is.
pub fn of(protocol: Protocol) -> (Schema, Carrier) {
    named(protocol.as_str())
}

fn named(name: &str) -> (Schema, Carrier) {
    let (carrier, format) = name.split_once('-').unwrap_or(("", name));
    let schema = match format {
        "RTSP" | "RTSPS" => Schema::Rtsp,
        "TS" => Schema::Ts,
        "FMP4" | "fMP4" | "MP4" => Schema::Fmp4,
        "HLS" => Schema::Hls,
        "WebRTC" | "WEBRTC" => Schema::Rtc,
        "SRT" => Schema::Srt,
        "RTP" => Schema::Rtp,
        _ => Schema::Rtmp,
    };
    let carrier = match (carrier, format) {
        ("HTTP", _) => Carrier::Http,
        ("HTTPS", _) => Carrier::Https,
        ("WS", _) => Carrier::Ws,
        ("WSS", _) => Carrier::Wss,
        (_, "RTMPS") => Carrier::Rtmps,
        (_, "RTSP") => Carrier::Rtsp,
        (_, "RTSPS") => Carrier::Rtsps,
        (_, "HLS") => Carrier::Hls,
        (_, "WebRTC" | "WEBRTC") => Carrier::Rtc,
        (_, "SRT") => Carrier::Srt,
        (_, "RTP") => Carrier::Rtp,
        _ => Carrier::Rtmp,
    };
    (schema, carrier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_is_what_zlmediakit_would_call_it() {
        let table = [
            ("RTMP", "rtmp", "rtmp"),
            ("RTMPS", "rtmp", "rtmps"),
            ("HTTP-FLV", "rtmp", "http"),
            ("HTTPS-FLV", "rtmp", "https"),
            ("WS-FLV", "rtmp", "ws"),
            ("WSS-FLV", "rtmp", "wss"),
            ("HTTP-TS", "ts", "http"),
            ("WS-TS", "ts", "ws"),
            ("HTTP-FMP4", "fmp4", "http"),
            ("HTTP-fMP4", "fmp4", "http"),
            ("HLS", "hls", "hls"),
            ("RTSP", "rtsp", "rtsp"),
            ("RTSPS", "rtsp", "rtsps"),
            ("WebRTC", "rtc", "rtc"),
            ("SRT", "srt", "srt"),
        ];
        for (name, schema, carrier) in table {
            let (s, c) = named(name);
            assert_eq!((s.as_str(), c.as_str()), (schema, carrier), "{name}");
        }
    }

    #[test]
    fn every_protocol_of_the_hub_is_known() {
        for protocol in Protocol::ALL {
            let name = protocol.as_str();
            let known = ["RTMP", "FLV", "TS", "MP4", "HLS", "RTSP", "WebRTC", "SRT", "RTP"];
            assert!(
                known.iter().any(|word| name.contains(word)),
                "{name} needs a line above"
            );
        }
    }
}
