//! Where segments find the keys and values that they go on from.

use super::config::Config;
use super::forward::Segment;
use super::kernels::attention::KeyValues;

/// The segments' keys and values of one layer, each after those of its parent.
pub struct Stores<'a> {
    segments: &'a [Segment<'a>],
    /// The segment at work.
    now: Option<usize>,
    place: Place<'a>,
}

enum Place<'a> {
    /// In caches, one for each segment.
    Kept(Vec<&'a mut KeyValues>),
    /// Here, as long as the segment or one that goes on from it is at work.
    Passing {
        held: Vec<KeyValues>,
        /// How many of these have not ended, by segment.
        users: Vec<usize>,
    },
}

impl<'a> Stores<'a> {
    /// Those of `segments`: in caches, where there are any.
    pub fn new(
        c: &Config,
        segments: &'a [Segment<'a>],
        kept: Option<Vec<&'a mut KeyValues>>,
    ) -> Self {
        let place = kept.map_or_else(
            || {
                let mut users = vec![1; segments.len()];
                segments.iter().filter_map(|s| s.parent).for_each(|p| users[p] += 1);
                let empty = KeyValues::new(c.kv_heads, c.head_dim);
                Place::Passing { held: vec![empty; segments.len()], users }
            },
            Place::Kept,
        );
        Self { segments, now: None, place }
    }

    /// Those of `segment`; segments come in order.
    pub fn of(&mut self, segment: usize) -> &mut KeyValues {
        let last = self.now.replace(segment);
        let begins = last != Some(segment);
        let parent = self.segments[segment].parent.filter(|_| begins);
        match &mut self.place {
            Place::Kept(stores) => {
                if let Some(parent) = parent {
                    *stores[segment] = stores[parent].clone();
                }
                stores[segment]
            }
            Place::Passing { held, users } => {
                if let Some(last) = last.filter(|_| begins) {
                    users[last] -= 1;
                    if users[last] == 0 {
                        held[last] = KeyValues::default();
                    }
                }
                if let Some(parent) = parent {
                    users[parent] -= 1;
                    // The last to go on from it takes it along.
                    held[segment] = match users[parent] {
                        0 => std::mem::take(&mut held[parent]),
                        _ => held[parent].clone(),
                    };
                }
                &mut held[segment]
            }
        }
    }
}
