//! Benches: what is promised in figures, measured and printed beside a floor or a goal.

pub mod media;
