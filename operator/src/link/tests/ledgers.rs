//! What pods have open.

use super::*;

#[tokio::test]
async fn what_a_pod_has_open_is_known_and_heard_to_its_end() {
    let (played, authority, (links, _)) = (Played::with_ledger([1, 2]), authority(), links());
    let peer = peer(played.listen(serving(&authority, NAME)).await, &authority);
    sync(&links, &peer, "1");
    until_open(&links, &[1, 2]).await;
    played.says(Some(opened(3)));
    until_open(&links, &[1, 2, 3]).await;

    played.ledger.as_ref().unwrap().0.lock().remove(0);
    played.says(None);
    until_open(&links, &[2]).await;

    sync_none(&links);
    assert!(links.view(&pod(), "p").is_none());
    let closed = LedgerLine::Closed {
        session: uuid::Uuid::from_u128(2),
    };
    played.says(Some(closed));
    until_open(&links, &[]).await;
    links.forget(&server());
    assert!(links.ledgers(&server()).is_empty());
}

#[tokio::test]
async fn what_a_pod_had_open_stays_known_when_it_is_gone_and_is_not_dialled_again() {
    let (played, authority, (links, _)) = (Played::with_ledger([1]), authority(), links());
    let peer = peer(played.listen(serving(&authority, NAME)).await, &authority);
    sync(&links, &peer, "1");
    until_open(&links, &[1]).await;
    sync_none(&links);
    // Whoever has its address now is another.
    played.ledger.as_ref().unwrap().0.lock().clear();
    played.says(None);
    tokio::time::sleep(Duration::from_millis(700)).await;
    until_open(&links, &[1]).await;
    assert_eq!(links.ledgers(&server())[0].ledger.lock().silence(Instant::now()), None);
    links.drop_ledger("p");
    assert!(links.ledgers(&server()).is_empty());
}

#[tokio::test]
async fn a_pod_of_an_older_image_is_left_alone() {
    let (played, authority, (links, _)) = (Played::new(), authority(), links());
    let peer = peer(played.listen(serving(&authority, NAME)).await, &authority);
    sync(&links, &peer, "1");
    let view = until(&links, |v| v.revision == "1").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(view.problem.is_none() && links.view(&pod(), "p").unwrap().connected);
    let kept = links.ledgers(&server());
    assert!(!kept[0].ledger.lock().is_known());
}
