//! A real etcd of three members: the leader is killed, one is cut off, all are killed. The server goes on by itself,
//! without being started again, and nothing is lost.

use crate::client::PATH;
use crate::load::Load;
use tests::dice::{Dice, Torture};
use tests::{EtcdCluster, Insula, Kubectl, until};

/// Writes that are acknowledged between two faults, at least.
const WRITES: u64 = 40;
/// And while a member is cut off: what is asked of that one waits until it is given up.
const FEW_WRITES: u64 = 3;

/// What is done to the members.
#[derive(Clone, Copy, Debug)]
enum Fault {
    LeaderKilled,
    LeaderCutOff,
    FollowerCutOff,
    AllKilled,
}

const FAULTS: [Fault; 4] =
    [Fault::LeaderKilled, Fault::LeaderCutOff, Fault::FollowerCutOff, Fault::AllKilled];

#[test]
fn histories_are_linearizable_while_members_of_etcd_fail() {
    let torture = Torture::begin("members");
    let mut etcd = EtcdCluster::start();
    let insula = Insula::start_with(&[&format!("--etcd-servers={}", etcd.urls())], &[]);
    let acme = insula.tenant("acme");
    let mut dice = Dice::new(torture.seed);
    let mut load = Load::start(&insula.scratch("acme.yaml"), torture.seed);
    let mut rounds = 0;
    while torture.goes_on(rounds, FAULTS.len() as u64) {
        load.goes_on(WRITES);
        // Each once, then any.
        let fault = FAULTS.get(rounds as usize).unwrap_or_else(|| dice.of(&FAULTS));
        suffer(*fault, &mut etcd, &load, &acme);
        load.goes_on(WRITES);
        load.next_generation();
        rounds += 1;
        eprintln!("members: {fault:?}, {:?}", load.counts());
    }
    load.finish(&format!("members, seed {}, {rounds} faults", torture.seed));
}

fn suffer(fault: Fault, etcd: &mut EtcdCluster, load: &Load, acme: &Kubectl) {
    let leader = until("a member leads", || etcd.leader().ok_or_else(|| "none".to_owned()));
    match fault {
        Fault::LeaderKilled => {
            etcd.kill(leader);
            etcd.leader_besides(leader);
            load.goes_on(WRITES);
            etcd.start_again(leader);
        }
        Fault::LeaderCutOff => {
            etcd.cut_off(leader);
            etcd.leader_besides(leader);
            load.goes_on(FEW_WRITES);
            etcd.join_again(leader);
        }
        Fault::FollowerCutOff => {
            let follower = (leader + 1) % 3;
            etcd.cut_off(follower);
            load.goes_on(FEW_WRITES);
            etcd.join_again(follower);
        }
        Fault::AllKilled => {
            (0..3).for_each(|number| etcd.kill(number));
            // Reads go on, writes are refused with a reason, and monitors are told.
            acme.run(&["get", &format!("--raw={PATH}")]);
            let said = acme.refused(&["create", "configmap", "refused"]);
            let words =
                ["the store cannot be written", "it is not known whether the request was carried out"];
            assert!(words.iter().any(|words| said.contains(words)), "{said}");
            assert!(acme.refused(&["get", "--raw=/readyz"]).contains("[-]etcd failed"));
            (0..3).for_each(|number| etcd.start_again(number));
        }
    }
}
