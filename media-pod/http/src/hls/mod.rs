//! HLS: each viewer is a session that its requests keep alive, and all viewers of a stream share its segments.
//!
//! The first request for a playlist is asked of the gate like any viewer, and answered with a playlist of one variant, whose address carries the
//! session. A session ends when nobody has asked for its playlist for three target durations. Segments are the same for all and can be cached:
//! their names hold a random word that only those know who were given a playlist.

mod answer;
mod live;
mod path;
mod sessions;

pub(crate) use answer::answer;
pub(crate) use path::HlsPath;
pub(crate) use sessions::Sessions;
