use bytes::Bytes;

use super::*;
use crate::remote_write::block::{Block, Counts, Form};

fn batch(parked_ms: i64, samples: u64) -> ParkedBatch {
    ParkedBatch {
        status: 400,
        words: "too old: ü".to_owned(),
        stream: 0x0402,
        parked_ms,
        appended_ms: parked_ms - 5,
        block: Block {
            counts: Counts {
                raw_len: 300,
                series: samples,
                samples,
            },
            form: Form::Carried,
            elements: Bytes::from(vec![7; 100]),
        },
    }
}

#[test]
fn a_parked_batch_is_read_as_it_was_and_any_damage_shows() {
    let batch = batch(1_700_000_000_000, 3);
    let bytes = batch.encode();
    assert_eq!(ParkedBatch::decode(&bytes).unwrap(), batch);
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let read = ParkedBatch::decode(&damaged);
        assert!(
            matches!(read, Err(ReadError::Damaged)),
            "byte {at}: {read:?}"
        );
        assert!(ParkedBatch::decode(&bytes[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn what_a_receiver_says_is_kept_up_to_a_bound() {
    let mut batch = batch(1, 1);
    batch.words = "é".repeat(10_000);
    let read = ParkedBatch::decode(&batch.encode()).unwrap();
    assert_eq!(read.words, "é".repeat(2048));
}

#[test]
fn names_sort_by_time_and_are_read_back() {
    let name = |parked_ms, number| ParkedName {
        parked_ms,
        number,
        status: 422,
        samples: 17,
    };
    for name in [
        name(0, 0),
        name(1_700_000_000_000, 12),
        name(i64::MAX, u32::MAX),
    ] {
        assert_eq!(ParkedName::parse(&name.to_string()), Some(name));
    }
    assert!(name(2, 0) > name(1, 9));
    for other in [
        "1-2-3-4",
        "1-2-3.parked",
        "1-2-3-4-5.parked",
        "x-2-3-4.parked",
    ] {
        assert_eq!(ParkedName::parse(other), None, "{other}");
    }
}

#[test]
fn the_oldest_make_room_and_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let size = batch(0, 1).encode().len() as u64;
    let parking = Parking::open(directory.path(), 3 * size).unwrap();
    for number in 0..5 {
        // Parked in the same millisecond, they still keep their order.
        parking.park(&batch(7, number)).unwrap();
    }
    let samples = |parking: &Parking| {
        let names = parking.names();
        names.iter().map(|name| name.samples).collect::<Vec<_>>()
    };
    assert_eq!(samples(&parking), [2, 3, 4]);
    let stats = parking.stats();
    assert_eq!((stats.batches, stats.bytes), (3, 3 * size));
    assert_eq!(stats.dropped_samples, 1);
    parking.set_max_bytes(10);
    let refused = parking.park(&batch(8, 1));
    assert!(matches!(refused, Err(ParkError::TooLarge { .. })));
    assert_eq!(samples(&parking), [2, 3, 4], "nothing makes room in vain");
    let half = directory.path().join(DIRECTORY).join("1-2-3-4.parked.new");
    fs::write(&half, "half").unwrap();
    let parking = Parking::open(directory.path(), u64::MAX).unwrap();
    assert!(!half.exists(), "nobody would ever need or count it");
    assert_eq!(samples(&parking), [2, 3, 4]);
    parking.remove(parking.names()[1]).unwrap();
    assert_eq!(samples(&parking), [2, 4]);
    let read = parking.read(parking.names()[1]).unwrap();
    assert_eq!(read.block.counts.samples, 4);
}

#[test]
fn a_file_that_cannot_be_written_takes_no_room() {
    let directory = tempfile::tempdir().unwrap();
    let parking = Parking::open(directory.path(), u64::MAX).unwrap();
    // A file stands where its directory should be made.
    fs::write(directory.path().join(DIRECTORY), "").unwrap();
    assert!(matches!(
        parking.park(&batch(1, 1)),
        Err(ParkError::Write { .. })
    ));
    assert_eq!(parking.stats(), ParkedStats::default());
}

#[test]
fn a_directory_that_somebody_deleted_is_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let parking = Parking::open(directory.path(), u64::MAX).unwrap();
    parking.park(&batch(1, 1)).unwrap();
    fs::remove_dir_all(directory.path().join(DIRECTORY)).unwrap();
    parking.park(&batch(2, 1)).unwrap();
    let names = parking.names();
    assert!(parking.read(names[1]).is_ok());
}
