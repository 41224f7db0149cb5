//! The targets of one job: which there are, and a task for each.
//!
//! When discovery or the configuration says something else, targets are built anew and compared
//! by their hashes: what is still there goes on undisturbed. A target that comes where another
//! one with the same labels goes takes over its series, so that no series is told ended which the
//! new one has, and each is which it has not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::cycle::{Cycle, Ending, Legacy, Order, Predecessor};
use super::job::{Job, Shared};
use super::metadata::Families;
use super::status::{self, Status};
use super::target::{self, Target, Verdict};
use crate::discovery::{Discovery, Labels, TargetGroup};

/// How long a discovery that begins may take to find what one before it had found already.
const FIRST_TARGETS: Duration = Duration::from_secs(5);

type Groups = Arc<Vec<Arc<TargetGroup>>>;

/// A job's targets, scraped.
#[derive(Debug)]
pub(super) struct Pool {
    discovery: Discovery,
    jobs: watch::Sender<Input>,
    view: Arc<View>,
    task: JoinHandle<()>,
}

/// What a pool works with; a reload replaces it.
#[derive(Clone, Debug)]
struct Input {
    /// `None` to end.
    job: Option<Arc<Job>>,
    groups: watch::Receiver<Groups>,
}

/// The targets as they were last built, for whoever asks.
#[derive(Debug)]
pub(super) struct View {
    name: String,
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
struct Content {
    active: Vec<Shown>,
    dropped: Vec<Labels>,
    dropped_count: usize,
}

/// An active target, to be shown.
#[derive(Clone, Debug)]
struct Shown {
    target: Arc<Target>,
    discovered: Arc<Labels>,
    status: Arc<Status>,
}

impl Pool {
    /// Scrapes the targets of `job` that `discovery` finds.
    pub(super) fn start(job: Arc<Job>, discovery: Discovery, shared: Arc<Shared>) -> Self {
        let groups = discovery.targets();
        let name = job.config.job_name.clone();
        let (jobs, input) = watch::channel(Input {
            job: Some(job),
            groups,
        });
        let view = Arc::new(View {
            name,
            content: Mutex::default(),
        });
        let keeper = Keeper {
            shared,
            view: Arc::clone(&view),
            active: BTreeMap::new(),
            leaving: Vec::new(),
            tasks: TaskTracker::new(),
        };
        let task = TaskTracker::new().spawn(keeper.run(input));
        Self {
            discovery,
            jobs,
            view,
            task,
        }
    }

    pub(super) fn job(&self) -> Option<Arc<Job>> {
        self.jobs.borrow().job.clone()
    }

    /// Goes on with another configuration and, if there is one, another discovery.
    pub(super) async fn reload(&mut self, job: Arc<Job>, discovery: Option<Discovery>) {
        let mut groups = self.jobs.borrow().groups.clone();
        if let Some(discovery) = discovery {
            groups = discovery.targets();
            let found = groups.wait_for(|groups| !groups.is_empty());
            drop(timeout(FIRST_TARGETS, found).await);
            std::mem::replace(&mut self.discovery, discovery)
                .stop()
                .await;
            self.discovery.count();
        }
        let job = Some(job);
        self.jobs.send_replace(Input { job, groups });
    }

    pub(super) fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Ends all scrapes and tells the ends of all series.
    pub(super) async fn stop(self) {
        self.jobs.send_modify(|input| input.job = None);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the keeper of a job's targets panicked");
        }
        self.discovery.stop().await;
    }
}

/// Keeps the tasks of a job as its targets are.
#[derive(Debug)]
struct Keeper {
    shared: Arc<Shared>,
    view: Arc<View>,
    /// By the targets' hashes.
    active: BTreeMap<u64, Member>,
    /// Members whose target is gone, until their series are told ended or taken over.
    leaving: Vec<Member>,
    tasks: TaskTracker,
}

/// A target's task.
#[derive(Debug)]
struct Member {
    job: Arc<Job>,
    shown: Shown,
    orders: watch::Sender<Order>,
    task: JoinHandle<Ending>,
}

impl Keeper {
    async fn run(mut self, mut input: watch::Receiver<Input>) {
        let mut last = None;
        loop {
            let Input { job, mut groups } = input.borrow_and_update().clone();
            let Some(job) = job else {
                break;
            };
            let found = Arc::clone(&groups.borrow_and_update());
            self.sync(&job, found).await;
            last = Some(job);
            tokio::select! {
                changed = input.changed() => if changed.is_err() {
                    break;
                },
                () = changed_or_pending(&mut groups) => {}
            }
        }
        if let Some(job) = last {
            job.metrics.synced(0, 0, 0);
        }
        let members = self.active.into_values().chain(self.leaving);
        join_all(members.map(Member::end)).await;
    }

    /// Starts what is new and tells what is gone to leave.
    async fn sync(&mut self, job: &Arc<Job>, groups: Groups) {
        let work = Arc::clone(job);
        let built = tokio::task::spawn_blocking(move || build(&work, &groups)).await;
        let Built {
            targets,
            mut content,
            invalid,
        } = built.expect("building targets does not panic");
        job.set_targets(targets.len());
        self.leaving.retain(|member| !member.task.is_finished());
        let is_kept = |hash: &u64, member: &mut Member| {
            !targets.contains_key(hash) || !Arc::ptr_eq(&member.job, job)
        };
        let gone: Vec<_> = self.active.extract_if(.., is_kept).collect();
        self.leaving
            .extend(gone.into_iter().map(|(_, member)| member));
        for (hash, target) in targets {
            match self.active.get_mut(&hash) {
                Some(member) => member.shown.discovered = Arc::new(target.discovered),
                None => self.add(job, target),
            }
        }
        for member in &self.leaving {
            member.order(Order::Leave);
        }
        let metrics = &job.metrics;
        metrics.synced(self.active.len(), content.dropped_count, invalid);
        let members = self.active.values();
        content.active = members.map(|member| member.shown.clone()).collect();
        *self.view.lock() = content;
    }

    fn add(&mut self, job: &Arc<Job>, mut target: Target) {
        let (orders, receiver) = watch::channel(Order::Scrape);
        let (hash, discovered) = (target.hash, std::mem::take(&mut target.discovered));
        let predecessor = self.take_predecessor(job, &target);
        let status = predecessor.as_ref().map(|(_, status)| Arc::clone(status));
        let shown = Shown {
            target: Arc::new(target),
            discovered: Arc::new(discovered),
            status: status.unwrap_or_default(),
        };
        let cycle = Cycle {
            job: Arc::clone(job),
            target: Arc::clone(&shown.target),
            shared: Arc::clone(&self.shared),
            status: Arc::clone(&shown.status),
            orders: receiver,
        };
        let predecessor = predecessor.map(|(predecessor, _)| predecessor);
        let member = Member {
            job: Arc::clone(job),
            shown,
            orders,
            task: self.tasks.spawn(cycle.run(predecessor)),
        };
        self.active.insert(hash, member);
    }

    /// A member that leaves and whose series the target goes on with.
    fn take_predecessor(
        &mut self,
        job: &Job,
        target: &Target,
    ) -> Option<(Predecessor, Arc<Status>)> {
        let same = |member: &Member| member.shown.target.hash == target.hash;
        let alike = |member: &Member| member.shown.target.labels_hash == target.labels_hash;
        let leaving = self.leaving.iter();
        let at = leaving.clone().position(same);
        let at = at.or_else(|| self.leaving.iter().position(alike))?;
        let member = self.leaving.swap_remove(at);
        member.order(Order::HandOver);
        let reusable = same(&member) && job.config.labels_series_like(&member.job.config);
        let legacy = if reusable {
            Legacy::Everything
        } else {
            Legacy::Series
        };
        let task = member.task;
        Some((Predecessor { task, legacy }, member.shown.status))
    }
}

/// What target groups come to.
#[derive(Debug, Default)]
struct Built {
    /// By their hashes, so that each is there once.
    targets: BTreeMap<u64, Target>,
    /// The dropped ones.
    content: Content,
    invalid: usize,
}

/// Builds the targets of all groups. Takes CPU in proportion to them.
fn build(job: &Job, groups: &[Arc<TargetGroup>]) -> Built {
    let mut built = Built::default();
    for group in groups {
        for verdict in target::from_group(group, &job.config, &job.target_rules) {
            match verdict {
                Ok(Verdict::Active(target)) => drop(built.targets.insert(target.hash, target)),
                Ok(Verdict::Dropped(labels)) => built.content.drop_target(labels, job),
                Err(error) => {
                    built.invalid += 1;
                    let (job, source) = (&job.config.job_name, &group.source);
                    warn!(job, source, %error, "creating target failed");
                }
            }
        }
    }
    built
}

impl Member {
    /// Gives an order, unless a later one was given before.
    fn order(&self, order: Order) {
        self.orders.send_if_modified(|current| {
            let later = *current < order;
            if later {
                *current = order;
            }
            later
        });
    }

    async fn end(self) {
        self.order(Order::End);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the task of a target panicked");
        }
    }
}

impl Content {
    fn drop_target(&mut self, labels: Labels, job: &Job) {
        self.dropped_count += 1;
        let keep = job.config.limits.keep_dropped_targets;
        if keep == 0 || (self.dropped.len() as u64) < keep {
            self.dropped.push(labels);
        }
    }
}

/// Returns when there are other target groups; never if there will be none.
async fn changed_or_pending(groups: &mut watch::Receiver<Groups>) {
    if groups.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl View {
    /// The job's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The active targets, as elements of `activeTargets`.
    pub(super) fn active(&self) -> Vec<Value> {
        let shown = self.lock().active.clone();
        let show = |shown: &Shown| {
            status::active(&shown.target, &shown.discovered, &shown.status, &self.name)
        };
        shown.iter().map(show).collect()
    }

    /// The dropped targets that are remembered.
    pub(super) fn dropped(&self) -> Vec<Labels> {
        self.lock().dropped.clone()
    }

    /// How many targets are dropped.
    pub(super) fn dropped_count(&self) -> usize {
        self.lock().dropped_count
    }

    /// The labels of each active target, and what it says of its metrics.
    pub(super) fn families(&self) -> Vec<(Arc<Target>, Families)> {
        let shown = self.lock().active.clone();
        let families = |shown: Shown| {
            let families = shown.status.families();
            (shown.target, families)
        };
        shown.into_iter().map(families).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
