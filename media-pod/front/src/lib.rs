//! What happens to a connection before any protocol is spoken on it: it is accepted or turned away, it says where it comes from when a
//! proxy stands in between, and it is encrypted where the listener asks for that.
//!
//! A [`Door`] stands behind one listening socket. What it hands on is an [`Arrival`]: a [`Socket`] that is read and written in the same
//! way with and without TLS, and the address that hooks, checks and logs are to see. Bounds: connections in all and from one address,
//! and one deadline for everything up to there. Sockets that get much and often can be heard together: [`Rounds`].

mod accept;
mod census;
mod door;
mod forwarded;
mod link;
mod metrics;
mod networks;
mod proxy;
mod rounds;
mod socket;
mod tls;

pub use accept::Ends;
pub use census::{Bounds, Census, Guest};
pub use door::{Arrival, Door, Rules, Turned};
pub use forwarded::client_behind;
pub use metrics::Metrics;
pub use networks::Networks;
pub use proxy::{BadHeader, HEADER_MAX, Header, parse};
pub use rounds::{Caller, Rounds};
pub use socket::Socket;
pub use tls::{Alpn, BadCertificate, Certificate, server_config};
