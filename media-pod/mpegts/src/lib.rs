//! MPEG-2 transport streams (ISO/IEC 13818-1): both ways, without I/O.
//!
//! A [`Muxer`] turns frames into 188-byte packets of one program; a [`Demuxer`] turns packets into tracks and frames. Carried are H.264 and H.265
//! (Annex B, an access unit delimiter before each picture, parameter sets before each key frame), AAC in ADTS, MP3 and Opus. Other codecs have no
//! place in a transport stream that players agree on: the muxer leaves their tracks out.
//!
//! Limits of the demuxer: 8 tracks, sections of 1,021 bytes, 16 MiB a frame, 32 MiB in all.

mod adts;
mod annexb;
mod crc;
mod demux;
mod error;
mod lane;
mod mux;
mod packet;
mod pes;
mod sections;
mod split;

pub use demux::{Demuxed, Demuxer};
pub use error::Error;
pub use lane::carries;
pub use mux::Muxer;

/// Bytes of a packet.
pub const PACKET_BYTES: usize = 188;
/// Tracks of the program; what is beyond is left out.
pub const TRACKS_MAX: usize = 8;

/// The stream's program map. Its program is number 1.
const PMT_PID: u16 = 0x1000;
/// A track's packets are under this and the track's id.
const FIRST_PID: u16 = 0x100;

#[cfg(test)]
mod tests;
