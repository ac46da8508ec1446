//! What changes in the folder is in force at once, and cuts nobody but who lives by a key that is taken away.

use crate::back_end::BackEnd;
use crate::client::RtmpClient;
use crate::place::{Place, free_port, hook, key, manifest};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_new_key_is_good_within_two_seconds_while_a_publisher_is_live() {
    let place = Place::start(&[("key", key("alice", "s3cr3t-of-alice"))]).await;
    let mut publisher = RtmpClient::publish(place.rtmp, "a?secret=s3cr3t-of-alice")
        .await
        .unwrap();
    assert!(RtmpClient::publish(place.rtmp, "b?secret=s3cr3t-of-bob").await.is_err());
    let took = place.put_in_force("bob", &key("bob", "s3cr3t-of-bob")).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(RtmpClient::publish(place.rtmp, "b?secret=s3cr3t-of-bob").await.is_ok());
    assert!(publisher.is_live().await);
}

async fn refused(place: &Place, param: &str) -> String {
    let asked = RtmpClient::publish(place.rtmp, &format!("b?secret={param}")).await;
    asked.err().unwrap_or_default()
}

#[tokio::test]
async fn a_key_that_is_rotated_cuts_nobody_and_lets_nobody_in() {
    let place = Place::start(&[("key", key("alice", "first-s3cr3t"))]).await;
    let mut publisher = RtmpClient::publish(place.rtmp, "a?secret=first-s3cr3t").await.unwrap();
    place.put_in_force("key", &key("alice", "second-s3cr3t")).await;
    assert!(refused(&place, "first-s3cr3t").await.starts_with("KeyWrong"));
    assert!(RtmpClient::publish(place.rtmp, "b?secret=second-s3cr3t").await.is_ok());
    let without = key("alice", "second-s3cr3t").replace("stringData: {key:", "stringData: {other:");
    place.put_in_force("key", &without).await;
    assert!(refused(&place, "second-s3cr3t").await.starts_with("UnknownApp"));
    assert!(
        publisher.is_live().await,
        "its Secret has no key, and may have one again"
    );
}

#[tokio::test]
async fn who_lives_by_a_key_that_is_suspended_or_deleted_is_cut_within_a_second_and_told_of() {
    let suspended = key("alice", "s3cr3t-of-alice").replace("serverRefs", "suspend: true, serverRefs");
    for (edited, reason) in [(suspended.as_str(), "KeySuspended"), ("", "UnknownApp")] {
        let back_end = BackEnd::start().await;
        let place = Place::start(&[
            ("key", key("alice", "s3cr3t-of-alice")),
            ("hook", hook("backend", &back_end.url)),
        ])
        .await;
        let mut publisher = RtmpClient::publish(place.rtmp, "a?secret=s3cr3t-of-alice")
            .await
            .unwrap();
        let mut player = RtmpClient::play(place.rtmp, "a").await.unwrap();
        let start = Instant::now();
        place.put_in_force("key", edited).await;
        let in_force = Instant::now();
        while publisher.event().await.is_some() {}
        assert!(in_force.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        back_end.hears("on_unpublish a").await;
        back_end.hears("on_close").await;
        assert!(player.is_there().await, "nobody took anything from the player");
        assert!(refused(&place, "s3cr3t-of-alice").await.starts_with(reason));
    }
}

#[tokio::test]
async fn who_is_asked_about_while_its_key_goes_is_cut_as_soon_as_it_is_in() {
    let back_end = BackEnd::start().await;
    let place = Place::start(&[
        ("key", key("alice", "s3cr3t-of-alice")),
        ("hook", hook("backend", &back_end.url)),
    ])
    .await;
    back_end.think(Duration::from_millis(700));
    let asked = tokio::spawn(RtmpClient::publish(place.rtmp, "a?secret=s3cr3t-of-alice"));
    back_end.hears("on_connect a").await;
    place.put_in_force("key", "").await;
    if let Ok(mut publisher) = asked.await.unwrap() {
        while publisher.event().await.is_some() {}
    }
    back_end.hears("on_unpublish a").await;
    assert!(place.pod.hub().snapshot().is_empty());
}

#[tokio::test]
async fn a_key_that_is_rotated_with_an_overlap_stays_good_for_as_long_and_over_a_restart() {
    let with = |secret: &str, overlap: u32| {
        key("alice", secret).replace("serverRefs", &format!("rotationOverlapSeconds: {overlap}, serverRefs"))
    };
    let place = Place::start(&[("key", with("first-s3cr3t", 600))]).await;
    place.put_in_force("key", &with("second-s3cr3t", 600)).await;
    for (stream, secret) in [("a", "first-s3cr3t"), ("b", "second-s3cr3t")] {
        let let_in = RtmpClient::publish(place.rtmp, &format!("{stream}?secret={secret}")).await;
        assert!(let_in.is_ok(), "{secret}");
    }
    let kept = std::fs::read_to_string(place.path().join(".state/keys.json")).unwrap();
    assert!(kept.contains("previous") && !kept.contains("s3cr3t"), "{kept}");
    let place = place.restart().await;
    assert!(RtmpClient::publish(place.rtmp, "a?secret=first-s3cr3t").await.is_ok());
    place.put_in_force("key", &with("second-s3cr3t", 0)).await;
    let refused = RtmpClient::publish(place.rtmp, "c?secret=first-s3cr3t").await;
    assert!(refused.err().unwrap().starts_with("KeyWrong"));
    assert!(RtmpClient::publish(place.rtmp, "c?secret=second-s3cr3t").await.is_ok());
}

#[tokio::test]
async fn an_edited_url_takes_the_next_event() {
    let (old, new) = (BackEnd::start().await, BackEnd::start().await);
    let place = Place::start(&[
        ("key", key("alice", "s3cr3t-of-alice")),
        ("hook", hook("backend", &old.url)),
    ])
    .await;
    let mut publisher = RtmpClient::publish(place.rtmp, "a?secret=s3cr3t-of-alice")
        .await
        .unwrap();
    place.put_in_force("hook", &hook("backend", &new.url)).await;
    assert!(publisher.is_live().await);
    publisher.unpublish().await;
    new.hears("on_unpublish a").await;
    assert_eq!(old.heard(), ["on_connect a", "on_publish a"]);
}

#[tokio::test]
async fn what_is_wrong_is_shown_and_disturbs_nothing_else() {
    let place = Place::start(&[("key", key("alice", "s3cr3t-of-alice"))]).await;
    place.write(
        "typo",
        &manifest(
            "HookEndpoint",
            "typo",
            "serverRefs: [{name: live}], dialect: SRS, urls: ['http://b/'], events: [Publish], urlz: []",
        ),
    );
    place.shows("unknown field \"spec.urlz\"").await;
    place.write("broken", "kind: [");
    place.shows("# broken.yaml: FileUnreadable").await;
    place.write("key", &key("alice", "s3cr3t-of-alice").replace("stream:", "strean:"));
    place.shows("what was good last stays in force").await;
    place.write("nowhere", &hook("nowhere", "nonsense"));
    place.shows("reason: BadUrl").await;
    assert!(
        RtmpClient::publish(place.rtmp, "a?secret=s3cr3t-of-alice")
            .await
            .is_ok()
    );
    assert_eq!(place.get("/readyz").await, (200, "ok\n".into()));
}

#[tokio::test]
async fn no_page_shows_a_key() {
    let place = Place::start(&[("key", key("alice", "s3cr3t-of-alice"))]).await;
    let publisher = RtmpClient::publish(place.rtmp, "a-s3cr3t-of-alice?secret=s3cr3t-of-alice").await;
    assert!(publisher.is_ok());
    place.shows("kind: Stream\n").await;
    for path in ["/resources", "/metrics"] {
        let page = place.get(path).await.1;
        assert!(!page.contains("s3cr3t"), "{page}");
    }
}

#[tokio::test]
async fn a_key_without_a_secret_is_made_and_kept_for_its_owner() {
    let spec = "serverRefs: [{name: live}], stream: {app: live}, secretRef: {name: of-alice}";
    let place = Place::start(&[("key", manifest("StreamKey", "alice", spec))]).await;
    let file = place.path().join(".state/keys/of-alice/key");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let made = std::fs::read_to_string(&file).unwrap();
    assert!(made.len() >= 32);
    assert!(
        RtmpClient::publish(place.rtmp, &format!("a?secret={made}"))
            .await
            .is_ok()
    );
    place.shows("in force in every ready pod").await;
}

#[tokio::test]
async fn a_listener_that_moves_leaves_the_others_and_the_sessions_alone() {
    let place = Place::start(&[("key", key("alice", "s3cr3t-of-alice"))]).await;
    let mut publisher = RtmpClient::publish(place.rtmp, "a?secret=s3cr3t-of-alice")
        .await
        .unwrap();
    let new = free_port();
    let listeners = format!("listeners: [{{name: other, protocol: RTMP, port: {new}}}]");
    place
        .put_in_force("server", &manifest("MediaServer", "live", &listeners))
        .await;
    assert!(RtmpClient::publish(new, "b?secret=s3cr3t-of-alice").await.is_ok());
    assert!(
        publisher.is_live().await,
        "a session of a listener that is gone goes on"
    );
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(
        tokio::net::TcpStream::connect(("127.0.0.1", place.rtmp)).await.is_err(),
        "the old port is closed"
    );
}
