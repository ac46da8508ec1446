//! The media pod: one process that takes live streams in, gives them out, asks and tells back ends about every session, and says how it
//! does. Runs in a cluster, told by its operator, or standalone, told by a folder of manifests. Both put a config in force the same way:
//! [`pod::Pod::apply`].

pub mod admin;
pub mod cli;
pub mod cluster;
pub mod control;
pub mod drain;
mod farewell;
pub mod gate;
mod hls_peers;
pub mod keys;
mod letters;
pub mod listeners;
pub mod log;
mod metrics;
pub mod nofile;
pub mod pod;
mod pushes;
pub mod report;
mod revoked;
mod segments;
pub mod standalone;
mod state;
mod stop;
mod unwatched;
