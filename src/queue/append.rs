//! Appending: to one queue, or to several whose records become durable together.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::format::{Kind, RecordHeader, checksum};
use super::journal::{Call, Core, Part};
use super::state::{Phase, State};
use super::{AppendError, Durability, Queue, Record, Reservation};

/// What is appended to one queue.
#[derive(Debug)]
pub struct Append<'a> {
    /// The queue.
    pub queue: &'a Queue,
    /// Room in it for the records.
    pub reservation: Reservation,
    /// The records, in order.
    pub records: Vec<Record<'a>>,
}

/// How long appended records may wait for others, so that one sync does for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Not at all.
    None,
    /// In a journal, until somebody awaits or drops the receipt: for who has others to append
    /// first. They go before if many or large ones have come, others do not wait, or a queue is
    /// closed; and without a journal at once.
    UntilAwaited,
    /// So long at the most: for who has nobody to answer.
    UpTo(Duration),
}

impl Patience {
    /// What it is without a journal.
    fn duration(self) -> Duration {
        match self {
            Self::None | Self::UntilAwaited => Duration::ZERO,
            Self::UpTo(patience) => patience,
        }
    }
}

/// The promise of [`Queue::append`].
#[derive(Debug)]
pub struct Receipt {
    outcome: oneshot::Receiver<Result<(), AppendError>>,
    /// Made when the records are to wait no longer.
    call: Option<Call>,
}

impl Receipt {
    /// Whether the records wait for others.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.call.is_some()
    }

    /// Has the records wait no longer for others.
    pub fn hurry(&mut self) {
        self.call = None;
    }

    /// Waits until the records are durable. If this is dropped, they are written all the same.
    ///
    /// # Errors
    /// Why they are not. Most likely they are gone then; after a failed sync and a restart they
    /// may be found after all.
    pub async fn durable(mut self) -> Result<(), AppendError> {
        self.hurry();
        let stopped = || AppendError::Failed {
            reason: "the queue was closed".to_owned(),
        };
        self.outcome.await.unwrap_or_else(|_closed| Err(stopped()))
    }
}

/// Appends to several queues, in the order of calls, and gives the reservations back. They wait
/// for others on their way to the disk as `patience` says.
///
/// Cheap and not blocking: the records are copied, and threads write them. Queues that have a
/// journal in common have one receipt in common. Each receipt comes with the index of the first
/// append that it is of.
///
/// # Panics
/// If the records need more than was reserved, or one has 4 GiB: the caller's mistake.
#[must_use = "nothing is durable before the receipts say so"]
pub fn append_all(appends: Vec<Append<'_>>, patience: Patience) -> Vec<(usize, Receipt)> {
    let mut receipts = Vec::new();
    let mut journaled: Vec<(&Arc<Core>, usize, Vec<Part<'_>>)> = Vec::new();
    for (index, append) in appends.into_iter().enumerate() {
        let part = part(append);
        let Some(journal) = &part.queue.journal else {
            receipts.push((
                index,
                append_directly(&part, &mut part.queue.lock(), patience.duration()),
            ));
            continue;
        };
        let mut state = part.queue.lock();
        // What need not be durable goes the same way as long as something before it does.
        if state.options.durability == Durability::Async && state.journaling_bytes == 0 {
            let receipt = append_directly(&part, &mut state, patience.duration());
            receipts.push((index, receipt));
            continue;
        }
        drop(state);
        match journaled
            .iter_mut()
            .find(|(other, ..)| Arc::ptr_eq(other, journal))
        {
            Some((_, _, parts)) => parts.push(part),
            None => journaled.push((journal, index, vec![part])),
        }
    }
    for (journal, first, parts) in journaled {
        let (waiter, outcome) = oneshot::channel();
        let call = journal.append(&parts, patience, waiter);
        receipts.push((first, Receipt { outcome, call }));
    }
    receipts
}

/// Puts records into the queue's pending group.
fn append_directly(part: &Part<'_>, state: &mut State, patience: Duration) -> Receipt {
    let (waiter, outcome) = oneshot::channel();
    let least_before = state.pending.patience;
    if state.phase == Phase::Stopped {
        drop(waiter);
        for (header, _) in &part.records {
            state.counters.not_stored += header.tally();
        }
    } else if part.records.is_empty() {
        drop(waiter.send(Ok(())));
    } else {
        state.append(part.queue.salt, &part.records, patience, waiter);
    }
    state.reserved_bytes = state.reserved_bytes.saturating_sub(part.reserved_bytes);
    if state.pending.patience != least_before || state.pending.is_large() {
        part.queue.notify_writer();
    }
    Receipt {
        outcome,
        call: None,
    }
}

fn part(append: Append<'_>) -> Part<'_> {
    let queue = append.queue.shared();
    let header = |record: &Record<'_>| RecordHeader {
        kind: Kind::Data,
        length: u32::try_from(record.bytes.len()).expect("a record is smaller than 4 GiB"),
        position: 0,
        appended_ms: record.appended_ms,
        weight: record.weight,
        stream: record.stream,
        payload_checksum: checksum(queue.salt, record.bytes),
    };
    let records = append.records.iter();
    let records: Vec<_> = records
        .map(|record| (header(record), record.bytes))
        .collect();
    let needed: u64 = records
        .iter()
        .map(|(header, _)| header.stored_bytes())
        .sum();
    Part {
        queue,
        reserved_bytes: append.reservation.spend(queue, needed),
        records,
    }
}
