//! HLS: each viewer is a session that its requests keep alive, and all viewers of a stream share its segments.
//!
//! The first request for a playlist is asked of the gate like any viewer, and answered with a playlist of one variant, whose address carries the
//! session's word: signed, so that no client can choose one, and good for that stream alone. The session ends when nobody has asked for its playlist
//! for three target durations, and ten seconds at least. Segments are the same for all and can be cached: their names hold words that only those know
//! who were given a playlist that names them.

mod answer;
mod elsewhere;
mod file;
mod live;
mod path;
mod segments;
mod sessions;
mod settings;
mod word;

pub(crate) use answer::answer;
pub use elsewhere::{Elsewhere, HlsHome, Home, Question};
pub(crate) use path::HlsPath;
pub use segments::{Segment, SegmentNews, Segments};
pub use sessions::Hls;
pub use settings::HlsSettings;
pub use word::HlsKey;
