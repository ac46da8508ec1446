//! Who asks on the control port, and what each may ask for.

use super::tls::Names;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rustls::pki_types::CertificateDer;

/// Whose certificate it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The operator.
    Operator,
    /// A pod of this server.
    Pod,
}

/// What stands below it is for pods.
const PEER_PATHS: &str = "/v1/peer/";

impl Caller {
    /// `None` for a name that nobody here answers.
    pub(super) fn of(certificate: &CertificateDer<'_>, names: &Names) -> Option<Self> {
        if names.is_operator(certificate) {
            Some(Self::Operator)
        } else {
            names.is_pod(certificate).then_some(Self::Pod)
        }
    }

    fn may(self, path: &str) -> bool {
        path.starts_with(PEER_PATHS) == (self == Self::Pod)
    }
}

/// Lets through what the caller may ask for.
pub(super) async fn authorize(request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>();
    if caller.is_some_and(|caller| caller.may(request.uri().path())) {
        next.run(request).await
    } else {
        StatusCode::FORBIDDEN.into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_and_the_pods_have_their_own_paths() {
        let cases = [
            ("/v1/config", true, false),
            ("/v1/report", true, false),
            ("/v1/peer/claims", false, true),
            ("/v1/peer/outbox", false, true),
            ("/v1/peerless", true, false),
            ("/", true, false),
        ];
        for (path, operator, pod) in cases {
            assert_eq!(
                (Caller::Operator.may(path), Caller::Pod.may(path)),
                (operator, pod),
                "{path}"
            );
        }
    }
}
