//! The end-to-end crate: a real Kubernetes on one machine, a harness, and the scenarios that run on it.
//!
//! `tools` makes the programs that are needed, `cluster` runs Kubernetes from them, `images` builds and imports what is
//! tested, `harness` is what scenarios are written with, and `scenarios` holds one file a scenario.

pub mod benches;
pub mod cli;
pub mod cluster;
pub mod command;
pub mod demo;
pub mod error;
pub mod fuzz;
pub mod generate;
pub mod harness;
pub mod http_get;
pub mod images;
pub mod media;
pub mod players;
pub mod proxy;
pub mod receiver;
pub mod scenarios;
pub mod scrape;
pub mod sigkill;
pub mod slow_link;
pub mod synthetic;
pub mod tools;
pub mod ui;
pub mod verify;
