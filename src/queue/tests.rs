use super::*;

#[tokio::test]
async fn smoke() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, _) = Queue::open(dir.path(), Options::default()).unwrap();
    let mut reader = queue.reader();
    for i in 0..10u8 {
        let r = queue.reserve(Queue::stored_size(3)).unwrap();
        let rec = Record {
            stream: 1,
            weight: 2,
            appended_ms: 5,
            bytes: &[i; 3],
        };
        queue.append(r, &[rec]).durable().await.unwrap();
        let e = reader.next().await.unwrap();
        assert_eq!(&e.bytes[..], &[i; 3]);
        if i < 5 {
            queue.acknowledge(1, e.position);
        }
    }
    queue.close().await.unwrap();
    let (queue, recovery) = Queue::open(dir.path(), Options::default()).unwrap();
    assert_eq!(recovery.queued.records, 5);
    let mut reader = queue.reader();
    for i in 5..10u8 {
        let e = reader.next().await.unwrap();
        assert_eq!(&e.bytes[..], &[i; 3]);
    }
}
