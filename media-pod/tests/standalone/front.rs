//! What stands before a protocol: TLS with certificates that are renewed, proxies, bounds.

use crate::client::{Link, RtmpClient};
use crate::place::{Place, free_port, key, manifest};
use headgate_control::ListenerReport;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// A self-signed certificate with its Secret.
pub struct Issued {
    pub pem: String,
    pub secret: String,
}

pub fn issue(name: &str) -> Issued {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let secret = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "type": "kubernetes.io/tls",
        "stringData": { "tls.crt": pem, "tls.key": key },
    });
    Issued {
        pem,
        secret: secret.to_string(),
    }
}

/// Trusts that certificate and no other.
pub async fn dial(port: u16, trusted: &Issued) -> std::io::Result<impl Link + 'static> {
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(trusted.pem.as_bytes()).unwrap())
        .unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

/// Whether a new connection is shown that certificate, within some time.
async fn shows(port: u16, trusted: &Issued) -> Duration {
    let start = Instant::now();
    while dial(port, trusted).await.is_err() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "the certificate is not in force"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    start.elapsed()
}

fn listening(listeners: &str) -> String {
    manifest("MediaServer", "live", &format!("listeners: [{listeners}]"))
}

fn client(trusted: &Issued) -> reqwest::ClientBuilder {
    let root = reqwest::Certificate::from_pem(trusted.pem.as_bytes()).unwrap();
    reqwest::Client::builder()
        .tls_certs_only([root])
        .timeout(Duration::from_secs(20))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_to_who_comes_and_cuts_nobody_who_is_there() {
    let (rtmps, https) = (free_port(), free_port());
    let (first, second) = (issue("cert"), issue("cert"));
    let place = Place::start(&[("key", key("alice", "s3cr3t-of-alice")), ("cert", first.secret.clone())]).await;
    let listeners = format!(
        "{{name: rtmps, protocol: RTMPS, port: {rtmps}, tls: {{secretName: cert}}}}, {{name: https, protocol: HTTPS, port: {https}, tls: {{secretName: cert}}}}"
    );
    place.put_in_force("server", &listening(&listeners)).await;
    let socket = dial(rtmps, &first).await.unwrap();
    let mut publisher = RtmpClient::publish_over(socket, "a?secret=s3cr3t-of-alice")
        .await
        .unwrap();

    let mut viewer = dial(https, &first).await.unwrap();
    viewer
        .write_all(b"GET /live/a.flv HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut seen = Vec::new();
    while !seen.windows(3).any(|w| w == b"FLV") {
        publisher.send_audio().await;
        let read = timeout(Duration::from_secs(10), viewer.read_buf(&mut seen));
        assert!(read.await.unwrap().unwrap() > 0);
    }

    let start = Instant::now();
    place.write("cert", &second.secret);
    shows(rtmps, &second).await;
    shows(https, &second).await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(
        dial(rtmps, &first).await.is_err(),
        "the old certificate is shown no more"
    );

    assert!(publisher.is_live().await);
    let had = seen.len();
    while seen.len() < had + 100 {
        publisher.send_audio().await;
        assert!(
            timeout(Duration::from_secs(10), viewer.read_buf(&mut seen))
                .await
                .unwrap()
                .unwrap()
                > 0
        );
    }
    let page = place.get("/resources").await.1 + &place.get("/metrics").await.1;
    assert!(
        page.contains(&format!("https://127.0.0.1:{https}")) && page.contains("every listener has its certificate")
    );
    assert!(!page.contains("PRIVATE KEY"));
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_and_http1_are_spoken_on_one_port_and_media_goes_out_over_both() {
    let (port, cert) = (free_port(), issue("cert"));
    let place = Place::start(&[("key", key("alice", "s3cr3t-of-alice")), ("cert", cert.secret.clone())]).await;
    let listeners = format!(
        "{{name: rtmp, protocol: RTMP, port: {}}}, {{name: https, protocol: HTTPS, port: {port}, tls: {{secretName: cert}}}}",
        place.rtmp
    );
    place.put_in_force("server", &listening(&listeners)).await;
    let mut publisher = RtmpClient::publish(place.rtmp, "a?secret=s3cr3t-of-alice")
        .await
        .unwrap();
    let url = format!("https://localhost:{port}/live/a.flv");
    for (client, version) in [
        (client(&cert), reqwest::Version::HTTP_2),
        (client(&cert).http1_only(), reqwest::Version::HTTP_11),
    ] {
        let client = client.build().unwrap();
        let preflight = client.request(reqwest::Method::OPTIONS, &url).send().await.unwrap();
        assert_eq!((preflight.status().as_u16(), preflight.version()), (204, version));
        assert_eq!(preflight.headers()["access-control-allow-origin"], "*");
        let mut media = client.get(&url).send().await.unwrap();
        assert_eq!((media.status().as_u16(), media.version()), (200, version));
        assert_eq!(media.headers()["content-type"], "video/x-flv");
        let mut seen = Vec::new();
        while seen.len() < 200 {
            publisher.send_audio().await;
            seen.extend(media.chunk().await.unwrap().expect("the stream goes on"));
        }
        assert_eq!(seen[..3], *b"FLV");
        let missing = client
            .get(format!("https://localhost:{port}/nothing"))
            .send()
            .await
            .unwrap();
        assert_eq!(missing.status().as_u16(), 404);
    }
}

#[tokio::test]
async fn a_listener_without_a_certificate_says_so_and_the_others_serve() {
    let (port, cert) = (free_port(), issue("cert"));
    let place = Place::start(&[("key", key("alice", "s3cr3t-of-alice"))]).await;
    let listeners = format!(
        "{{name: rtmp, protocol: RTMP, port: {}}}, {{name: rtmps, protocol: RTMPS, port: {port}, tls: {{secretName: cert}}}}",
        place.rtmp
    );
    place.put_in_force("server", &listening(&listeners)).await;
    place.shows("Secret \"cert\" does not exist").await;
    assert_eq!(place.pod.unready(), None);
    assert!(
        RtmpClient::publish(place.rtmp, "a?secret=s3cr3t-of-alice")
            .await
            .is_ok()
    );
    let problem = |r: &ListenerReport| r.problem.as_ref().map(|p| p.reason.clone());
    let problems: Vec<_> = place.pod.report().listeners.iter().map(problem).collect();
    assert_eq!(problems, [None, Some("NoCertificate".to_owned())]);
    place.write("cert", &cert.secret);
    shows(port, &cert).await;
    place.shows("every listener has its certificate").await;
    place.write("cert", "");
    place.shows("Secret \"cert\" does not exist").await;
    assert!(dial(port, &cert).await.is_ok(), "what is there goes on");
}

/// A publish behind a PROXY header.
async fn publish_through(port: u16, header: &str) -> Result<RtmpClient, String> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    socket.write_all(header.as_bytes()).await.unwrap();
    RtmpClient::publish_over(socket, "a?secret=s3cr3t-of-alice").await
}

#[tokio::test]
async fn the_address_that_a_trusted_proxy_says_is_the_one_that_counts() {
    let port = free_port();
    let from = "allowedCidrs: [203.0.113.0/24], serverRefs";
    let place = Place::start(&[("key", key("alice", "s3cr3t-of-alice").replace("serverRefs", from))]).await;
    let behind = |network: &str| {
        listening(&format!(
            "{{name: rtmp, protocol: RTMP, port: {port}, proxyProtocol: {{trustedCidrs: [{network}]}}}}"
        ))
    };
    let (good, bad) = (
        "PROXY TCP4 203.0.113.7 10.0.0.1 4711 1935\r\n",
        "PROXY TCP4 198.51.100.7 10.0.0.1 4711 1935\r\n",
    );
    place.put_in_force("server", &behind("127.0.0.0/8")).await;
    let mut publisher = publish_through(port, good).await.unwrap();
    place.shows("203.0.113.7").await;
    assert!(publisher.is_live().await);
    drop(publisher);
    assert!(
        publish_through(port, bad)
            .await
            .err()
            .unwrap()
            .starts_with("AddressNotAllowed")
    );
    assert!(publish_through(port, "").await.is_err(), "from there it must come");

    // The same listener, and nobody is trusted who is here.
    place.put_in_force("server", &behind("10.0.0.0/8")).await;
    assert!(
        publish_through(port, good).await.is_err(),
        "a header of somebody else is no proxy's"
    );
    assert!(
        publish_through(port, "")
            .await
            .err()
            .unwrap()
            .starts_with("AddressNotAllowed")
    );
    let metrics = place.get("/metrics").await.1;
    assert!(
        metrics.contains("headgate_connections_refused_total{reason=\"BadProxyHeader\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("headgate_connections_refused_total{reason=\"ProxyNotTrusted\"} 1"),
        "{metrics}"
    );
}

#[tokio::test]
async fn the_address_in_x_forwarded_for_counts_from_a_trusted_proxy_alone() {
    let port = free_port();
    let key = key("viewer", "s3cr3t-of-viewer").replace(
        "serverRefs",
        "permissions: [Play], allowedCidrs: [203.0.113.0/24], serverRefs",
    );
    let place = Place::start(&[("key", key)]).await;
    let behind = |network: &str| {
        let listener =
            format!("{{name: http, protocol: HTTP, port: {port}, forwardedFor: {{trustedCidrs: [{network}]}}}}");
        manifest(
            "MediaServer",
            "live",
            &format!("play: {{authentication: StreamKey}}, listeners: [{listener}]"),
        )
    };
    let status = async |forwarded: &str| {
        let url = format!("http://127.0.0.1:{port}/live/a.m3u8?secret=s3cr3t-of-viewer");
        let request = reqwest::Client::new().get(url).header("X-Forwarded-For", forwarded);
        request
            .timeout(Duration::from_secs(2))
            .send()
            .await
            .map(|a| a.status().as_u16())
    };
    place.put_in_force("server", &behind("127.0.0.0/8")).await;
    assert_eq!(
        status("203.0.113.7, 198.51.100.1").await.unwrap(),
        403,
        "the right-most counts"
    );
    // It is let in, and waits for the stream, or is told that there is none.
    assert!(
        status("198.51.100.1, 203.0.113.7")
            .await
            .map_or(true, |status| status == 404)
    );
    place.put_in_force("server", &behind("10.0.0.0/8")).await;
    assert_eq!(
        status("203.0.113.7").await.unwrap(),
        403,
        "nobody is believed who is not trusted"
    );
}

#[tokio::test]
async fn more_connections_than_the_bounds_allow_are_closed_at_once() {
    let place = Place::start(&[]).await;
    let bounded = |limits: &str| {
        let listener = format!("{{name: rtmp, protocol: RTMP, port: {}}}", place.rtmp);
        manifest(
            "MediaServer",
            "live",
            &format!("limits: {{{limits}}}, listeners: [{listener}]"),
        )
    };
    place.put_in_force("server", &bounded("connectionsPerAddress: 2")).await;
    let connect = async || TcpStream::connect(("127.0.0.1", place.rtmp)).await.unwrap();
    let is_closed = async |mut socket: TcpStream| {
        let read = timeout(Duration::from_secs(5), socket.read(&mut [0; 1])).await;
        matches!(read, Ok(Ok(0) | Err(_)))
    };
    let held = [connect().await, connect().await];
    assert!(is_closed(connect().await).await);
    drop(held);
    place.put_in_force("server", &bounded("connectionsPerPod: 1")).await;
    let start = Instant::now();
    let mut held = None;
    while held.is_none() {
        // Those that are gone give their places back in a moment.
        let mut socket = connect().await;
        let open = timeout(Duration::from_millis(200), socket.read(&mut [0; 1]))
            .await
            .is_err();
        held = open.then_some(socket);
        assert!(start.elapsed() < Duration::from_secs(10));
    }
    assert!(is_closed(connect().await).await);
    let metrics = place.get("/metrics").await.1;
    assert!(
        metrics.contains("headgate_connections_refused_total{reason=\"AddressLimitReached\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("headgate_connections_refused_total{reason=\"LimitReached\"}"),
        "{metrics}"
    );
    drop(held);
}

#[tokio::test]
async fn a_publisher_that_sends_much_more_than_its_limit_is_cut_and_told_why() {
    let place = Place::start(&[("key", key("alice", "s3cr3t-of-alice"))]).await;
    let listener = format!("{{name: rtmp, protocol: RTMP, port: {}}}", place.rtmp);
    let spec = format!("limits: {{ingestKilobitsPerSecond: 64}}, listeners: [{listener}]");
    place
        .put_in_force("server", &manifest("MediaServer", "live", &spec))
        .await;
    let mut publisher = RtmpClient::publish(place.rtmp, "a?secret=s3cr3t-of-alice")
        .await
        .unwrap();
    // 8,000 bytes a second may come: what is worth 5 s passes at once, what is worth 20 s is too much.
    publisher.send_video(0, vec![0x27; 30_000].into()).await;
    assert!(publisher.is_live().await);
    publisher.send_video(40, vec![0x27; 160_000].into()).await;
    let mut said = String::new();
    while let Some(event) = publisher.event().await {
        said = format!("{said}{event:?}");
    }
    assert!(said.contains("IngestTooFast"), "{said}");
    place
        .shows_metric("headgate_sessions_ended_total{reason=\"IngestTooFast\"} 1")
        .await;
}
