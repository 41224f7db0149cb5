//! The queue against a list, under random operations.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Append { stream: u16, length: usize },
    Read { count: usize },
    Acknowledge { stream: u16, count: usize },
    Reopen,
    Crash,
    TearTail { garbage: Vec<u8> },
    Flip { segment: usize, at: usize, bit: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3_u16, 0..300_usize).prop_map(|(stream, length)| Step::Append { stream, length }),
        4 => (1..6_usize).prop_map(|count| Step::Read { count }),
        4 => (0..3_u16, 1..5_usize)
            .prop_map(|(stream, count)| Step::Acknowledge { stream, count }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
        1 => prop::collection::vec(any::<u8>(), 1..100)
            .prop_map(|garbage| Step::TearTail { garbage }),
        2 => (any::<usize>(), any::<usize>(), any::<u8>())
            .prop_map(|(segment, at, bit)| Step::Flip { segment, at, bit }),
    ]
}

/// What a record has gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Queued,
    Read(Position),
    Acknowledged,
}

struct Model {
    directory: PathBuf,
    crashes: u32,
    root: tempfile::TempDir,
    queue: Option<Queue>,
    reader: Option<Reader>,
    /// Records that are not known to be lost: id, stream, fate.
    records: Vec<(u64, u16, Fate)>,
    next_id: u64,
}

impl Model {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("0");
        let (queue, _) = open(&directory, small());
        let reader = queue.reader();
        Self {
            directory,
            crashes: 0,
            root,
            queue: Some(queue),
            reader: Some(reader),
            records: Vec::new(),
            next_id: 0,
        }
    }

    fn queue(&self) -> &Queue {
        self.queue.as_ref().unwrap()
    }

    async fn run(&mut self, step: Step) {
        match step {
            Step::Append { stream, length } => self.append(stream, length).await,
            Step::Read { count } => self.read(count).await,
            Step::Acknowledge { stream, count } => self.acknowledge(stream, count),
            Step::Reopen => {
                self.close().await;
                self.reopen(0).await;
            }
            Step::Crash => {
                self.crashes += 1;
                let copy = self.root.path().join(self.crashes.to_string());
                copy_files(&self.directory, &copy);
                self.close().await;
                self.directory = copy;
                self.forget_acknowledgements();
                self.reopen(0).await;
            }
            Step::TearTail { garbage } => {
                self.close().await;
                let path = segments(&self.directory).pop().unwrap();
                let mut bytes = fs::read(&path).unwrap();
                bytes.extend(garbage);
                fs::write(&path, bytes).unwrap();
                self.reopen(0).await;
            }
            Step::Flip { segment, at, bit } => {
                self.close().await;
                let paths = segments(&self.directory);
                let path = &paths[segment % paths.len()];
                let length = usize::try_from(fs::metadata(path).unwrap().len()).unwrap();
                if length > 32 {
                    flip(path, 32 + at % (length - 32), bit);
                }
                self.reopen(1).await;
            }
        }
        self.check_stats();
    }

    async fn append(&mut self, stream: u16, length: usize) {
        append(self.queue(), stream, self.next_id, length).await;
        self.records.push((self.next_id, stream, Fate::Queued));
        self.next_id += 1;
    }

    async fn read(&mut self, count: usize) {
        for _ in 0..count {
            let unread = self
                .records
                .iter_mut()
                .find(|record| record.2 == Fate::Queued);
            let Some((id, stream, fate)) = unread else {
                return;
            };
            let entry = next(self.reader.as_mut().unwrap()).await;
            assert_eq!(
                (id_of(&entry), entry.stream, entry.weight),
                (*id, *stream, 3)
            );
            *fate = Fate::Read(entry.position);
        }
    }

    fn acknowledge(&mut self, stream: u16, count: usize) {
        let queue = self.queue.clone().unwrap();
        let of_stream = self.records.iter_mut().filter(|record| record.1 == stream);
        let read = of_stream.filter(|record| matches!(record.2, Fate::Read(_)));
        let mut last = None;
        for (_, _, fate) in read.take(count) {
            if let Fate::Read(position) = *fate {
                last = Some(position);
            }
            *fate = Fate::Acknowledged;
        }
        if let Some(position) = last {
            queue.acknowledge(stream, position);
        }
    }

    async fn close(&mut self) {
        let queue = self.queue.take().unwrap();
        queue.close().await.unwrap();
        assert_eq!(self.reader.take().unwrap().next().await, None);
    }

    /// A crash may bring acknowledged records back: those are found out by reading.
    fn forget_acknowledgements(&mut self) {
        let progress = progress::Progress::load(&self.directory)
            .unwrap()
            .unwrap_or_default();
        let left: Vec<u64> = inspect(&self.directory)
            .unwrap()
            .map(|inspected| inspected.unwrap())
            .filter(|inspected| !inspected.acknowledged)
            .map(|inspected| id_of(&inspected.entry))
            .collect();
        for (id, stream, fate) in &mut self.records {
            if left.contains(id) {
                *fate = Fate::Queued;
            } else {
                assert_eq!(
                    *fate,
                    Fate::Acknowledged,
                    "{id} of {stream} is lost: {progress:?}"
                );
            }
        }
    }

    /// Opens the queue and reads all of it: it holds what it held, `may_lose` records aside.
    async fn reopen(&mut self, may_lose: usize) {
        self.records.retain(|record| record.2 != Fate::Acknowledged);
        let (queue, _) = open(&self.directory, small());
        let mut reader = queue.reader();
        self.queue = Some(queue);
        self.append(0, 0).await;
        let found = ids(&read_through(&mut reader, self.next_id - 1).await);
        let before = self.records.len();
        self.records.retain(|record| found.contains(&record.0));
        let expected: Vec<u64> = self.records.iter().map(|record| record.0).collect();
        assert_eq!(found, expected);
        assert!(
            before - self.records.len() <= may_lose,
            "more is lost than was damaged"
        );
        for record in &mut self.records {
            record.2 = Fate::Queued;
        }
        // A new reader begins again with what is not acknowledged.
        self.reader = Some(self.queue().reader());
    }

    fn check_stats(&self) {
        let queued = self
            .records
            .iter()
            .filter(|record| record.2 != Fate::Acknowledged);
        let stats = self.queue().stats();
        assert_eq!(stats.failed, None);
        let records = queued.clone().count() as u64;
        // Damage in the segment that is being written is counted when that is sealed.
        let uncertain = stats.corrupt_regions;
        assert!(stats.queued.records >= records && stats.queued.records <= records + uncertain);
        if stats.corrupt_regions == 0 {
            assert_eq!(stats.queued.weight, 3 * records);
            let oldest = queued.map(|record| i64::try_from(record.0).unwrap()).min();
            assert!(stats.oldest_ms <= oldest && stats.oldest_ms.is_some() == oldest.is_some());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    })]

    #[test]
    fn it_behaves_like_a_list(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut model = Model::new();
            for step in steps {
                model.run(step).await;
            }
        });
    }
}
