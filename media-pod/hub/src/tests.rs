//! The hub from outside, on a paused clock.
#![allow(clippy::arithmetic_side_effects)]

mod chaos;
mod contest;
mod edges;
mod media;
mod moving;
mod pass;
mod rename;
mod schedules;
mod sessions;
mod step;
mod streams;
mod support;
mod unfit;
