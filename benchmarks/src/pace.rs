//! An even pace. The runtime's timers are a millisecond coarse, which would be most of the time of a short request: here a
//! thread sleeps until each moment, as exactly as the system wakes it.

use std::time::{Duration, Instant};
use tokio::sync::mpsc::{Receiver, channel};

/// So many moments, evenly spread from now on, each given when it has come. Who is late gets those that he missed at once.
pub fn moments(every: Duration, count: u32) -> std::io::Result<Receiver<Instant>> {
    // Room for all: the pace does not wait for who is late.
    let (give, moments) = channel(count.max(1) as usize);
    let begun = Instant::now();
    let run = move || {
        for number in 0..count {
            let due = begun + every * number;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            // Nobody waits any more.
            if give.blocking_send(due).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("pace".into()).spawn(run)?;
    Ok(moments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_moment_comes_once_and_not_before() {
        let every = Duration::from_millis(2);
        let mut coming = moments(every, 5).unwrap();
        let mut all = Vec::new();
        while let Some(due) = coming.recv().await {
            assert!(Instant::now() >= due);
            all.push(due);
        }
        assert_eq!(all.len(), 5);
        assert!(all.windows(2).all(|pair| pair[1] - pair[0] == every));
    }
}
