use super::*;

const ANY: RangeInclusive<u8> = 1..=50;

/// A route whose series come at some rate to a receiver that takes so many samples per second from
/// each lane, and so many in all.
struct Route {
    incoming: f64,
    per_lane: f64,
    in_all: f64,
    is_down: bool,
    bounds: RangeInclusive<u8>,
    scaling: Scaling,
    lanes: u8,
    /// The backlog by the number of lanes that it was sorted into.
    backlog: VecDeque<(u8, f64)>,
    seconds: u32,
    appended: f64,
    sent: f64,
    busy_micros: f64,
    at_work: u8,
}

impl Route {
    fn new(incoming: f64, per_lane: f64, in_all: f64) -> Self {
        Self {
            incoming,
            per_lane,
            in_all,
            is_down: false,
            bounds: ANY,
            scaling: Scaling::default(),
            lanes: 1,
            backlog: VecDeque::new(),
            seconds: 0,
            appended: 0.0,
            sent: 0.0,
            busy_micros: 0.0,
            at_work: 0,
        }
    }

    /// Lets a second pass.
    fn tick(&mut self) {
        self.seconds += 1;
        self.appended += self.incoming;
        match self.backlog.back_mut() {
            Some((lanes, samples)) if *lanes == self.lanes => *samples += self.incoming,
            _ => self.backlog.push_back((self.lanes, self.incoming)),
        }
        let mut second = 1.0;
        while let Some((lanes, samples)) = self.backlog.front_mut()
            && second > 0.0
        {
            self.at_work = *lanes;
            if self.is_down {
                break;
            }
            // What all lanes together get is less than what each could where the receiver is small.
            let lane_speed = self.per_lane.min(self.in_all / f64::from(*lanes));
            let speed = f64::from(*lanes) * lane_speed;
            let took = (*samples / speed).min(second);
            let sent = took * speed;
            self.sent += sent;
            self.busy_micros += sent / lane_speed * 1e6;
            second -= took;
            *samples -= sent;
            if *samples > 0.5 {
                break;
            }
            self.backlog.pop_front();
        }
        let seen = Seen {
            at: TICK * self.seconds,
            appended: whole(self.appended),
            lanes: self.at_work,
            in_hand: usize::from(!self.backlog.is_empty()),
            settled: whole(self.sent / 2000.0),
            full_samples: whole(self.sent),
            full_micros: whole(self.busy_micros),
        };
        self.lanes = self.scaling.next(seen, &self.bounds, self.lanes);
    }

    fn waiting(&self) -> f64 {
        self.backlog.iter().map(|(_, samples)| samples).sum()
    }

    fn run(&mut self, seconds: u32) {
        (0..seconds).for_each(|_| self.tick());
    }
}

fn whole(number: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number that is small"
    )]
    let whole = number as u64;
    whole
}

#[test]
fn one_lane_stays_one_while_it_does() {
    let mut route = Route::new(7_000.0, 10_000.0, f64::INFINITY);
    route.run(3600);
    assert_eq!(route.lanes, 1);
}

#[test]
fn a_route_gets_the_lanes_that_a_distant_receiver_takes_and_catches_up() {
    for times in [0.9, 1.5, 3.0, 10.0, 20.0] {
        let mut route = Route::new(times * 10_000.0, 10_000.0, f64::INFINITY);
        route.run(6);
        assert!(route.lanes > 1, "{times} times what one lane can");
        let mut seconds = 0;
        while route.waiting() > 1.0 || f64::from(route.lanes) < times {
            route.tick();
            seconds += 1;
            assert!(seconds < 800, "{times} times: {} lanes", route.lanes);
        }
        let lanes = route.lanes;
        assert!(f64::from(lanes) <= 4.0 * times, "{times} times: {lanes}");
    }
}

#[test]
fn a_receiver_that_is_at_its_end_is_not_pressed() {
    let mut route = Route::new(15_000.0, 10_000.0, 11_000.0);
    let (mut most, mut changes) = (1, 0);
    for _ in 0..3600 {
        let before = route.lanes;
        route.tick();
        most = most.max(route.lanes);
        changes += u32::from(route.lanes != before);
    }
    assert!(most <= 6, "{most} lanes were tried");
    assert!((2..=12).contains(&changes), "{changes} changes in an hour");
}

#[test]
fn a_receiver_that_takes_some_lanes_keeps_those() {
    let mut route = Route::new(40_000.0, 10_000.0, 25_000.0);
    route.run(60);
    assert_eq!(route.lanes, 3, "what 25,000 samples a second take");
}

#[test]
fn an_outage_is_sorted_into_four_lanes() {
    let mut route = Route::new(5_000.0, 10_000.0, f64::INFINITY);
    route.run(60);
    assert_eq!(route.lanes, 1);
    route.is_down = true;
    route.run(6);
    assert_eq!(route.lanes, CATCH_UP);
    route.run(3600);
    assert_eq!(route.lanes, CATCH_UP, "and into no more however long it is");
    route.is_down = false;
    let mut seconds = 0;
    while route.waiting() > 1.0 {
        route.tick();
        seconds += 1;
    }
    assert!(seconds < 600, "an hour's backlog took {seconds} s");
    route.run(5 * CALM);
    assert_eq!(route.lanes, 1, "and then they are too many");
}

#[test]
fn the_bounds_hold() {
    let mut route = Route::new(200_000.0, 10_000.0, f64::INFINITY);
    route.bounds = 3..=7;
    route.tick();
    assert_eq!(route.lanes, 3);
    route.run(600);
    assert_eq!(route.lanes, 7);
    (route.incoming, route.backlog) = (10.0, VecDeque::new());
    route.run(3600);
    assert_eq!(route.lanes, 3);
}

#[test]
fn nothing_is_judged_by_lanes_that_are_not_at_work() {
    let mut scaling = Scaling::default();
    for second in 1..100 {
        let seen = Seen {
            at: Duration::from_secs(second),
            appended: second * 100_000,
            lanes: 1,
            in_hand: 1,
            settled: second,
            full_samples: second * 2000,
            full_micros: second * 1_000_000,
        };
        assert_eq!(scaling.next(seen, &ANY, 2), 2);
    }
}

#[test]
fn a_backlog_found_at_the_start_asks_for_more_lanes() {
    assert_eq!(first_lanes(&ANY, 0), 1);
    assert_eq!(first_lanes(&ANY, 1), 4);
    assert_eq!(first_lanes(&(1..=2), 1), 2);
    assert_eq!(first_lanes(&(10..=20), 1), 10);
}

#[test]
fn lanes_that_all_have_a_batch_in_hand_are_not_too_many() {
    for (in_hand, lanes) in [(4, 4), (3, 1)] {
        let (mut scaling, mut now) = (Scaling::default(), 4);
        // Batches that take long, and say nothing of what a lane could carry.
        for second in 0..u64::from(2 * CALM) {
            let seen = Seen {
                at: Duration::from_secs(second),
                lanes: now,
                in_hand,
                settled: second,
                ..Seen::default()
            };
            now = scaling.next(seen, &ANY, now);
        }
        assert_eq!(now, lanes, "{in_hand} of 4 in hand");
    }
}

#[test]
fn all_the_time_of_a_full_batch_counts_up_to_a_bound() {
    let counted = |since: Duration, is_cut: bool| {
        let work = Work::default();
        let mut in_hand = work.take_in_hand();
        in_hand.since -= since;
        let mut batch = Batch::default();
        if is_cut {
            batch.cut();
        }
        in_hand.settled(&batch);
        let seen = work.seen(Duration::ZERO, 0);
        assert_eq!((seen.in_hand, seen.settled), (1, 1));
        drop(in_hand);
        assert_eq!(work.seen(Duration::ZERO, 0).in_hand, 0);
        seen.full_micros / 1_000_000
    };
    assert_eq!(counted(Duration::from_secs(3), true), 3);
    assert_eq!(counted(Duration::from_mins(10), true), 5);
    assert_eq!(counted(Duration::from_secs(3), false), 0);
}
