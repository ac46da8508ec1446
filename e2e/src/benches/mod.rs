//! Benches: what is promised in figures, measured and printed beside a floor or a goal.

pub mod hls;
pub mod hooks;
pub mod media;
pub mod operator_faults;
pub mod operator_scale;
mod release;
mod results;

pub use results::{Figure, Results};
