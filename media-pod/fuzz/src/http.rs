//! What HTTP clients say, beyond what the HTTP library reads.

pub(crate) fn path(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        headgate_http::fuzz::path(text);
    }
}

pub(crate) fn websocket(data: &[u8]) {
    let kept = headgate_http::fuzz::websocket(crate::pieces(data));
    assert!(kept <= 64 * 1024, "{kept} bytes of a client are kept");
}
