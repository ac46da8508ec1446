//! Connections that are heard together.

use bytes::BytesMut;
use headgate_front::{Caller, Rounds, Socket};
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const SOON: Duration = Duration::from_secs(10);

/// Both ends of a connection.
async fn pair() -> io::Result<(TcpStream, Socket)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (client, accepted) = tokio::join!(TcpStream::connect(listener.local_addr()?), listener.accept());
    Ok((client?, accepted?.0.into()))
}

fn rounds(pause: Duration) -> io::Result<Rounds> {
    let (rounds, caller): (Rounds, Caller) = Rounds::new()?;
    tokio::spawn(caller.keep(move || pause));
    Ok(rounds)
}

async fn read(socket: &Socket) -> io::Result<BytesMut> {
    let mut taken = BytesMut::with_capacity(64);
    loop {
        timeout(SOON, socket.readable()).await??;
        match socket.try_read_buf(&mut taken) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => return other.map(|_| taken),
        }
    }
}

#[tokio::test]
async fn what_came_before_meanwhile_and_afterwards_is_read_once() -> Outcome {
    let (mut client, mut socket) = pair().await?;
    client.write_all(b"before").await?;
    sleep(Duration::from_millis(20)).await;
    socket.join(&rounds(Duration::from_millis(5))?)?;
    assert_eq!(&read(&socket).await?[..], b"before");
    for said in [&b"one"[..], b"two", b"three"] {
        client.write_all(said).await?;
        assert_eq!(read(&socket).await?, said);
    }
    client.write_all(b"left").await?;
    sleep(Duration::from_millis(20)).await;
    socket.leave_rounds()?;
    assert_eq!(&read(&socket).await?[..], b"left");
    client.write_all(b"alone").await?;
    assert_eq!(&read(&socket).await?[..], b"alone");
    Ok(())
}

#[tokio::test]
async fn more_than_one_read_takes_is_read_without_another_word_from_the_peer() -> Outcome {
    let (mut client, mut socket) = pair().await?;
    socket.join(&rounds(Duration::from_millis(5))?)?;
    client.write_all(&[7; 64 + 64 + 10]).await?;
    sleep(Duration::from_millis(20)).await;
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 138 {
        sizes.push(read(&socket).await?.len());
    }
    assert_eq!(sizes, [64, 64, 10]);
    Ok(())
}

#[tokio::test]
async fn the_end_of_a_peer_is_heard_by_who_reads_and_by_who_only_waits_for_it() -> Outcome {
    let (client, mut socket) = pair().await?;
    socket.join(&rounds(Duration::from_millis(5))?)?;
    let closed = timeout(Duration::from_millis(50), socket.closed()).await;
    assert!(closed.is_err(), "it is still there");
    drop(client);
    timeout(SOON, socket.closed()).await?;
    assert!(read(&socket).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn an_end_that_comes_with_the_last_words_is_heard_behind_them() -> Outcome {
    let ((mut client, mut socket), (rounds, caller)) = (pair().await?, Rounds::new()?);
    socket.join(&rounds)?;
    let nothing = socket.try_read_buf(&mut BytesMut::with_capacity(64));
    assert_eq!(nothing.map_err(|e| e.kind()), Err(io::ErrorKind::WouldBlock));
    client.write_all(b"the last").await?;
    drop(client);
    sleep(Duration::from_millis(20)).await;
    // Both are there before anybody looks, and are told in one word.
    tokio::spawn(caller.keep(|| Duration::from_millis(5)));
    assert_eq!(&read(&socket).await?[..], b"the last");
    assert!(read(&socket).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn who_cannot_send_goes_on_when_the_peer_has_read() -> Outcome {
    let (mut client, mut socket) = pair().await?;
    socket.join(&rounds(Duration::from_millis(5))?)?;
    let (piece, mut sent) = ([1; 8_192], 0);
    loop {
        match socket.try_write_vectored(&[IoSlice::new(&piece)]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error.into()),
        }
    }
    let waits = timeout(Duration::from_millis(50), socket.writable()).await;
    assert!(waits.is_err(), "nobody has read");
    let mut taken = vec![0; sent];
    client.read_exact(&mut taken).await?;
    timeout(SOON, socket.writable()).await??;
    assert!(socket.try_write_vectored(&[IoSlice::new(&piece)])? > 0);
    Ok(())
}

#[tokio::test]
async fn after_a_silence_the_first_is_heard_at_once_and_who_comes_then_waits_for_the_next_round() -> Outcome {
    const PAUSE: Duration = Duration::from_millis(400);
    let rounds = rounds(PAUSE)?;
    let (mut client, mut socket) = pair().await?;
    socket.join(&rounds)?;
    // A connection that joins is news by itself, and may be tried.
    sleep(PAUSE * 3).await;
    let nothing = socket.try_read(&mut [0]);
    assert!(nothing.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock));
    for (said, least, most) in [(b"first", Duration::ZERO, PAUSE / 2), (b"again", PAUSE / 2, SOON)] {
        let begun = Instant::now();
        client.write_all(said).await?;
        assert_eq!(&read(&socket).await?[..], said);
        let took = begun.elapsed();
        assert!((least..most).contains(&took), "{took:?}");
    }
    Ok(())
}

#[tokio::test]
async fn who_does_not_listen_reads_when_it_looks_and_hears_the_end_all_the_same() -> Outcome {
    let (mut client, mut socket) = pair().await?;
    socket.join(&rounds(Duration::from_millis(5))?)?;
    assert!(socket.try_read(&mut [0; 64]).is_err() && socket.is_exhausted());
    socket.listen(false)?;
    client.write_all(b"unheard").await?;
    let told = timeout(Duration::from_millis(50), socket.readable()).await;
    assert!(told.is_err() && socket.is_exhausted(), "it was told");
    socket.look();
    assert_eq!(&read(&socket).await?[..], b"unheard");
    assert!(socket.is_exhausted());
    client.write_all(b"before it listened").await?;
    sleep(Duration::from_millis(20)).await;
    socket.listen(true)?;
    assert_eq!(&read(&socket).await?[..], b"before it listened");
    socket.listen(false)?;
    let ended = timeout(Duration::from_millis(50), socket.ended()).await;
    assert!(ended.is_err(), "it is still there");
    drop(client);
    timeout(SOON, socket.ended()).await?;
    assert!(read(&socket).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn of_many_who_come_and_go_nobody_is_missed_and_nothing_is_left() -> Outcome {
    let rounds = rounds(Duration::from_millis(2))?;
    let heard = Arc::new(AtomicU32::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0_u32..200 {
        let (rounds, heard) = (rounds.clone(), Arc::clone(&heard));
        tasks.spawn(async move {
            let (mut client, mut socket) = pair().await?;
            socket.join(&rounds)?;
            for turn in 0_u32..20 {
                client.write_all(&(number ^ turn).to_be_bytes()).await?;
                if read(&socket).await? == (number ^ turn).to_be_bytes()[..] {
                    heard.fetch_add(1, Ordering::Relaxed);
                }
            }
            if number.is_multiple_of(2) {
                socket.leave_rounds()?;
            }
            io::Result::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    assert_eq!(heard.load(Ordering::Relaxed), 4_000);
    assert_eq!(rounds.members(), 0);
    Ok(())
}
