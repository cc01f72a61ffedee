use super::*;

fn ready(used: i64) -> Measured {
    Measured { standing: Standing::Ready, used, requested: 1000 }
}

const UNREADY: Measured = Measured { standing: Standing::Unready, used: 0, requested: 1000 };
const MISSING: Measured = Measured { standing: Standing::Missing, used: 0, requested: 1000 };

fn count(pods: &[Measured]) -> i64 {
    i64::try_from(pods.len()).unwrap()
}

#[test]
fn replicas_by_utilization() {
    for (pods, target, replicas, utilization) in [
        // Three pods, of which each uses more than it should.
        (vec![ready(300), ready(500), ready(700)], 30, 5, 50),
        (vec![ready(300), ready(500), ready(700)], 50, 3, 50),
        // A tenth more or less changes nothing.
        (vec![ready(550), ready(550), ready(550)], 50, 3, 55),
        (vec![ready(560), ready(560), ready(560)], 50, 4, 56),
        (vec![ready(450), ready(450), ready(450)], 50, 3, 45),
        (vec![ready(100), ready(100), ready(100)], 50, 1, 10),
        // Going up, those that are not ready use nothing.
        (vec![UNREADY, ready(500), ready(700)], 30, 4, 60),
        (vec![UNREADY, UNREADY, ready(400)], 30, 3, 40),
        // Going down, they do not count; those without metrics use all.
        (vec![UNREADY, ready(100), ready(100)], 50, 1, 10),
        (vec![MISSING, ready(100), ready(100)], 50, 3, 10),
        (vec![MISSING, ready(100), ready(100)], 80, 2, 10),
        (vec![MISSING, ready(500), ready(700)], 30, 4, 60),
        // Those without metrics use the target where that is more than all.
        (vec![MISSING, MISSING, ready(1000)], 200, 3, 100),
        // What is on target stays, whatever the others do.
        (vec![MISSING, UNREADY, ready(500)], 50, 3, 50),
        // Pods that are not ready are not made fewer than there are.
        (vec![UNREADY, UNREADY, UNREADY, ready(400)], 30, 4, 40),
    ] {
        let found = by_utilization(&pods, count(&pods), target, Tolerance::default()).unwrap();
        assert_eq!((found.replicas, found.utilization), (replicas, utilization), "{pods:?} {target}");
    }
    let wide = Tolerance { down: 0.5, up: 0.0 };
    assert_eq!(by_utilization(&[ready(300), ready(300)], 2, 50, wide).unwrap().replicas, 2);
    assert_eq!(by_utilization(&[ready(510), ready(510)], 2, 50, wide).unwrap().replicas, 3);
}

#[test]
fn replicas_by_average() {
    for (pods, target, replicas, average) in [
        (vec![ready(300), ready(500), ready(700)], 250, 6, 500),
        (vec![ready(300), ready(500), ready(700)], 480, 3, 500),
        (vec![ready(100), ready(101)], 50, 4, 100),
        (vec![UNREADY, ready(500), ready(700)], 300, 4, 600),
        (vec![UNREADY, ready(100), ready(100)], 500, 1, 100),
        // Going down, those without metrics use what they should.
        (vec![MISSING, ready(100), ready(100)], 500, 2, 100),
        (vec![MISSING, ready(500), ready(700)], 300, 4, 600),
        // The largest number is not passed.
        (vec![ready(i64::MAX), ready(1)], 1, i64::from(i32::MAX), i64::MAX / 2),
    ] {
        let found = by_average(&pods, count(&pods), target, Tolerance::default()).unwrap();
        assert_eq!((found.replicas, found.average), (replicas, average), "{pods:?} {target}");
    }
}

#[test]
fn rounding_is_that_of_kubernetes() {
    // 1.2 × 10 is a little more than 12 there as here.
    let ten = vec![ready(600); 10];
    assert_eq!(by_utilization(&ten, 10, 50, Tolerance::default()).unwrap().replicas, 12);
    let hundred = vec![ready(560); 100];
    assert_eq!(by_utilization(&hundred, 100, 50, Tolerance::default()).unwrap().replicas, 113);
}

#[test]
fn what_cannot_be_told() {
    for pods in [vec![], vec![UNREADY], vec![MISSING]] {
        assert_eq!(by_utilization(&pods, 1, 50, Tolerance::default()), Err(NOTHING), "{pods:?}");
        assert_eq!(by_average(&pods, 1, 50, Tolerance::default()), Err(NOTHING), "{pods:?}");
    }
    let none = Measured { requested: 0, ..ready(1) };
    assert_eq!(
        by_utilization(&[none], 1, 50, Tolerance::default()),
        Err("no metrics returned matched known pods")
    );
}

#[test]
fn replicas_by_what_is_not_of_pods() {
    let value = |used, target, current, ready: Result<i64, ()>| {
        by_value((used, target), current, Tolerance::default(), || ready)
    };
    for (used, target, current, ready, expected) in [
        (20_000, 10_000, 3, Ok(3), Ok(6)),
        (20_000, 10_000, 3, Ok(2), Ok(4)),
        (10_500, 10_000, 3, Err(()), Ok(3)),
        (20_000, 10_000, 3, Err(()), Err(())),
        // From nothing, ready pods cannot be asked for.
        (20_000, 10_000, 0, Err(()), Ok(2)),
        (0, 10_000, 0, Err(()), Ok(0)),
        (i64::MAX, 1, 3, Ok(3), Ok(i64::from(i32::MAX))),
    ] {
        assert_eq!(value(used, target, current, ready), expected, "{used} {target} {current}");
    }
    for (used, target, replicas, expected) in [
        (30_000, 10_000, 3, (3, 10_000)),
        (31_000, 10_000, 3, (3, 10_334)),
        (60_000, 10_000, 3, (6, 20_000)),
        (10_000, 10_000, 3, (1, 3334)),
        (10_000, 10_000, 0, (1, 0)),
    ] {
        let found = by_share((used, target), replicas, Tolerance::default());
        assert_eq!(found, expected, "{used} {target} {replicas}");
    }
}
