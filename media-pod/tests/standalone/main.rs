//! A whole standalone pod on loopback: manifests in, sessions through, hooks out.

mod back_end;
mod client;
mod media;
mod place;
mod reload;
mod sessions;
