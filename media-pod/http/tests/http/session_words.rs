//! Who an HLS viewer is: words that nobody can choose, one session a word, and settings that change under way.

use crate::support::*;
use headgate_http::{HlsSettings, Options, serve};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpListener;

#[tokio::test]
async fn a_word_that_a_client_made_up_is_answered_like_none() {
    let server = server().await;
    let mut sound = Sound::new(server.publisher("__defaultVhost__", "x").await);
    let media = watch(&server, "/live/x/hls.m3u8?hls_ctx=mine", &mut sound).await;
    assert!(!media.contains("mine"), "{media}");
    assert_eq!(server.viewers(), 1);
    // One of another stream, or of the other container, is made up as well.
    let word = media.split_once('?').unwrap().1;
    for other in ["/live/y/hls.m3u8", "/live/x/hls.fmp4.m3u8"] {
        let (head, _) = get(&server, &format!("{other}?{word}&refuse=KeyWrong")).await;
        assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    }
    assert_eq!(server.rules.ended.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn who_was_refused_stays_refused_and_leaves_nothing_behind() {
    let server = server().await;
    let _sound = Sound::new(server.publisher("__defaultVhost__", "x").await);
    for _ in 0..3 {
        let (head, _) = get(&server, "/live/x/hls.m3u8?hls_ctx=mine&refuse=KeyWrong").await;
        assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    }
    assert_eq!((server.viewers(), server.rules.ended.load(Ordering::SeqCst)), (0, 0));
}

#[tokio::test]
async fn another_pod_with_the_same_key_goes_on_with_a_session_and_asks_once() {
    let (first, second) = (server().await, server().await);
    let mut sound = Sound::new(first.publisher("__defaultVhost__", "x").await);
    let media = watch(&first, "/live/x.m3u8", &mut sound).await;
    let mut sound = Sound::new(second.publisher("__defaultVhost__", "x").await);
    let (one, two, ()) = tokio::join!(get(&second, &media), get(&second, &media), async {
        second.until_viewers(1).await;
        sound.play(400);
    });
    for (head, body) in [one, two] {
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(
            String::from_utf8(body).unwrap().contains("#EXTINF:"),
            "its own playlist, not one more master"
        );
    }
    assert_eq!(second.viewers(), 1, "two requests at once are one viewer");
}

#[tokio::test]
async fn all_listeners_of_a_pod_have_the_same_viewers_and_segments() {
    let server = server().await;
    let mut sound = Sound::new(server.publisher("__defaultVhost__", "x").await);
    let media = watch(&server, "/live/x.m3u8", &mut sound).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = Server {
        address: listener.local_addr().unwrap(),
        hub: server.hub.clone(),
        rules: Arc::clone(&server.rules),
        hls: server.hls.clone(),
        shutdown: server.shutdown.clone(),
        served: {
            let mut options = Options::new(Arc::new(|_, _| "__defaultVhost__".into()));
            options.hls = server.hls.clone();
            tokio::spawn(serve(listener, server.hub.clone(), options, server.shutdown.clone()))
        },
    };
    let (head, body) = get(&other, &media).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let playlist = String::from_utf8(body).unwrap();
    let name = playlist.lines().rfind(|line| !line.starts_with('#')).unwrap();
    let (head, _) = get(&other, &format!("/live/x/{name}")).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    // A second viewer of the other listener shares what is cut already.
    let (head, _) = get(&other, "/live/x.m3u8").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(server.viewers(), 2);
}

#[tokio::test]
async fn settings_change_under_a_viewer_who_goes_on() {
    let server = server().await;
    let mut sound = Sound::new(server.publisher("__defaultVhost__", "x").await);
    let media = watch(&server, "/live/x.m3u8", &mut sound).await;
    server.hls.configure(HlsSettings {
        segment: Duration::from_secs(4),
        window: 3,
        fmp4: true,
        ..HlsSettings::default()
    });
    sound.play(1200);
    let (head, body) = get(&server, &media).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let playlist = String::from_utf8(body).unwrap();
    assert_eq!(playlist.matches("#EXTINF:").count(), 3, "{playlist}");
    assert!(
        playlist.contains("#EXT-X-TARGETDURATION:4\n") && playlist.contains("#EXTINF:3.9"),
        "{playlist}"
    );
    assert_eq!((server.viewers(), server.rules.ended.load(Ordering::SeqCst)), (1, 0));
    // Who comes now is led to the other container.
    let other = watch(&server, "/live/x.m3u8", &mut sound).await;
    assert!(other.contains("/hls.fmp4.m3u8?"), "{other}");
}
