//! HLS among the pods of a server: what one asks another in a viewer's place, over the control ports.

mod alive;
mod answer;
mod ask;
mod metrics;

pub use self::answer::answer;
pub use self::ask::HlsPeers;
pub use self::metrics::Metrics;

use axum::http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName};

/// What is about a connection and not about what is said over it.
const HOP_BY_HOP: [HeaderName; 4] = [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];

fn without_hops(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Whatever stood under the new name is gone.
fn rename(headers: &mut HeaderMap, from: &HeaderName, to: &HeaderName) {
    let value = headers.remove(from);
    headers.remove(to);
    if let Some(value) = value {
        headers.insert(to, value);
    }
}
