//! The end-to-end crate.

pub mod generate;
pub mod scrape;
