//! Real media: ffmpeg in, ffprobe out.
