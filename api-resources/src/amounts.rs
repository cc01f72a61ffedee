//! Amounts of resources by name: what is requested, limited, allowed and used.

use crate::kinds::resources::quantity;
use api_schema::quantity::Quantity;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Amounts by the name of the resource.
pub type Amounts = BTreeMap<String, Quantity>;

/// Reads amounts; what is no quantity is left out.
pub fn read(amounts: &Value) -> Amounts {
    let amounts = amounts.as_object().into_iter().flatten();
    amounts.filter_map(|(name, value)| Some((name.clone(), quantity(value)?))).collect()
}

/// Amounts as objects have them.
pub fn write(amounts: &Amounts) -> Value {
    let written: Map<String, Value> =
        amounts.iter().map(|(name, amount)| (name.clone(), amount.to_string().into())).collect();
    written.into()
}

/// Adds to each amount what the other has of it.
pub fn add(to: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        to.entry(name.clone()).and_modify(|sum| *sum += *amount).or_insert(*amount);
    }
}

/// Makes each amount as large as the other at least.
pub fn at_least(to: &mut Amounts, other: Amounts) {
    for (name, amount) in other {
        let most = to.entry(name).or_insert(amount);
        if amount > *most {
            *most = amount;
        }
    }
}

/// What the first has more than the second, of each that one of them names; nothing where it has less.
pub fn surplus(of: &Amounts, over: &Amounts) -> Amounts {
    let names = of.keys().chain(over.keys());
    let more = |name: &String| {
        let (of, over) = (of.get(name).copied(), over.get(name).copied());
        let difference = of.unwrap_or_default() - over.unwrap_or_default();
        if difference > Quantity::ZERO { difference } else { Quantity::ZERO }
    };
    names.map(|name| (name.clone(), more(name))).collect()
}

/// Of the first, what the second names too.
pub fn mask(amounts: &Amounts, by: &Amounts) -> Amounts {
    let kept = amounts.iter().filter(|(name, _)| by.contains_key(*name));
    kept.map(|(name, amount)| (name.clone(), *amount)).collect()
}

/// `cpu=1,memory=2Gi`.
pub fn told(amounts: &Amounts) -> String {
    let each: Vec<String> = amounts.iter().map(|(name, amount)| format!("{name}={amount}")).collect();
    each.join(",")
}

/// True for an init container that runs beside the others: a sidecar.
pub fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

/// What all containers of a pod need together: those that run side by side, or, when that is more, an init container
/// with the sidecars that started before it (KEP-753). `of` tells the amounts of one container.
pub fn of_containers(spec: &Value, of: impl Fn(&Value) -> Amounts) -> Amounts {
    let containers = |list: &str| spec[list].as_array().into_iter().flatten();
    let (mut total, mut sidecars, mut starting) = (Amounts::new(), Amounts::new(), Amounts::new());
    containers("containers").for_each(|container| add(&mut total, &of(container)));
    for container in containers("initContainers") {
        let mut own = of(container);
        if is_sidecar(container) {
            add(&mut total, &own);
            add(&mut sidecars, &own);
            own.clone_from(&sidecars);
        } else {
            add(&mut own, &sidecars);
        }
        at_least(&mut starting, own);
    }
    at_least(&mut total, starting);
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn amounts_are_counted_by_name() {
        let of = |amounts: Value| read(&amounts);
        let mut sum = of(json!({"cpu": "1", "memory": "1Gi"}));
        add(&mut sum, &of(json!({"cpu": "500m", "pods": 1, "bad": "x"})));
        assert_eq!(told(&sum), "cpu=1500m,memory=1Gi,pods=1");
        let more = surplus(&sum, &of(json!({"cpu": "1", "memory": "2Gi", "gone": "1"})));
        assert_eq!(told(&more), "cpu=500m,gone=0,memory=0,pods=1");
        assert_eq!(told(&mask(&sum, &of(json!({"pods": "0", "other": "1"})))), "pods=1");
        at_least(&mut sum, of(json!({"cpu": "1", "memory": "1025Mi"})));
        assert_eq!(write(&sum), json!({"cpu": "1500m", "memory": "1025Mi", "pods": "1"}));
    }

    proptest! {
        #[test]
        fn nothing_gets_lost(a in prop::collection::btree_map("[a-c]", 0i64..1000, 0..3),
            b in prop::collection::btree_map("[a-c]", 0i64..1000, 0..3)) {
            let of = |map: &BTreeMap<String, i64>| -> Amounts {
                map.iter().map(|(k, v)| (k.clone(), Quantity::from_milli(*v, Default::default()))).collect()
            };
            let (a, b) = (of(&a), of(&b));
            // What b lacks, added to b, is a at least.
            let mut sum = b.clone();
            add(&mut sum, &surplus(&a, &b));
            for (name, amount) in &a {
                prop_assert!(sum[name] >= *amount && sum[name] == (*amount).max(b.get(name).copied().unwrap_or_default()));
            }
            prop_assert_eq!(read(&write(&a)), a);
        }
    }
}
