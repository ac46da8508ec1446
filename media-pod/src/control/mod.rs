//! The control port: where the operator puts configs, reads reports and ends sessions. Mutual TLS; nobody but the operator is answered.

mod reports;
mod routes;
mod serve;
mod tls;

pub use routes::router;
pub use serve::serve;
pub use tls::{BadTls, Tls};
