use hashbrown::DefaultHashBuilder;

use super::super::VerdictId;
use super::{Half, Known};
use crate::model::{Label, METRIC_NAME};
use crate::remote_write::v1::{Limits, Series, TIMESERIES, Walker, encode_labels};
use crate::remote_write::wire::put_bytes_field;
use crate::route::key::{Deciding, Recent};

const LIMITS: Limits = Limits {
    labels_per_series: 8,
    label_name_bytes: 64,
    label_value_bytes: 64,
};

/// Looks for the key of a series of this name in `half`, or puts it there under `id` if there is
/// one.
fn look_up(half: &mut Half, name: &str, last: Option<Known>, id: Option<usize>) -> Option<Known> {
    let (mut message, mut request) = (Vec::new(), Vec::new());
    let label = Label {
        name: METRIC_NAME,
        value: name,
    };
    encode_labels(std::iter::once(label), &mut message);
    put_bytes_field(&mut request, TIMESERIES, &message);
    let deciding = [Deciding {
        name: METRIC_NAME.to_owned(),
        external: String::new(),
    }];
    let (mut recent, mut series) = (Recent::new(&deciding), Series::default());
    let read = Walker::new(&request, LIMITS).next_part(&mut series);
    assert!(read.unwrap().is_some());
    assert_eq!(recent.next(&deciding, &series.labels), None);
    let values = recent.values(&deciding);
    let found = half.find(&values, last);
    found.or_else(|| Some(half.insert(values.key(), VerdictId(id?), last)))
}

/// Whoever finds a key in a half that has forgotten how it hashed has not asked for a hash.
#[test]
fn what_came_after_a_key_is_found_without_a_hash() {
    let names: Vec<_> = (0..100).map(|index| format!("metric_{index}")).collect();
    // Those that are not there yet are put there. While the table grows, places change: after one
    // pass the order of the later ones is known, after two that of all.
    for (passes, known) in [(1, 70), (2, 0)] {
        let mut half = Half::default();
        for _ in 0..passes {
            let mut last = None;
            for (id, name) in names.iter().enumerate() {
                last = look_up(&mut half, name, last, Some(id));
                assert_eq!(last.map(|known| known.id), Some(VerdictId(id)));
            }
        }
        let first = look_up(&mut half, &names[known], None, None);
        half.hashes = DefaultHashBuilder::default();
        let mut last = first;
        for (id, name) in names.iter().enumerate().skip(known + 1) {
            last = look_up(&mut half, name, last, None);
            assert_eq!(last.map(|known| known.id), Some(VerdictId(id)), "{name}");
        }
        let others = names.iter().skip(known + 2);
        let found = others.filter(|name| look_up(&mut half, name, first, None).is_some());
        assert!(found.count() < 10, "they did not come after the first");
    }
}
