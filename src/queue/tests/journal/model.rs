//! Two queues behind a journal against two lists, under random operations and power cuts.

use std::collections::HashSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::disk::open_log;
use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// To the first queue, the second, or both in one call.
    Append {
        to: [bool; 2],
        length: usize,
        patience: Patience,
        /// Whether it is awaited at once.
        is_awaited: bool,
    },
    /// Reads and acknowledges.
    Deliver {
        queue: usize,
        count: usize,
    },
    Reopen,
    /// What was not synced is gone, from a place on or between two.
    PowerCut {
        from: usize,
        length: Option<usize>,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let to = prop_oneof![Just([true, false]), Just([false, true]), Just([true, true])];
    let patience = prop_oneof![
        Just(Patience::None),
        Just(Patience::UntilAwaited),
        (0..10_u64).prop_map(|ms| Patience::UpTo(Duration::from_millis(ms))),
    ];
    let append = (to, 0..200_usize, patience, any::<bool>());
    prop_oneof![
        8 => append.prop_map(|(to, length, patience, is_awaited)| {
            Step::Append { to, length, patience, is_awaited }
        }),
        3 => (0..2_usize, 1..6_usize).prop_map(|(queue, count)| Step::Deliver { queue, count }),
        1 => Just(Step::Reopen),
        2 => (any::<usize>(), prop::option::of(1..600_usize))
            .prop_map(|(from, length)| Step::PowerCut { from, length }),
    ]
}

struct Model {
    storage: tempfile::TempDir,
    /// Under the queues.
    disk: Disk,
    open: Option<(Journal, Vec<Queue>)>,
    /// What each queue was given, and how much of it was acknowledged.
    given: [Vec<u64>; 2],
    acknowledged: [usize; 2],
    next_id: u64,
    /// The last that were given, whose receipts were not awaited yet.
    promised: Vec<(u64, Receipt)>,
    /// What a power cut came before: it may be there or not.
    in_doubt: HashSet<u64>,
}

impl Model {
    fn open(storage: &Path, disk: &Disk) -> (Journal, Vec<Queue>) {
        let journal = Journal::open_with(storage, None, Arc::new(open_log)).unwrap();
        let open = |name| {
            let core = Some(journal.core());
            let opened = Queue::open_with(&storage.join(name), small(), core, disk.open_log());
            opened.unwrap().0
        };
        let queues = NAMES.map(open).to_vec();
        // What was there is on the disk when a queue has been opened.
        for path in NAMES.map(|name| segments(&storage.join(name))).concat() {
            disk.note_synced(&path);
        }
        (journal, queues)
    }

    fn new() -> Self {
        let (storage, disk) = (tempfile::tempdir().unwrap(), Disk::default());
        Self {
            open: Some(Self::open(storage.path(), &disk)),
            storage,
            disk,
            given: Default::default(),
            acknowledged: [0, 0],
            next_id: 0,
            promised: Vec::new(),
            in_doubt: HashSet::new(),
        }
    }

    async fn run(&mut self, step: &Step) {
        match step {
            Step::Append {
                to,
                length,
                patience,
                is_awaited,
            } => {
                self.append(*to, *length, *patience);
                if *is_awaited {
                    self.keep_promises().await;
                }
            }
            Step::Deliver { queue, count } => self.deliver(*queue, *count).await,
            Step::Reopen => {
                let (journal, queues) = self.open.take().unwrap();
                for queue in &queues {
                    queue.close().await.unwrap();
                }
                drop((journal, queues));
                self.keep_promises().await;
                assert_eq!(journal_files(self.storage.path()), Vec::<PathBuf>::new());
                self.go_on(|_, _| {});
            }
            Step::PowerCut { from, length } => {
                let lose = |bytes: &mut Vec<u8>, synced: usize| {
                    let from = synced + from % (bytes.len() - synced + 1);
                    match length {
                        Some(length) => {
                            let to = bytes.len().min(from + length);
                            bytes[from..to].fill(0);
                        }
                        None => bytes.truncate(from),
                    }
                };
                self.go_on(lose);
                for (id, _) in self.promised.drain(..) {
                    self.in_doubt.insert(id);
                    self.given
                        .iter_mut()
                        .for_each(|given| given.retain(|&other| other != id));
                }
            }
        }
    }

    fn append(&mut self, to: [bool; 2], length: usize, patience: Patience) {
        let id = self.next_id;
        self.next_id += 1;
        let bytes = payload(id, length);
        let (_, queues) = self.open.as_ref().unwrap();
        let concerned = queues.iter().zip(to).filter(|(_, concerned)| *concerned);
        let append = |(queue, _)| Append {
            queue,
            reservation: Queue::reserve(queue, Queue::stored_size(bytes.len())).unwrap(),
            records: vec![Record {
                stream: 0,
                weight: 1,
                appended_ms: 0,
                bytes: &bytes,
            }],
        };
        let appends = concerned.map(append).collect();
        let receipts = crate::queue::append_all(appends, patience).into_iter();
        self.promised
            .extend(receipts.map(|(_, receipt)| (id, receipt)));
        for (given, concerned) in self.given.iter_mut().zip(to) {
            if concerned {
                given.push(id);
            }
        }
    }

    /// Awaits the receipts, the last first: what was appended before it is durable then.
    async fn keep_promises(&mut self) {
        while let Some((_, receipt)) = self.promised.pop() {
            receipt.durable().await.unwrap();
        }
    }

    async fn deliver(&mut self, at: usize, count: usize) {
        self.keep_promises().await;
        let (_, queues) = self.open.as_ref().unwrap();
        let given = &self.given[at];
        let end = given.len().min(self.acknowledged[at] + count);
        if end == self.acknowledged[at] {
            return;
        }
        let entries = read_through(&mut queues[at].reader(), given[end - 1]).await;
        let mut found = ids(&entries);
        assert!(found.is_sorted());
        found.retain(|id| !self.in_doubt.contains(id));
        let (again, expected) = given[..end].split_at(self.acknowledged[at]);
        let repeated = found.len() - expected.len();
        assert_eq!(found[repeated..], *expected);
        // What was acknowledged before a crash may come again, in order, and nothing else.
        let repeated = &found[..repeated];
        assert!(repeated.iter().all(|id| again.contains(id)));
        queues[at].acknowledge(0, entries.last().unwrap().position);
        self.acknowledged[at] = end;
    }

    /// Goes on with a copy of the files, as a crash would leave them: `lose` changes a segment, but
    /// not what was synced of it.
    fn go_on(&mut self, lose: impl Fn(&mut Vec<u8>, usize)) {
        let to = tempfile::tempdir().unwrap();
        for name in NAMES {
            let (from, to) = (self.storage.path().join(name), to.path().join(name));
            copy_files(&from, &to);
            for path in segments(&to) {
                let synced = self
                    .disk
                    .synced_length(&from.join(path.file_name().unwrap()));
                let mut bytes = fs::read(&path).unwrap();
                let synced = usize::try_from(synced).unwrap().min(bytes.len());
                lose(&mut bytes, synced);
                fs::write(path, bytes).unwrap();
            }
        }
        let journal = self.storage.path().join("journal");
        if journal.exists() {
            copy_files(&journal, &to.path().join("journal"));
        }
        let disk = Disk::default();
        let (journal, queues) = Self::open(to.path(), &disk);
        for queue in &queues {
            assert_eq!(queue.stats().corrupt_regions, 0);
        }
        self.open = Some((journal, queues));
        (self.storage, self.disk) = (to, disk);
    }

    async fn finish(mut self) {
        for at in 0..2 {
            if self.acknowledged[at] < self.given[at].len() {
                self.deliver(at, usize::MAX / 2).await;
                let (_, queues) = self.open.as_ref().unwrap();
                let left = queues[at].stats().queued.records;
                assert!(left <= self.in_doubt.len() as u64);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn they_behave_like_lists(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(async {
            let mut model = Model::new();
            for step in &steps {
                model.run(step).await;
            }
            model.finish().await;
        });
    }
}
