//! Images that are on a node already.

use super::MOST;
use crate::scheduler::cycle::Scoring;
use crate::scheduler::node::NodeInfo;

const MEGABYTE: i64 = 1024 * 1024;
/// What counts for nothing, and what for everything, for each container.
const LEAST: i64 = 23 * MEGABYTE;
const MOST_OF_ONE: i64 = 1000 * MEGABYTE;

/// How much of the pod's images is there; images of few nodes count less, or all pods would go there.
pub(in crate::scheduler) fn score(scoring: &Scoring<'_>, node: &NodeInfo) -> i64 {
    let images = &scoring.cycle.pod.images;
    if node.facts.images.is_empty() || images.is_empty() {
        return 0;
    }
    let cluster = scoring.cycle.cluster;
    let spread = |image: &str| {
        let nodes = cluster.nodes().filter(|node| node.facts.images.contains_key(image)).count();
        nodes as f64 / cluster.len() as f64
    };
    let present = images.iter().filter_map(|image| Some((image, *node.facts.images.get(image)?)));
    let sum: i64 = present.map(|(image, size)| (size as f64 * spread(image)) as i64).sum();
    let limit = MOST_OF_ONE * i64::try_from(images.len()).unwrap_or(1);
    MOST * (sum.clamp(LEAST, limit) - LEAST) / (limit - LEAST)
}
