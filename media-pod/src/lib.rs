//! The media pod: one process that takes live streams in, gives them out, asks and tells back ends about every session, and says how it
//! does. Runs in a cluster, told by its operator, or standalone, told by a folder of manifests.

#[path = "hub_draft.rs"]
mod hub;
pub mod keys;
