//! Back ends over https, and what a request proves: a CA of one's own, a client certificate, headers, no redirects, bounded answers.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that panics fails, as it should"
)]

mod common;

use common::{endpoint, place, publisher, server};
use headgate_control::{HookCredentials, HookEndpoint, HookHeader};
use headgate_hooks::{Hooks, Storage};
use headgate_hub::{Reason, Refusal};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{Receiver, channel};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA")
}

/// A certificate for this name, and its key.
fn issued(by: &Authority, name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([name.to_owned()]).expect("parameters");
    (params.signed_by(&key, by).expect("a certificate"), key)
}

fn identity(by: &Authority) -> String {
    let (certificate, key) = issued(by, "pod.test");
    format!("{}{}", certificate.pem(), key.serialize_pem())
}

/// A back end over TLS that says yes, and what it was asked with. With `clients` only those whose certificate that signed.
async fn secure(own: &Authority, clients: Option<&Authority>) -> (SocketAddr, Receiver<String>, AbortOnDropHandle<()>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let (certificate, key) = issued(own, "localhost");
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.der().clone()).expect("a CA");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = builder
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a config");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (asked, questions) = channel(64);
    let serve = async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(mut socket) = acceptor.accept(socket).await else {
                continue;
            };
            let mut bytes = vec![0; 16 * 1024];
            // A probe connects, and sends nothing.
            let length = socket.read(&mut bytes).await.unwrap_or(0);
            if length == 0 {
                continue;
            }
            let _ = asked.send(String::from_utf8_lossy(&bytes[..length]).into_owned()).await;
            let _ = socket
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n0")
                .await;
            let _ = socket.shutdown().await;
        }
    };
    (address, questions, AbortOnDropHandle::new(tokio::spawn(serve)))
}

async fn ask(url: &str, credentials: HookCredentials) -> Result<(), Refusal> {
    let registry = prometheus::Registry::new();
    let hooks = Hooks::new(&registry, "v5q25s67", &place(true), &Storage::default()).expect("hooks");
    let endpoint = HookEndpoint {
        urls: vec![url.to_owned()],
        credentials,
        ..endpoint("b")
    };
    hooks.reconfigure(&server(), &[endpoint]);
    hooks.publish(&publisher("alice")).await
}

fn url(address: SocketAddr) -> String {
    format!("https://localhost:{}/hook", address.port())
}

#[tokio::test]
async fn a_back_end_is_asked_over_https_only_when_its_authority_is_the_one_that_is_named() {
    let (right, wrong) = (authority(), authority());
    let (address, mut asked, _backend) = secure(&right, None).await;
    let trusting = |authority: &Authority| HookCredentials {
        authorities: Some(authority.pem()),
        ..HookCredentials::default()
    };
    ask(&url(address), trusting(&right)).await.expect("a yes");
    assert!(asked.try_recv().is_ok_and(|request| request.starts_with("POST /hook ")));
    for credentials in [trusting(&wrong), HookCredentials::default()] {
        let refusal = ask(&url(address), credentials).await.expect_err("not verified");
        assert_eq!(refusal.reason, Reason::HookUnreachable);
    }
    let by_address = format!("https://127.0.0.1:{}/hook", address.port());
    ask(&by_address, trusting(&right))
        .await
        .expect_err("the certificate is for another name");
    assert!(asked.try_recv().is_err(), "nothing was sent to whom was not verified");
}

#[tokio::test]
async fn a_pod_shows_its_certificate_to_who_asks_for_it() {
    let (own, clients) = (authority(), authority());
    let (address, mut asked, _backend) = secure(&own, Some(&clients)).await;
    let with = |identity: Option<String>| HookCredentials {
        authorities: Some(own.pem()),
        identity: identity.map(Into::into),
        ..HookCredentials::default()
    };
    ask(&url(address), with(None)).await.expect_err("without a certificate");
    ask(&url(address), with(Some(identity(&own))))
        .await
        .expect_err("of another authority");
    assert!(asked.try_recv().is_err());
    ask(&url(address), with(Some(identity(&clients)))).await.expect("a yes");
}

#[tokio::test]
async fn a_header_goes_with_each_request_and_no_redirect_takes_it_elsewhere() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (here, there) = (
        listener.local_addr().expect("one"),
        elsewhere.local_addr().expect("one"),
    );
    let backend = tokio::spawn(async move {
        let mut bytes = vec![0; 16 * 1024];
        let (mut socket, length) = loop {
            let (mut socket, _) = listener.accept().await.expect("a client");
            match socket.read(&mut bytes).await {
                Ok(length) if length > 0 => break (socket, length),
                // A probe.
                _ => {}
            }
        };
        let answer = format!("HTTP/1.1 307 Moved\r\nLocation: http://{there}/\r\nContent-Length: 0\r\n\r\n");
        socket.write_all(answer.as_bytes()).await.expect("a client");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    });
    let credentials = HookCredentials {
        headers: vec![HookHeader {
            name: "Authorization".into(),
            value: "Bearer s3cret".into(),
        }],
        ..HookCredentials::default()
    };
    let refusal = ask(&format!("http://{here}/hook"), credentials)
        .await
        .expect_err("no answer");
    assert_eq!(refusal.reason, Reason::HookBadStatus);
    assert!(!refusal.message.contains("s3cret"));
    assert!(
        backend
            .await
            .expect("served")
            .contains("Authorization: Bearer s3cret\r\n")
    );
    let nobody = tokio::time::timeout(std::time::Duration::from_millis(100), elsewhere.accept()).await;
    assert!(nobody.is_err(), "nobody came");
}

#[tokio::test]
async fn an_answer_with_too_many_headers_is_none() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let here = listener.local_addr().expect("one");
    let _backend = AbortOnDropHandle::new(tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut bytes = vec![0; 16 * 1024];
            let _ = socket.read(&mut bytes).await;
            let many = "X-Y: z\r\n".repeat(200);
            let answer = format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 1\r\n\r\n0");
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    }));
    let refusal = ask(&format!("http://{here}/hook"), HookCredentials::default()).await;
    assert_eq!(refusal.expect_err("no answer").reason, Reason::HookUnreachable);
}
