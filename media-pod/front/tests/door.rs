//! Doors on loopback, with real clients.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test may fail by panic"
)]

use headgate_front::{Alpn, Arrival, Census, Certificate, Door, Ends, Networks, Rules};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const SOON: Duration = Duration::from_secs(20);

/// What came through the door.
struct House {
    address: SocketAddr,
    arrivals: mpsc::Receiver<Arrival>,
    stop: CancellationToken,
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn house(door: Door) -> House {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, arrivals) = mpsc::channel(8);
    let stop = CancellationToken::new();
    let ends = Ends {
        closed: stop.clone(),
        shutdown: stop.clone(),
    };
    tokio::spawn(async move {
        let tasks = TaskTracker::new();
        let serve = move |arrival| {
            let sender = sender.clone();
            async move {
                let _ = sender.send(arrival).await;
            }
        };
        door.keep(listener, &tasks, &ends, serve).await;
    });
    House {
        address,
        arrivals,
        stop,
    }
}

impl House {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn arrival(&mut self) -> Arrival {
        timeout(SOON, self.arrivals.recv()).await.unwrap().unwrap()
    }
}

async fn is_closed(mut socket: TcpStream) -> bool {
    let read = timeout(SOON, socket.read(&mut [0; 1])).await;
    matches!(read.unwrap(), Ok(0) | Err(_))
}

fn proxied() -> Door {
    let door = Door::default().with_patience(Duration::from_millis(300));
    let proxies: Networks = ["127.0.0.0/8".parse().unwrap()].into_iter().collect();
    door.set_rules(Rules {
        proxies,
        ..Rules::default()
    });
    door
}

#[tokio::test]
async fn what_follows_a_proxys_header_is_the_protocols() {
    let mut house = house(proxied()).await;
    let mut socket = house.connect().await;
    for piece in [&b"PROXY TCP4 203.0.1"[..], b"13.7 10.0.0.1 4711 1935\r\nhel", b"lo"] {
        socket.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut arrival = house.arrival().await;
    assert_eq!(arrival.peer.to_string(), "203.0.113.7:4711");
    let mut said = [0; 5];
    arrival.socket.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"hello");
}

#[tokio::test]
async fn a_proxy_that_speaks_for_itself_is_the_peer() {
    let mut house = house(proxied()).await;
    let mut socket = house.connect().await;
    socket.write_all(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0").await.unwrap();
    assert_eq!(house.arrival().await.peer, socket.local_addr().unwrap());
}

#[tokio::test]
async fn who_does_not_begin_in_time_is_closed_and_leaves_no_trace() {
    let census = Arc::new(Census::default());
    let patience = Duration::from_millis(300);
    let tls = Door::tls(Arc::clone(&census), Alpn::None)
        .unwrap()
        .with_patience(patience);
    for (door, begin) in [
        (proxied(), &b""[..]),
        (proxied(), b"PROXY TCP4 "),
        (proxied(), b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x0f"),
        (tls.clone(), b""),
        (tls, b"\x16\x03\x01\x02"),
    ] {
        let house = house(door).await;
        let mut socket = house.connect().await;
        socket.write_all(begin).await.unwrap();
        assert!(is_closed(socket).await, "{begin:?}");
    }
    assert_eq!(census.total(), 0);
}

/// A certificate, and who trusts it.
fn issue() -> (Certificate, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = Certificate::from_pem(made.cert.pem().as_bytes(), made.signing_key.serialize_pem().as_bytes());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    (certificate.unwrap(), TlsConnector::from(Arc::new(config)))
}

async fn shake(house: &House, connector: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    connector.connect(name, house.connect().await).await
}

#[tokio::test]
async fn a_certificate_is_shown_from_the_moment_that_it_is_set() {
    let door = Door::tls(Arc::default(), Alpn::Http).unwrap();
    let mut house = house(door.clone()).await;
    let ((first, trusts_first), (second, trusts_second)) = (issue(), issue());
    assert!(door.wants_certificate() && shake(&house, &trusts_first).await.is_err());
    door.set_certificate(first);
    let mut client = shake(&house, &trusts_first).await.unwrap();
    let mut arrival = house.arrival().await;
    assert!(arrival.socket.is_http2());
    door.set_certificate(second);
    assert!(shake(&house, &trusts_first).await.is_err() && shake(&house, &trusts_second).await.is_ok());
    client.write_all(b"still here").await.unwrap();
    let mut said = [0; 10];
    arrival.socket.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"still here");
}

#[tokio::test]
async fn much_goes_both_ways_through_tls_also_to_who_reads_late() {
    const MUCH: usize = 8 << 20;
    let door = Door::tls(Arc::default(), Alpn::None).unwrap();
    let (certificate, connector) = issue();
    door.set_certificate(certificate);
    let mut house = house(door).await;
    let client = shake(&house, &connector).await.unwrap();
    let arrival = house.arrival().await;
    let pattern = |from: usize, n: usize| (from..from + n).map(|i| (i % 251) as u8).collect::<Vec<u8>>();
    let (mut reader, mut writer) = tokio::io::split(client);
    let peer = tokio::spawn(async move {
        writer.write_all(&pattern(0, MUCH)).await.unwrap();
        writer.shutdown().await.unwrap();
        let mut all = Vec::new();
        reader.read_to_end(&mut all).await.unwrap();
        all
    });
    // As a protocol does it: try, and wait when it does not go.
    let socket = arrival.socket;
    let mut taken = Vec::new();
    loop {
        socket.readable().await.unwrap();
        match socket.try_read_buf(&mut taken) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    }
    assert!(taken == pattern(0, MUCH));
    timeout(SOON, socket.closed()).await.unwrap();
    let mut sent = 0;
    while sent < MUCH || !socket.is_flushed() {
        let slices = [std::io::IoSlice::new(&taken[sent..]), std::io::IoSlice::new(b"")];
        let done = if sent < MUCH {
            socket.try_write_vectored(&slices)
        } else {
            socket.try_flush().map(|()| 0)
        };
        match done {
            Ok(count) => sent += count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => socket.writable().await.unwrap(),
            Err(error) => panic!("{error}"),
        }
    }
    socket.shutdown_write().unwrap();
    assert!(timeout(SOON, peer).await.unwrap().unwrap() == taken);
}
