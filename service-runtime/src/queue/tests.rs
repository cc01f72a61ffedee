use super::*;

#[tokio::test]
async fn tenants_take_turns_by_weight() {
    let queue = FairQueue::<&str, u32>::default();
    queue.set_weight("heavy", 2);
    for n in 0..4 {
        queue.add("greedy", n);
        queue.add("heavy", n);
    }
    queue.add("small", 0);
    let mut order = Vec::new();
    while !queue.is_empty() {
        let lease = queue.next().await.unwrap();
        order.push(lease.tenant);
        lease.done(None);
    }
    assert_eq!(order, ["greedy", "heavy", "heavy", "small", "greedy", "heavy", "heavy", "greedy", "greedy"]);
}

#[tokio::test]
async fn a_key_is_worked_on_by_one_worker_and_comes_again_if_added_meanwhile() {
    let queue = FairQueue::<u8, u8>::default();
    queue.add(1, 1);
    let lease = queue.next().await.unwrap();
    queue.add(1, 1);
    queue.add(1, 1);
    assert!(queue.is_empty());
    lease.done(None);
    queue.next().await.unwrap().done(None);
    assert!(queue.is_empty());
}

#[tokio::test(start_paused = true)]
async fn failures_wait_longer_each_time_and_are_never_dropped() {
    let queue = FairQueue::<u8, u8>::default();
    queue.add(1, 1);
    let start = tokio::time::Instant::now();
    for _ in 0..30 {
        queue.next().await.unwrap().failed();
    }
    let waited = start.elapsed();
    assert!(waited > Duration::from_secs(300), "waited only {waited:?}");
    drop(queue.next().await.unwrap());
    queue.next().await.unwrap().done(None);
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_time_gets_it() {
    let queue = FairQueue::<u8, u8>::default();
    let start = tokio::time::Instant::now();
    for (asked, waited) in [(7, 7), (3, 10), (3600, 40)] {
        queue.add(1, 1);
        queue.next().await.unwrap().failed_for(Duration::from_secs(asked));
        let lease = queue.next().await.unwrap();
        assert_eq!(start.elapsed().as_secs(), waited, "never longer than the longest delay");
        lease.done(None);
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_says_when_a_key_comes_again() {
    let queue = FairQueue::<u8, u8>::default();
    let hours = |count: u64| Duration::from_secs(3600 * count);
    let start = tokio::time::Instant::now();
    for key in 0..100 {
        queue.add(1, key);
        queue.next().await.unwrap().done(Some(hours(1)));
        queue.add(1, key);
        queue.next().await.unwrap().done((key == 7).then(|| hours(2)));
    }
    assert_eq!(queue.0.state.lock().delays.len(), 1);
    queue.next().await.unwrap().done(None);
    assert_eq!(start.elapsed().as_secs(), hours(2).as_secs());
    assert!(queue.0.state.lock().delay_of.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_key_is_pending_until_its_work_is_done() {
    let queue = FairQueue::<u8, u8>::default();
    assert!(!queue.is_pending(&1, &1));
    queue.add(1, 1);
    queue.add(1, 2);
    assert!(queue.is_pending(&1, &1) && !queue.is_pending(&2, &1));
    assert_eq!((queue.lengths(), queue.failing()), (vec![(1, 2)], vec![]));
    tokio::time::advance(Duration::from_secs(3)).await;
    let lease = queue.next().await.unwrap();
    assert_eq!(lease.waited.as_secs(), 3);
    assert!(queue.is_pending(&1, &1), "under work");
    lease.failed();
    assert!(queue.is_pending(&1, &1), "delayed");
    assert_eq!((queue.lengths(), queue.failing()), (vec![(1, 1)], vec![(1, 1)]));
    for _ in 0..2 {
        queue.next().await.unwrap().done(None);
    }
    assert!(!queue.is_pending(&1, &1) && queue.failing().is_empty());
}

#[tokio::test]
async fn what_waits_in_a_closed_queue_can_still_be_taken() {
    let queue = FairQueue::<u8, u8>::default();
    assert!(queue.try_next().is_none());
    queue.add(1, 1);
    queue.close();
    assert!(queue.next().await.is_none());
    queue.try_next().unwrap().done(None);
    assert!(queue.try_next().is_none());
}

#[tokio::test]
async fn closing_ends_every_waiter() {
    let queue = FairQueue::<u8, u8>::default();
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            tokio::spawn({
                let q = queue.clone();
                async move { q.next().await.is_none() }
            })
        })
        .collect();
    queue.close();
    for waiter in waiters {
        assert!(waiter.await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn what_moves_to_another_queue_keeps_its_time_its_rank_and_its_failures() {
    let (queue, other) = (FairQueue::<u8, u8>::default(), FairQueue::default());
    let start = Instant::now();
    let mut delays = Vec::new();
    for _ in 0..4 {
        queue.add_ranked(1, 1, Rank::First);
        queue.try_next().unwrap().move_to(&other);
        assert!(!queue.is_pending(&1, &1) && other.is_pending(&1, &1));
        tokio::time::advance(Duration::from_secs(5)).await;
        other.try_next().unwrap().move_to(&queue);
        let lease = queue.try_next().unwrap();
        assert_eq!((lease.rank, lease.waited), (Rank::First, Duration::from_secs(5)));
        let failed = start.elapsed();
        lease.failed();
        queue.next().await.unwrap().move_to(&other);
        other.try_next().unwrap().done(None);
        delays.push(start.elapsed() - failed);
    }
    assert!(delays.is_sorted() && delays[3] >= delays[0] * 4, "{delays:?}");
}

#[tokio::test]
async fn so_many_keys_are_handed_over_and_tenants_take_turns() {
    let (queue, other) = (FairQueue::<u8, u8>::default(), FairQueue::default());
    for key in 0..3 {
        queue.add(1, key);
    }
    queue.add(2, 9);
    queue.hand_over(&other, 2);
    let mut lengths = other.lengths();
    lengths.sort_unstable();
    assert_eq!((lengths, queue.len()), (vec![(1, 1), (2, 1)], 2));
    queue.hand_over(&other, usize::MAX);
    assert_eq!((other.len(), queue.len()), (4, 0));
    assert!(!queue.is_pending(&1, &0));
}
