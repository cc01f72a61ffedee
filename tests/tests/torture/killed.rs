//! The server is killed again and again, on either engine, with every write on disk before it is answered.

use crate::load::Load;
use std::time::Duration;
use tests::dice::{Dice, Torture};
use tests::{Etcd, Insula};

/// Writes that are acknowledged between two kills, at least.
const WRITES: u64 = 60;

fn killed(mut insula: Insula, what: &str, short: u64) {
    let torture = Torture::begin(what);
    insula.tenant("acme");
    let mut dice = Dice::new(torture.seed);
    let mut load = Load::start(&insula.scratch("acme.yaml"), torture.seed);
    let mut rounds = 0;
    while torture.goes_on(rounds, short) {
        load.goes_on(WRITES);
        // Not a wait for a state: the moment of the crash is the random input of this test.
        std::thread::sleep(Duration::from_micros(dice.below(50_000)));
        insula.kill();
        insula.start_again();
        load.next_generation();
        rounds += 1;
        if rounds % 10 == 0 {
            eprintln!("{what}: killed {rounds} times, {:?}", load.counts());
        }
    }
    load.goes_on(WRITES);
    let counts = load.finish(&format!("{what}, seed {}, killed {rounds} times", torture.seed));
    assert!(counts.checked > counts.acknowledged && counts.events > 0, "{counts:?}");
}

#[test]
fn histories_are_linearizable_while_the_server_is_killed() {
    killed(Insula::start(), "killed, embedded", 3);
}

#[test]
fn histories_are_linearizable_on_etcd_while_the_server_is_killed() {
    let etcd = Etcd::start();
    let servers = format!("--etcd-servers={}", etcd.url());
    killed(Insula::start_with(&[&servers], &[]), "killed, etcd", 1);
}
