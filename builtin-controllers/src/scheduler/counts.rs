//! How many pods each selector counts on each node. Pods of one workload ask for the same counts again and again: they
//! are kept, and follow each pod that comes or goes.

use super::pod::PodInfo;
use crate::selectors::Selector;
use compact_str::CompactString;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// How many selectors are remembered.
const REMEMBERED: usize = 256;

/// Which pods count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// Those that are here to stay; as in Kubernetes, an empty selector counts none of them.
    Staying,
    /// Those that go too.
    Everybody,
}

impl Who {
    fn counts(self, namespace: &str, selector: &Selector, pod: &PodInfo) -> bool {
        let may_count = match self {
            Who::Staying => !pod.is_deleting && !selector.is_empty(),
            Who::Everybody => true,
        };
        may_count && pod.name.namespace == namespace && selector.matches(&pod.labels)
    }
}

/// What is counted.
type Key = (Who, CompactString, Selector);

/// Pods by node.
pub(super) type ByNode = Arc<HashMap<CompactString, i64>>;

/// The counts of selectors.
#[derive(Default)]
pub(super) struct Counts {
    known: HashMap<Key, ByNode>,
    order: VecDeque<Key>,
}

impl Counts {
    /// The count of a selector in a namespace, made of these pods when it is not known.
    pub(super) fn of<'a>(
        &mut self,
        who: Who,
        namespace: &str,
        selector: &Selector,
        pods: impl Iterator<Item = &'a Arc<PodInfo>>,
    ) -> ByNode {
        let key = (who, CompactString::from(namespace), selector.clone());
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let mut by_node: HashMap<CompactString, i64> = HashMap::new();
        for pod in pods.filter(|pod| who.counts(namespace, selector, pod)) {
            *by_node.entry(pod.node.clone()).or_default() += 1;
        }
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(key.clone());
        self.known.entry(key).or_insert_with(|| Arc::new(by_node)).clone()
    }

    /// A pod came to its node (1), or left it (-1).
    pub(super) fn changed(&mut self, pod: &PodInfo, by: i64) {
        for ((who, namespace, selector), count) in &mut self.known {
            if who.counts(namespace, selector, pod) {
                *Arc::make_mut(count).entry(pod.node.clone()).or_default() += by;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::pod::tests::pod;
    use super::*;
    use serde_json::json;

    #[test]
    fn counts_follow_pods() {
        let on = |name: &str, node: &str| {
            let mut info = pod(name, json!({"labels": {"app": "web"}}));
            info.node = node.into();
            Arc::new(info)
        };
        let web = Selector::of_labels(&json!({"app": "web"}));
        let (mut counts, pods) = (Counts::default(), [on("a", "n"), on("b", "n"), on("c", "m")]);
        assert_eq!(counts.of(Who::Staying, "default", &web, pods.iter())["n"], 2);
        counts.changed(&on("d", "m"), 1);
        counts.changed(&pods[0], -1);
        let found = counts.of(Who::Staying, "default", &web, [].iter());
        assert_eq!((found["n"], found["m"]), (1, 2));
        assert!(counts.of(Who::Staying, "default", &Selector::default(), pods.iter()).is_empty());
        let mut going = pod("e", json!({}));
        (going.node, going.is_deleting) = ("n".into(), true);
        let going = Arc::new(going);
        assert_eq!(counts.of(Who::Everybody, "default", &Selector::default(), [&going].into_iter())["n"], 1);
        assert!(counts.of(Who::Staying, "other", &web, pods.iter()).is_empty());
        for number in 0..REMEMBERED {
            counts.of(
                Who::Staying,
                "default",
                &Selector::of_labels(&json!({"n": number.to_string()})),
                pods.iter(),
            );
        }
        assert_eq!(counts.known.len(), REMEMBERED);
    }
}
