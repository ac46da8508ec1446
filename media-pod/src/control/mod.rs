//! The control port: where the operator puts configs, reads reports and ends sessions, and where the server's other pods ask for names and streams.
//! Mutual TLS; nobody else is answered.

mod caller;
mod ledger;
mod outbox;
mod peers;
mod reports;
mod routes;
mod serve;
mod tls;

pub use caller::Caller;
pub use routes::router;
pub use serve::serve;
pub use tls::{BadTls, Tls, identity};
