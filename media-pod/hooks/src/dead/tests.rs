use super::*;
use crate::delivery::lane::Death;
use crate::testing;
use headgate_control::Letters;
use prometheus::Registry;

fn metrics() -> LogMetrics {
    LogMetrics::new(&Registry::new()).expect("a fresh registry")
}

fn dead(stream: &str) -> Dead {
    Dead {
        event: Arc::new(testing::event(HookEvent::Unpublish, stream)),
        death: Death::Rejected,
        url: 0,
    }
}

fn all(wish: &str) -> Replay {
    Replay {
        wish: wish.into(),
        letters: Letters::Between(Timestamp::MIN, Timestamp::MAX),
    }
}

fn streams(page: &Page) -> Vec<String> {
    page.iter()
        .map(|(_, letter)| letter.event.stream.name.to_string())
        .collect()
}

#[tokio::test]
async fn letters_outlive_the_process_and_are_listed_beside_it() {
    let place = tempfile::tempdir().expect("a folder");
    let letters = DeadLetters::open(Some(place.path()), &metrics());
    letters.keep("backend", dead("alice"));
    letters.keep("other", dead("bob"));
    let wish = letters.begin("backend", &all("x")).await.expect("a new wish");
    assert_eq!(streams(&letters.page(&wish).await), ["alice"]);
    let listed = read_dead_letters(place.path()).expect("readable");
    let said: Vec<_> = listed
        .iter()
        .map(|l| (l.endpoint.as_str(), l.stream.as_str(), l.reason.as_str()))
        .collect();
    let expected = [
        ("backend", "__defaultVhost__/live/alice", "Rejected"),
        ("other", "__defaultVhost__/live/bob", "Rejected"),
    ];
    assert_eq!(said, expected);
    drop(letters);
    let letters = DeadLetters::open(Some(place.path()), &metrics());
    assert_eq!(
        (letters.kept("backend"), letters.kept("other"), letters.kept("none")),
        (1, 1, 0)
    );
}

#[tokio::test]
async fn a_wish_is_followed_once_over_restarts_too_and_about_what_was_there_when_it_came() {
    let place = tempfile::tempdir().expect("a folder");
    let letters = DeadLetters::open(Some(place.path()), &metrics());
    letters.keep("backend", dead("alice"));
    let wish = letters.begin("backend", &all("x")).await.expect("a new wish");
    letters.keep("backend", dead("late"));
    let page = letters.page(&wish).await;
    assert_eq!(streams(&page), ["alice"]);
    letters.gone(page.iter().map(|(number, _)| *number).collect()).await;
    assert!(letters.page(&wish).await.is_empty());
    letters.end(&wish).await;
    drop(letters);
    let letters = DeadLetters::open(Some(place.path()), &metrics());
    assert_eq!(letters.kept("backend"), 1);
    assert!(letters.begin("backend", &all("x")).await.is_none());
    let again = letters.begin("backend", &all("y")).await.expect("another wish");
    assert_eq!(streams(&letters.page(&again).await), ["late"]);
}

#[tokio::test]
async fn a_wish_names_events_or_a_time() {
    let letters = DeadLetters::open(None, &metrics());
    let (one, two) = (dead("one"), dead("two"));
    let id = one.event.id;
    letters.keep("backend", one);
    letters.keep("backend", two);
    let wished = async |wanted: Letters| {
        let replay = Replay {
            wish: format!("{wanted:?}"),
            letters: wanted,
        };
        let wish = letters.begin("backend", &replay).await.expect("a new wish");
        streams(&letters.page(&wish).await)
    };
    assert_eq!(wished(Letters::Ids(vec![id])).await, ["one"]);
    let epoch = Timestamp::UNIX_EPOCH;
    assert_eq!(wished(Letters::Between(epoch, epoch)).await, ["one", "two"]);
    assert!(
        wished(Letters::Between(Timestamp::now(), Timestamp::MAX))
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn the_oldest_go_when_there_are_too_many_and_wishes_stay_known() {
    let sizes = Sizes {
        segment: 4096,
        count: 3,
    };
    let letters = DeadLetters::over(Box::<store::Memory>::default(), sizes, &metrics());
    let wish = letters.begin("backend", &all("x")).await.expect("a new wish");
    letters.end(&wish).await;
    for n in 0..200 {
        letters.keep("backend", dead(&format!("s{n}")));
    }
    assert!(letters.begin("backend", &all("x")).await.is_none());
    let wish = letters.begin("backend", &all("y")).await.expect("another wish");
    let kept = streams(&letters.page(&wish).await);
    assert!((5..50).contains(&kept.len()), "{}", kept.len());
    assert_eq!(kept.last().map(String::as_str), Some("s199"));
    assert_eq!(letters.kept("backend"), u64::try_from(kept.len()).expect("few"));
}

#[tokio::test]
async fn a_folder_that_is_damaged_keeps_what_can_be_read() {
    let place = tempfile::tempdir().expect("a folder");
    let letters = DeadLetters::open(Some(place.path()), &metrics());
    letters.keep("backend", dead("alice"));
    letters.keep("backend", dead("bob"));
    drop(letters);
    let file = std::fs::read_dir(place.path().join(FOLDER))
        .expect("a folder")
        .flatten();
    let file = file
        .map(|file| file.path())
        .find(|path| path.extension().is_some())
        .expect("a segment");
    let mut bytes = std::fs::read(&file).expect("readable");
    bytes.truncate(bytes.len() - 7);
    std::fs::write(&file, bytes).expect("writable");
    let letters = DeadLetters::open(Some(place.path()), &metrics());
    let wish = letters.begin("backend", &all("x")).await.expect("a new wish");
    assert_eq!(streams(&letters.page(&wish).await), ["alice"]);
}

#[tokio::test]
async fn letters_go_from_one_pod_to_another_and_are_sent_from_there() {
    let (one, other) = (DeadLetters::open(None, &metrics()), DeadLetters::open(None, &metrics()));
    one.keep("backend", dead("alice"));
    one.keep("backend", dead("bob"));
    let first = one.oldest(1).await;
    assert_eq!(streams(&first), ["alice"]);
    let numbers = first.iter().map(|(number, _)| *number).collect();
    assert!(
        other
            .keep_all(first.into_iter().map(|(_, letter)| letter).collect())
            .await
    );
    one.gone(numbers).await;
    assert_eq!(streams(&one.oldest(10).await), ["bob"]);
    let wish = other.begin("backend", &all("x")).await.expect("a new wish");
    assert_eq!(streams(&other.page(&wish).await), ["alice"]);
}
