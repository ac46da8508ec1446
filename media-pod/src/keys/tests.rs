use super::*;
use headgate_control as control;
use headgate_control::{KeyHash, Permission, Placement, StreamPattern};
use std::time::{Duration, Instant};

const KEY: &str = "s3cr3t-k3y-of-alice";

fn hash(key: &str) -> KeyHash {
    KeyHash {
        sha256: hex::encode(Sha256::digest(key)),
        length: u32::try_from(key.len()).unwrap(),
    }
}

fn key(name: &str, app: &str, stream: &str, secret: &str) -> control::StreamKey {
    control::StreamKey {
        name: name.into(),
        pattern: StreamPattern {
            vhost: "*".into(),
            app: app.into(),
            stream: stream.into(),
        },
        permissions: vec![Permission::Publish],
        hash: hash(secret),
        previous: vec![],
        placements: vec![Placement::Query],
        query_parameter: "secret".into(),
        not_before: None,
        not_after: None,
        allowed_cidrs: vec![],
        max_publishers: None,
        suspended: false,
    }
}

pub(super) fn alice() -> control::StreamKey {
    key("alice-key", "live", "alice", KEY)
}

fn in_name(stream: &str) -> control::StreamKey {
    control::StreamKey {
        placements: vec![Placement::StreamName],
        ..key("alice-key", "live", stream, KEY)
    }
}

fn ring(keys: Vec<control::StreamKey>) -> KeyRing {
    KeyRing::new(&config(keys)).unwrap()
}

pub(super) fn config(keys: Vec<control::StreamKey>) -> PodConfig {
    PodConfig {
        hls: headgate_control::HlsPolicy::default(),
        revision: String::new(),
        server: control::ServerIdentity::default(),
        listeners: vec![],
        vhosts: vec![],
        publish: control::PublishPolicy::default(),
        play: control::PlayPolicy::default(),
        limits: control::Limits::default(),
        keys,
        idle_keys: vec![],
        hooks: vec![],
        drain: control::DrainPolicy::default(),
        peers: vec![],
        hook_networks: headgate_control::HookNetworks::default(),
        orphans: vec![],
    }
}

fn ask<'a>(stream: &'a str, param: &'a str) -> Ask<'a> {
    Ask {
        kind: SessionKind::Publish,
        vhost: "__defaultVhost__",
        app: "live",
        stream,
        param,
        address: [10, 1, 2, 3].into(),
        now: Timestamp::from_second(1000).unwrap(),
    }
}

fn reason(keys: Vec<control::StreamKey>, ask: &Ask<'_>) -> Result<(), Reason> {
    ring(keys).check(ask).map(drop).map_err(|r| r.reason)
}

fn clean(keys: Vec<control::StreamKey>, ask: &Ask<'_>) -> (String, String) {
    let granted = ring(keys).check(ask).unwrap();
    (granted.stream, granted.param)
}

#[test]
fn a_key_in_the_query_lets_in_and_is_taken_off() {
    let two = control::StreamKey {
        max_publishers: Some(2),
        ..alice()
    };
    let granted = ring(vec![two])
        .check(&ask("alice", "?token=%41&secret=s3cr3t-k3y-of-alice"))
        .unwrap();
    assert_eq!(
        granted,
        Granted {
            stream: "alice".into(),
            param: "?token=%41".into(),
            key: Some("alice-key".into()),
            publishers_max: Some(2)
        }
    );
}

#[test]
fn a_percent_encoded_key_is_the_key() {
    let odd = key("odd", "live", "*", "a&b +c%");
    assert_eq!(
        clean(vec![odd], &ask("x", "?secret=a%26b%20%2Bc%25")),
        ("x".into(), String::new())
    );
}

#[test]
fn the_parameter_is_the_one_that_the_key_names() {
    let other = control::StreamKey {
        query_parameter: "token".into(),
        ..alice()
    };
    let wrong = format!("?secret={KEY}");
    assert_eq!(
        reason(vec![other.clone()], &ask("alice", &wrong)),
        Err(Reason::KeyMissing)
    );
    assert_eq!(reason(vec![other], &ask("alice", &format!("?token={KEY}"))), Ok(()));
}

#[test]
fn a_key_in_the_name_is_taken_off_by_what_the_pattern_means() {
    let cases = [
        ("alice", format!("alice{KEY}"), "alice"),
        ("alice", format!("alice-{KEY}"), "alice"),
        ("alice", KEY.to_owned(), "alice"),
        ("*", format!("alice{KEY}"), "alice"),
        ("*", format!("alice_{KEY}"), "alice"),
        ("*", KEY.to_owned(), "alice-key"),
        ("*", format!("-{KEY}"), "alice-key"),
        ("alice-", format!("alice-{KEY}"), "alice-"),
        ("cam-?", format!("cam-1.{KEY}"), "cam-1"),
    ];
    for (pattern, sent, expected) in cases {
        assert_eq!(
            clean(vec![in_name(pattern)], &ask(&sent, "")).0,
            expected,
            "{sent:?} for {pattern:?}"
        );
    }
}

#[test]
fn a_key_that_stands_in_both_places_is_taken_off_both() {
    let (name, param) = (format!("alice{KEY}"), format!("?secret={KEY}&again={KEY}"));
    assert_eq!(
        clean(vec![alice()], &ask(&name, &param)),
        ("alice".into(), String::new())
    );
}

#[test]
fn a_short_key_of_the_query_is_not_mistaken_for_the_end_of_an_honest_name() {
    assert_eq!(
        clean(vec![key("k", "live", "*", "ra")], &ask("camera", "?secret=ra")).0,
        "camera"
    );
}

#[test]
fn a_key_is_good_only_where_it_may_stand() {
    assert_eq!(
        reason(vec![alice()], &ask(&format!("alice{KEY}"), "")),
        Err(Reason::KeyMissing)
    );
    assert_eq!(
        reason(vec![in_name("alice")], &ask("alice", &format!("?secret={KEY}"))),
        Err(Reason::KeyMissing)
    );
}

#[test]
fn what_is_wrong_without_the_key_is_told_in_general_words() {
    let suspended = || {
        vec![control::StreamKey {
            suspended: true,
            ..alice()
        }]
    };
    let right = format!("?secret={KEY}");
    let elsewhere = Ask {
        app: "vod",
        ..ask("alice", &right)
    };
    let cases = [
        ("no key", ask("alice", ""), Reason::KeyMissing),
        ("empty key", ask("alice", "?secret="), Reason::KeyMissing),
        (
            "wrong key of a suspended one",
            ask("alice", "?secret=guess"),
            Reason::KeyWrong,
        ),
        ("right key, other stream", ask("bob", &right), Reason::KeyWrong),
        ("an app that no key is about", elsewhere, Reason::UnknownApp),
    ];
    for (what, ask, expected) in cases {
        assert_eq!(reason(suspended(), &ask), Err(expected), "{what}");
    }
}

#[test]
fn a_vhost_that_no_key_is_about_is_an_unknown_app() {
    let mut here = alice();
    here.pattern.vhost = "a.example".into();
    let right = format!("?secret={KEY}");
    assert_eq!(
        reason(vec![here.clone()], &ask("alice", &right)),
        Err(Reason::UnknownApp)
    );
    assert_eq!(
        reason(
            vec![here],
            &Ask {
                vhost: "a.example",
                ..ask("alice", &right)
            }
        ),
        Ok(())
    );
}

#[test]
fn a_long_name_without_the_key_in_it_is_a_wrong_key_only_where_keys_stand_in_names() {
    let long = "alice-0123456789012345678901234567890";
    assert_eq!(reason(vec![in_name("*")], &ask("alice", "")), Err(Reason::KeyMissing));
    assert_eq!(reason(vec![in_name("*")], &ask(long, "")), Err(Reason::KeyWrong));
    assert_eq!(
        reason(vec![in_name("*"), alice()], &ask(long, "")),
        Err(Reason::KeyMissing)
    );
}

#[test]
fn who_holds_the_key_is_told_what_stands_against_it() {
    let at = |s| Some(Timestamp::from_second(s).unwrap());
    let far = vec!["192.168.0.0/16".parse().unwrap()];
    let near = vec!["192.168.0.0/16".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
    let play = vec![Permission::Play];
    let cases = [
        (
            control::StreamKey {
                suspended: true,
                ..alice()
            },
            Err(Reason::KeySuspended),
        ),
        (
            control::StreamKey {
                not_before: at(1001),
                ..alice()
            },
            Err(Reason::KeyNotYetValid),
        ),
        (
            control::StreamKey {
                not_before: at(1000),
                ..alice()
            },
            Ok(()),
        ),
        (
            control::StreamKey {
                not_after: at(1000),
                ..alice()
            },
            Err(Reason::KeyExpired),
        ),
        (
            control::StreamKey {
                not_after: at(1001),
                ..alice()
            },
            Ok(()),
        ),
        (
            control::StreamKey {
                permissions: play,
                ..alice()
            },
            Err(Reason::PermissionMissing),
        ),
        (
            control::StreamKey {
                allowed_cidrs: far,
                ..alice()
            },
            Err(Reason::AddressNotAllowed),
        ),
        (
            control::StreamKey {
                allowed_cidrs: near,
                ..alice()
            },
            Ok(()),
        ),
    ];
    for (key, expected) in cases {
        let param = format!("?secret={KEY}");
        assert_eq!(reason(vec![key.clone()], &ask("alice", &param)), expected, "{key:?}");
    }
}

#[test]
fn an_address_in_ipv6_dress_is_the_ipv4_address() {
    let near = control::StreamKey {
        allowed_cidrs: vec!["10.0.0.0/8".parse().unwrap()],
        ..alice()
    };
    let param = format!("?secret={KEY}");
    let mapped = Ask {
        address: "::ffff:10.1.2.3".parse().unwrap(),
        ..ask("alice", &param)
    };
    assert_eq!(reason(vec![near], &mapped), Ok(()));
}

#[test]
fn one_good_key_of_two_with_the_same_secret_is_enough() {
    let old = control::StreamKey {
        suspended: true,
        ..alice()
    };
    let new = control::StreamKey {
        name: "new".into(),
        ..alice()
    };
    let granted = ring(vec![old, new])
        .check(&ask("alice", &format!("?secret={KEY}")))
        .unwrap();
    assert_eq!(granted.key.as_deref(), Some("new"));
}

#[test]
fn where_no_key_is_asked_for_ours_is_taken_off_and_the_users_token_stays() {
    let ring = ring(vec![alice()]);
    let play = |stream: &'static str, param: &str| {
        let param = param.to_owned();
        ring.check(&Ask {
            kind: SessionKind::Play,
            ..ask(stream, &param)
        })
        .unwrap()
    };
    let ours = play("alice", &format!("?secret={KEY}&a=1"));
    assert_eq!((ours.param.as_str(), ours.key), ("?a=1", None));
    assert_eq!(
        play("alice", "?secret=of-the-back-end").param,
        "?secret=of-the-back-end"
    );
    let anywhere = Ask {
        app: "unheard-of",
        kind: SessionKind::Play,
        ..ask("x", "")
    };
    assert!(ring.check(&anywhere).is_ok());
}

#[test]
fn a_url_is_scrubbed_of_our_keys_and_of_nothing_else() {
    let ring = ring(vec![alice()]);
    let url = |q: &str| format!("rtmp://h/live{q}");
    assert_eq!(ring.scrub(&url(&format!("?secret={KEY}&vhost=v"))), url("?vhost=v"));
    assert_eq!(ring.scrub(&url("?secret=other")), url("?secret=other"));
    assert_eq!(ring.scrub(&url("")), url(""));
}

#[test]
fn no_refusal_repeats_what_the_client_sent() {
    let ring = ring(vec![alice()]);
    for param in ["?secret=hidden", "?hidden=1"] {
        let refusal = ring.check(&ask("hidden", param)).unwrap_err();
        assert!(!refusal.message.contains("hidden"), "{refusal:?}");
    }
}

#[test]
fn a_hash_that_is_none_is_refused_with_the_keys_name() {
    let mut bad = alice();
    bad.hash.sha256 = "xyz".into();
    assert_eq!(
        KeyRing::new(&config(vec![bad])).unwrap_err().to_string(),
        "stream key \"alice-key\" has no usable sha256"
    );
}

/// The bound is far above what it takes, so that a busy machine does not fail it, and far below what a scan of all keys would take.
#[test]
fn ten_thousand_keys_of_one_app_check_as_fast_as_one() {
    let many: Vec<_> = (0..10_000)
        .map(|i| key(&format!("k{i}"), "live", &format!("s{i}"), &format!("secret-{i}")))
        .collect();
    let ring = ring(many);
    let best = (0..50).map(|_| once(&ring)).min().unwrap();
    assert!(best < Duration::from_micros(100), "{best:?}");
}

fn once(ring: &KeyRing) -> Duration {
    let start = Instant::now();
    assert!(ring.check(&ask("s9999", "?secret=secret-9999")).is_ok());
    start.elapsed()
}

#[test]
fn a_key_that_was_replaced_is_good_to_its_end_beside_the_new_one() {
    let until = Timestamp::from_second(1060).unwrap();
    let previous = vec![control::PreviousKey {
        hash: hash("the-old-key"),
        until,
    }];
    let ring = ring(vec![control::StreamKey { previous, ..alice() }]);
    let at = |param: &str, second| {
        let now = Timestamp::from_second(second).unwrap();
        let asked = ring.check(&Ask {
            now,
            ..ask("alice", param)
        });
        asked.map(|granted| granted.param).map_err(|refusal| refusal.reason)
    };
    assert_eq!(at("?secret=the-old-key", 1059), Ok(String::new()));
    assert_eq!(at("?secret=the-old-key", 1060), Err(Reason::KeyExpired));
    assert_eq!(at(&format!("?secret={KEY}"), 1060), Ok(String::new()));
    assert_eq!(at("?secret=another", 1059), Err(Reason::KeyWrong));
}
