//! What back ends can be asked and told, and in which dialects.

use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr};

/// How a back end wants to be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Display, IntoStaticStr)]
pub enum Dialect {
    /// Today's SRS callback.
    #[serde(rename = "SRS")]
    #[strum(serialize = "SRS")]
    Srs,
    /// The callback of SRS 1.
    #[serde(rename = "SRSv1")]
    #[strum(serialize = "SRSv1")]
    SrsV1,
    /// ZLMediaKit's web hooks.
    ZLMediaKit,
    /// The HTTP callback of Oryx (SRS Stack).
    Oryx,
    /// CloudEvents 1.0 in structured JSON.
    CloudEvents,
}

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventClass {
    /// The answer decides whether somebody gets in.
    Admission,
    /// The answer says what to do; without one the server does as it would.
    Query,
    /// Told until it is taken.
    Notification,
    /// Told once, and soon out of date.
    Heartbeat,
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $snake:literal: $class:ident, $source:literal;)*) => {
        /// What a back end can be asked or told. The names are those of the callbacks: `on_stream_changed` is `StreamChanged`.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Display, IntoStaticStr,
        )]
        pub enum HookEvent {
            $($(#[$doc])* $name,)*
        }

        impl HookEvent {
            /// Every event, in the order of its variants.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name of the callback, such as `on_publish`.
            pub fn callback(self) -> &'static str {
                match self { $(Self::$name => concat!("on_", $snake),)* }
            }

            /// The `type` of the CloudEvent, such as `dev.headgate.publish.v1`.
            pub fn cloud_event(self) -> &'static str {
                match self { $(Self::$name => concat!("dev.headgate.", $snake, ".v1"),)* }
            }

            /// What becomes of it.
            pub fn class(self) -> EventClass {
                match self { $(Self::$name => EventClass::$class,)* }
            }

            /// Whether there is a part yet that raises it.
            pub fn has_source(self) -> bool {
                match self { $(Self::$name => $source,)* }
            }
        }
    };
}

events! {
    /// A client connected.
    Connect = "connect": Admission, true;
    /// A client that had connected left.
    Close = "close": Notification, true;
    /// A publisher wants to start.
    Publish = "publish": Admission, true;
    /// A publisher that had started ended.
    Unpublish = "unpublish": Notification, true;
    /// A player wants to start.
    Play = "play": Admission, true;
    /// A player that had started ended.
    Stop = "stop": Notification, true;
    /// A stream can be played, or no longer.
    StreamChanged = "stream_changed": Notification, true;
    /// A stream has had no player for a while.
    StreamNoneReader = "stream_none_reader": Query, true;
    /// A player waits for a stream that nobody publishes.
    StreamNotFound = "stream_not_found": Query, true;
    /// How much a session that ended has carried.
    FlowReport = "flow_report": Notification, true;
    /// A file is asked for over HTTP.
    HttpAccess = "http_access": Admission, true;
    /// An RTSP player must perhaps name itself.
    RtspRealm = "rtsp_realm": Admission, false;
    /// An RTSP player named itself.
    RtspAuth = "rtsp_auth": Admission, false;
    /// Somebody logs in at a shell.
    ShellLogin = "shell_login": Admission, false;
    /// A segment of HLS is complete.
    Hls = "hls": Notification, true;
    /// A recorded file is complete.
    Dvr = "dvr": Notification, false;
    /// A publisher starts, and may be pushed on.
    Forward = "forward": Query, true;
    /// An MP4 recording is complete.
    RecordMp4 = "record_mp4": Notification, false;
    /// A segment of HLS is complete, as ZLMediaKit tells of it.
    RecordTs = "record_ts": Notification, true;
    /// A recording began.
    RecordBegin = "record_begin": Notification, false;
    /// A recording ended.
    RecordEnd = "record_end": Notification, false;
    /// A media process started.
    ServerStarted = "server_started": Notification, true;
    /// A media process ends in peace.
    ServerExited = "server_exited": Notification, true;
    /// A media process is there.
    ServerKeepalive = "server_keepalive": Heartbeat, true;
    /// Nothing came at an RTP port that was opened.
    RtpServerTimeout = "rtp_server_timeout": Notification, false;
    /// RTP that was sent to somebody stopped.
    SendRtpStopped = "send_rtp_stopped": Notification, false;
}

impl HookEvent {
    /// Whether it is about a server and not about one of its streams.
    pub fn is_of_server(self) -> bool {
        matches!(
            self,
            Self::ServerStarted | Self::ServerExited | Self::ServerKeepalive | Self::ShellLogin
        )
    }

    /// Whether it ends what an earlier event began, so that a repeat must carry the same id.
    pub fn is_closing(self) -> bool {
        matches!(self, Self::Close | Self::Unpublish | Self::Stop | Self::FlowReport)
    }
}

impl Dialect {
    /// Every dialect.
    pub const ALL: &'static [Self] = &[Self::Srs, Self::SrsV1, Self::ZLMediaKit, Self::Oryx, Self::CloudEvents];

    /// Whether the dialect has a word for an event.
    pub fn has(self, event: HookEvent) -> bool {
        use HookEvent as E;
        let session = matches!(event, E::Publish | E::Unpublish | E::Play | E::Stop);
        let connection = matches!(event, E::Connect | E::Close);
        match self {
            Self::Srs => session || connection || matches!(event, E::Dvr | E::Hls | E::Forward),
            Self::SrsV1 => session || connection,
            Self::ZLMediaKit => !matches!(
                event,
                E::Connect
                    | E::Close
                    | E::Unpublish
                    | E::Stop
                    | E::Dvr
                    | E::Hls
                    | E::Forward
                    | E::RecordBegin
                    | E::RecordEnd
            ),
            Self::Oryx => matches!(event, E::Publish | E::Unpublish | E::RecordBegin | E::RecordEnd),
            // What only names the same thing in another server's way has one name here.
            Self::CloudEvents => !matches!(
                event,
                E::Dvr | E::RecordMp4 | E::RecordTs | E::FlowReport | E::ShellLogin
            ),
        }
    }

    /// The events that an endpoint takes which names none.
    pub fn usual(self) -> &'static [HookEvent] {
        use HookEvent as E;
        match self {
            Self::Srs | Self::CloudEvents => &[E::Publish, E::Unpublish, E::Play, E::Stop],
            Self::SrsV1 => &[E::Connect, E::Close, E::Publish, E::Unpublish, E::Play, E::Stop],
            Self::ZLMediaKit => &[
                E::Publish,
                E::Play,
                E::StreamChanged,
                E::StreamNoneReader,
                E::StreamNotFound,
                E::FlowReport,
                E::ServerStarted,
                E::ServerExited,
                E::ServerKeepalive,
            ],
            Self::Oryx => &[E::Publish, E::Unpublish, E::RecordBegin, E::RecordEnd],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `StreamChanged` of `on_stream_changed`.
    fn pascal(callback: &str) -> String {
        let words = callback.trim_start_matches("on_").split('_');
        let capital = |word: &str| {
            let mut letters = word.chars();
            letters
                .next()
                .map(|first| format!("{}{}", first.to_ascii_uppercase(), letters.as_str()))
                .unwrap_or_default()
        };
        words.map(capital).collect()
    }

    #[test]
    fn the_name_of_an_event_is_that_of_its_callback() {
        for event in HookEvent::ALL {
            assert_eq!(pascal(event.callback()), event.to_string());
        }
    }

    #[test]
    fn a_dialect_has_what_it_takes_when_nothing_is_said_and_every_event_is_in_one() {
        for dialect in Dialect::ALL {
            assert!(dialect.usual().iter().all(|event| dialect.has(*event)), "{dialect}");
        }
        for event in HookEvent::ALL {
            assert!(Dialect::ALL.iter().any(|dialect| dialect.has(*event)), "{event}");
        }
    }
}
