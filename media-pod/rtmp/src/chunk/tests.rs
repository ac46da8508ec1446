use super::*;
use proptest::prelude::*;

fn message(timestamp: u32, size: usize) -> RawMessage {
    let payload = (0..size)
        .map(|n| u8::try_from(n % 251).unwrap())
        .collect::<Vec<u8>>()
        .into();
    RawMessage {
        timestamp,
        kind: 9,
        stream_id: 1,
        payload,
    }
}

fn read(bytes: &[u8], chunk_size: usize) -> Result<Vec<RawMessage>, Error> {
    let mut reader = ChunkReader::new(Limits::default());
    reader.set_chunk_size(u32::try_from(chunk_size).unwrap()).unwrap();
    let mut input = BytesMut::from(bytes);
    let mut out = Vec::new();
    while let Some(message) = reader.next(&mut input)? {
        out.push(message);
    }
    Ok(out)
}

fn times(bytes: &[u8]) -> Vec<u32> {
    read(bytes, 128).unwrap().iter().map(|m| m.timestamp).collect()
}

#[test]
fn a_short_header_repeats_the_difference_of_the_one_before() {
    let full = [4, 0, 3, 232, 0, 0, 1, 8, 1, 0, 0, 0, b'a'];
    let difference = [0x44, 0, 0, 40, 0, 0, 1, 8, b'b'];
    let same = [0xc4, b'c'];
    assert_eq!(
        times(&[&full[..], &difference, &same, &same].concat()),
        [1000, 1040, 1080, 1120]
    );
}

#[test]
fn a_chunk_stream_may_begin_without_a_message_stream() {
    let pong = [0x42, 0, 0, 5, 0, 0, 6, 4, 0, 7, 0, 0, 0, 9];
    let messages = read(&pong, 128).unwrap();
    assert_eq!(
        (messages[0].timestamp, messages[0].kind, messages[0].stream_id),
        (5, 4, 0)
    );
    assert_eq!(&messages[0].payload[..], [0, 7, 0, 0, 0, 9]);
}

#[test]
fn an_extended_time_is_read_whether_or_not_it_is_repeated() {
    let start = [6, 0xff, 0xff, 0xff, 0, 0, 200, 9, 1, 0, 0, 0, 1, 2, 3, 4];
    let (head, tail) = ([7; 128], [7; 72]);
    let repeated = [&start[..], &head, &[0xc6, 1, 2, 3, 4], &tail].concat();
    let not = [&start[..], &head, &[0xc6], &tail].concat();
    for bytes in [repeated, not] {
        let messages = read(&bytes, 128).unwrap();
        assert_eq!(
            (messages.len(), messages[0].timestamp, messages[0].payload.len()),
            (1, 0x0102_0304, 200)
        );
        assert!(messages[0].payload.iter().all(|b| *b == 7));
    }
}

#[test]
fn an_extended_difference_may_be_repeated_as_such_or_as_the_time_it_comes_to() {
    // Time 16, then a difference of 0x01000000 in a header of type 1.
    let first = [6, 0, 0, 16, 0, 0, 1, 9, 1, 0, 0, 0, 7];
    let start = [0x46, 0xff, 0xff, 0xff, 0, 0, 200, 9, 1, 0, 0, 0];
    let (head, tail) = ([7; 128], [7; 72]);
    for repeated in [&[1, 0, 0, 0][..], &[1, 0, 0, 16], &[]] {
        let bytes = [&first[..], &start, &head, &[0xc6], repeated, &tail].concat();
        let messages = read(&bytes, 128).unwrap();
        assert_eq!(
            (messages.len(), messages[1].timestamp, messages[1].payload.len()),
            (2, 0x0100_0010, 200),
            "{repeated:?}"
        );
        assert!(messages[1].payload.iter().all(|b| *b == 7));
    }
}

#[test]
fn a_message_in_one_chunk_is_not_copied() {
    let (mut input, mut reader) = (BytesMut::with_capacity(4096), ChunkReader::new(Limits::default()));
    write_message(&mut input, 6, &message(0, 100), 128);
    let payload_at = input.as_ptr().wrapping_add(12);
    let got = reader.next(&mut input).unwrap().unwrap();
    assert_eq!(got.payload.as_ptr(), payload_at);
}

#[test]
fn a_claimed_length_takes_no_memory() {
    let (mut input, mut reader) = (BytesMut::new(), ChunkReader::new(Limits::default()));
    input.extend_from_slice(&[6, 0, 0, 0, 0x70, 0, 0, 9, 1, 0, 0, 0, 1, 2, 3]);
    assert_eq!(reader.next(&mut input), Ok(None));
    assert!(reader.streams[0].partial.capacity() < 1024);
}

#[test]
fn interleaved_chunk_streams_keep_their_own_messages() {
    let (mut audio, mut video) = (BytesMut::new(), BytesMut::new());
    write_message(&mut audio, 4, &message(5, 200), 128);
    write_message(&mut video, 6, &message(6, 250), 128);
    let mixed = [&audio[..140], &video[..140], &audio[140..], &video[140..]].concat();
    assert_eq!(read(&mixed, 128).unwrap(), [message(5, 200), message(6, 250)]);
}

#[test]
fn what_a_peer_may_not_do_is_an_error() {
    let begun = [4, 0, 0, 0, 0, 1, 0, 9, 1, 0, 0, 0];
    let new = [&begun[..], &[0; 128], &begun[..]].concat();
    assert_eq!(read(&new, 128), Err(Error::Interrupted(4)));
    assert_eq!(read(&[0xc5, 0], 128), Err(Error::NoEarlierHeader(5, 3)));
    assert_eq!(read(&[0x85, 0, 0, 1, 0], 128), Err(Error::NoEarlierHeader(5, 2)));
    let long = [4, 0, 0, 0, 0xff, 0xff, 0xff, 9, 1, 0, 0, 0];
    assert_eq!(
        read(&long, 128),
        Err(Error::MessageTooLong(0x00ff_ffff, 8 * 1024 * 1024))
    );
    let many: Vec<u8> = (3..=63)
        .chain([64, 65, 66])
        .flat_map(|id| [0, id, 0, 0, 0, 0, 0, 0, 9, 1, 0, 0, 0])
        .collect();
    assert_eq!(read(&many, 128).map(|m| m.len()), Ok(64));
    assert_eq!(
        read(&[&many[..], &[0, 70, 0, 0, 0, 0, 0, 0, 9, 1, 0, 0, 0]].concat(), 128),
        Err(Error::TooManyChunkStreams(64))
    );
}

#[test]
fn partial_messages_are_bounded_all_together() {
    let mut reader = ChunkReader::new(Limits {
        partial_bytes: 1000,
        ..Limits::default()
    });
    let mut input = BytesMut::new();
    for csid in 3..20_u8 {
        input.extend_from_slice(&[csid, 0, 0, 0, 0, 1, 0, 9, 1, 0, 0, 0]);
        input.extend_from_slice(&[0; 128]);
    }
    assert_eq!(reader.next(&mut input), Err(Error::TooMuchPartial(1000)));
}

#[test]
fn an_aborted_message_leaves_room_for_the_next() {
    let mut reader = ChunkReader::new(Limits::default());
    let mut input = BytesMut::from(&[&[4, 0, 0, 0, 0, 1, 0, 9, 1, 0, 0, 0], &[0; 128][..]].concat()[..]);
    assert_eq!(reader.next(&mut input), Ok(None));
    reader.abort(4);
    write_message(&mut input, 4, &message(9, 10), 128);
    assert_eq!(reader.next(&mut input), Ok(Some(message(9, 10))));
}

proptest! {
    #[test]
    fn every_message_survives_every_fragmentation(
        sizes in proptest::collection::vec((0_usize..3000, any::<u32>()), 1..6), chunk in 1_usize..5000, cut in 1_usize..700
    ) {
        let sent: Vec<RawMessage> = sizes.iter().map(|(size, time)| message(*time, *size)).collect();
        let mut bytes = BytesMut::new();
        for m in &sent {
            write_message(&mut bytes, 6, m, chunk);
        }
        let mut reader = ChunkReader::new(Limits::default());
        reader.set_chunk_size(u32::try_from(chunk).unwrap()).unwrap();
        let (mut input, mut got) = (BytesMut::new(), Vec::new());
        for part in bytes.chunks(cut) {
            input.extend_from_slice(part);
            while let Some(message) = reader.next(&mut input).unwrap() {
                got.push(message);
            }
        }
        prop_assert_eq!(got, sent);
    }
}
