//! A real Kubernetes on one machine: the control plane on the host side of a bridge, each node in a network namespace.
//!
//! Everything it runs is derived from [`Layout`] by pure functions, a file a component, so that `up` can tell by a
//! fingerprint whether the cluster that is there is the one that is wanted. `teardown` undoes all of it.

pub mod apiserver;
pub mod certs;
pub mod cgroups;
pub mod controllers;
pub mod coredns;
pub mod daemon;
pub mod etcd;
pub mod layout;
pub mod network;
pub mod node;
pub mod status;
pub mod teardown;
pub mod up;

pub use layout::{Layout, NODES, Node};
