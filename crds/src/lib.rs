//! The Headgate API, group `headgate.dev`, version `v1alpha1`: one file a kind.
//!
//! The CustomResourceDefinitions under `crds/yaml/` are generated from these types (`cargo e2e generate`); a test fails when
//! they differ. Every string, list and number has a bound, so that the API server can price the CEL rules. A field stands
//! here only when something implements it: what is not in the schema is refused, never ignored.

mod bounds;
pub mod condition;
pub mod generate;
mod hook_endpoint;
mod listener;
mod media_server;
mod stream;
mod stream_key;
#[cfg(test)]
mod tests;

pub use bounds::{ObjectRef, SecretKeyRef};
pub use hook_endpoint::*;
pub use listener::*;
pub use media_server::*;
pub use stream::*;
pub use stream_key::*;

/// Group of every kind, and prefix of our labels and finalizers.
pub const GROUP: &str = "headgate.dev";
