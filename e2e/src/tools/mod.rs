//! The programs that the cluster and the scenarios need: Debian packages, and what is built from Go modules.

pub mod apt;
pub mod go;
pub mod lock;
pub mod node;
pub mod paths;
pub mod python;
pub mod webhooks;
