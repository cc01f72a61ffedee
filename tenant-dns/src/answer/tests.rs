use super::*;
use crate::upstream;
use api_types::{ObjectName, Resource};
use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::A;
use plane_client::fake::FakePlanes;
use plane_client::{Actor, PlaneClient, Target, Write};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::net::UdpSocket;
use uuid::Uuid;

fn tenant(n: u128) -> TenantId {
    TenantId::new(Uuid::from_u128(n))
}

/// 127.0.0.1 is a pod of the first tenant, 127.0.0.2 of the second.
pub struct Loopback;

impl PodDirectory for Loopback {
    fn pod_at(&self, address: IpAddr) -> Option<(TenantId, ObjectName)> {
        let of = match address.to_string().as_str() {
            "127.0.0.1" => tenant(101),
            "127.0.0.2" => tenant(102),
            _ => return None,
        };
        Some((of, ObjectName::new("shop", "web")))
    }

    fn service_at(&self, _: TenantId, _: IpAddr) -> Option<ObjectName> {
        None
    }
}

async fn put(planes: &FakePlanes, of: TenantId, group: &'static str, plural: &'static str, object: Value) {
    let resource = Resource::new(group, "v1", plural);
    let target = Target::new(of, &resource, "shop", "");
    planes.write(&Actor::Platform("a-test"), &target, Write::Create(object)).await.unwrap();
}

/// Two tenants with a Service of one name, and one with a headless Service of many endpoints.
pub async fn answerer(upstreams: Vec<SocketAddr>) -> (Arc<Answerer>, Arc<Counts>) {
    let planes = FakePlanes::new();
    for (of, ip) in [(tenant(101), "10.96.0.1"), (tenant(102), "10.96.0.2")] {
        let service = json!({"metadata": {"name": "db", "namespace": "shop"}, "spec": {"clusterIP": ip}});
        put(&planes, of, "", "services", service).await;
    }
    let service =
        |name: &str, spec: Value| json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec});
    put(&planes, tenant(101), "", "services", service("many", json!({"clusterIP": "None"}))).await;
    for (name, other) in [
        ("far", "far.example.com"),
        ("near", "db.shop.svc.cluster.local"),
        ("loop", "loop.shop.svc.cluster.local"),
    ] {
        let spec = json!({"type": "ExternalName", "externalName": other});
        put(&planes, tenant(101), "", "services", service(name, spec)).await;
    }
    let endpoints: Vec<Value> = (0..200).map(|n| json!({"addresses": [format!("10.1.0.{n}")]})).collect();
    let slice = json!({"metadata": {"name": "many-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "many"}},
        "endpoints": endpoints, "ports": []});
    put(&planes, tenant(101), "discovery.k8s.io", "endpointslices", slice).await;
    let client: Arc<dyn PlaneClient> = Arc::new(planes);
    let counts = Arc::new(Counts::default());
    let zone = Zone::new(client, Arc::new(Loopback));
    (Arc::new(Answerer::new(zone, Arc::new(Loopback), Upstreams::new(upstreams), counts.clone())), counts)
}

pub fn question(name: &str, kind: RecordType, edns: Option<u16>) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    if let Some(size) = edns {
        message.set_edns(Edns::new().set_max_payload(size).clone());
    }
    message
}

async fn ask(answerer: &Answerer, message: &Message, source: &str, transport: Transport) -> Message {
    let bytes = message.to_vec().unwrap();
    let answer = answerer.answer(&bytes, source.parse().unwrap(), transport).await.unwrap();
    Message::from_vec(&answer).unwrap()
}

fn addresses(answer: &Message) -> Vec<String> {
    answer.answers.iter().map(|record| record.data.to_string()).collect()
}

/// A resolver that knows one name, cuts another, and is silent on others; and how many questions it heard.
async fn resolver() -> (SocketAddr, Arc<std::sync::atomic::AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let heard = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = heard.clone();
    tokio::spawn(async move {
        let mut buffer = [0; 2_000];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let asked = Message::from_vec(&buffer[..length]).unwrap();
            let mut answer = asked.clone().into_response();
            let name = asked.queries[0].name.clone();
            match name.to_string().as_str() {
                "far.example.com." => {
                    let data = RData::A(A("192.0.2.1".parse().unwrap()));
                    answer.add_answer(Record::from_rdata(name, 60, data));
                    // A forgery comes first.
                    let mut forged = answer.clone();
                    forged.metadata.id = asked.metadata.id.wrapping_add(1);
                    socket.send_to(&forged.to_vec().unwrap(), from).await.unwrap();
                }
                "cut.example.com." => answer.metadata.truncation = true,
                "missing.example.com." => answer.metadata.response_code = ResponseCode::NXDomain,
                _ => continue,
            }
            socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
        }
    });
    (address, heard)
}

#[tokio::test]
async fn each_tenant_hears_of_its_own_objects() {
    let (answerer, counts) = answerer(Vec::new()).await;
    let asked = question("db.shop.svc.cluster.local.", RecordType::A, None);
    for (source, expected) in
        [("127.0.0.1", "10.96.0.1"), ("127.0.0.2", "10.96.0.2"), ("::ffff:127.0.0.2", "10.96.0.2")]
    {
        let answer = ask(&answerer, &asked, source, Transport::Udp).await;
        assert_eq!(addresses(&answer), [expected]);
        let head = answer.metadata;
        assert!(head.authoritative && head.recursion_available && head.recursion_desired && head.id == 7);
        assert_eq!(answer.queries, asked.queries);
        assert_eq!((answer.answers[0].ttl, answer.edns.is_none()), (5, true));
    }
    let of_first = question("many.shop.svc.cluster.local.", RecordType::A, None);
    let answer = ask(&answerer, &of_first, "127.0.0.2", Transport::Udp).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(answer.authorities[0].record_type(), RecordType::SOA);
    assert_eq!(counts.all().take(2).map(|(_, n)| n).collect::<Vec<_>>(), [3, 1]);
}

#[tokio::test]
async fn who_is_nobodys_pod_is_refused_and_told_why() {
    let (answerer, counts) = answerer(Vec::new()).await;
    for name in ["db.shop.svc.cluster.local.", "example.com."] {
        let answer =
            ask(&answerer, &question(name, RecordType::A, Some(1_232)), "192.0.2.9", Transport::Udp).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::Refused);
        assert!(answer.answers.is_empty());
        let edns = answer.edns.unwrap();
        let Some(EdnsOption::Unknown(_, data)) = edns.option(EXTENDED_ERROR.into()) else {
            panic!("{edns:?}")
        };
        assert_eq!(data[..2], [0, 18]);
        assert!(String::from_utf8_lossy(&data[2..]).contains("no tenant's pod"));
    }
    assert!(counts.all().any(|counted| counted == ("unknown_source", 2)));
}

#[tokio::test]
async fn answers_fit_into_what_the_client_can_take() {
    let (answerer, _) = answerer(Vec::new()).await;
    for (transport, edns, most, cut) in [
        (Transport::Udp, None, 512, true),
        (Transport::Udp, Some(100), 512, true),
        (Transport::Udp, Some(700), 700, true),
        (Transport::Udp, Some(65_000), 1_232, true),
        (Transport::Tcp, None, 65_535, false),
    ] {
        let bytes = question("many.shop.svc.cluster.local.", RecordType::A, edns).to_vec().unwrap();
        let answer = answerer.answer(&bytes, "127.0.0.1".parse().unwrap(), transport).await.unwrap();
        assert!(answer.len() <= most && answer.len() + 17 > most || !cut, "{}", answer.len());
        let answer = Message::from_vec(&answer).unwrap();
        assert_eq!(answer.metadata.truncation, cut);
        assert_eq!(answer.answers.len() == 200, !cut);
        assert_eq!(answer.edns.is_some(), edns.is_some());
    }
}

#[tokio::test]
async fn addresses_come_in_turns() {
    let (answerer, _) = answerer(Vec::new()).await;
    let asked = question("many.shop.svc.cluster.local.", RecordType::A, None);
    let mut first = std::collections::BTreeSet::new();
    for _ in 0..50 {
        first.insert(addresses(&ask(&answerer, &asked, "127.0.0.1", Transport::Tcp).await)[0].clone());
    }
    assert!(first.len() > 5, "{first:?}");
}

#[tokio::test]
async fn other_names_are_asked_of_the_resolvers() {
    let (address, heard) = resolver().await;
    let (answerer, _) = answerer(vec![address]).await;
    let answer = async |name: &str| {
        ask(&answerer, &question(name, RecordType::A, Some(1_232)), "127.0.0.1", Transport::Udp).await
    };
    let far = answer("far.example.com.").await;
    assert_eq!((addresses(&far), far.metadata.authoritative), (vec!["192.0.2.1".to_owned()], false));
    let missing = answer("missing.example.com.").await;
    assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
    let cut = answer("cut.example.com.").await;
    assert!(cut.metadata.truncation);
    // Through a Service of the cluster, and back into it.
    let far = answer("far.shop.svc.cluster.local.").await;
    assert_eq!(addresses(&far), ["far.example.com.", "192.0.2.1"]);
    let near = answer("near.shop.svc.cluster.local.").await;
    assert_eq!(addresses(&near), ["db.shop.svc.cluster.local.", "10.96.0.1"]);
    assert_eq!(answer("loop.shop.svc.cluster.local.").await.metadata.response_code, ResponseCode::ServFail);
    // Names of private addresses would be told by what serves another network.
    let before = heard.load(std::sync::atomic::Ordering::SeqCst);
    for name in ["1.0.0.10.in-addr.arpa.", "10.in-addr.arpa.", "1.0.0.127.in-addr.arpa."] {
        assert_eq!(answer(name).await.metadata.response_code, ResponseCode::NXDomain, "{name}");
    }
    assert_eq!(heard.load(std::sync::atomic::Ordering::SeqCst), before);
}

#[tokio::test(start_paused = true)]
async fn silent_resolvers_are_given_up() {
    let (address, heard) = resolver().await;
    let (answerer, _) = answerer(vec![address]).await;
    let started = tokio::time::Instant::now();
    let asked = question("silent.example.com.", RecordType::A, None);
    let answer = ask(&answerer, &asked, "127.0.0.1", Transport::Udp).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    assert!(started.elapsed() <= upstream::PATIENCE);
    assert!(heard.load(std::sync::atomic::Ordering::SeqCst) <= 2);
}

#[tokio::test]
async fn what_is_not_answered_is_said() {
    let (answerer, _) = answerer(Vec::new()).await;
    let name = "db.shop.svc.cluster.local.";
    let plain = question(name, RecordType::A, None);
    let mut two = plain.clone();
    two.add_query(two.queries[0].clone());
    let mut notify = plain.clone();
    notify.metadata.op_code = OpCode::Notify;
    let mut newer = question(name, RecordType::A, Some(1_232));
    newer.edns.as_mut().unwrap().set_version(1);
    let mut chaos = plain.clone();
    chaos.queries[0].set_query_class(DNSClass::CH);
    let mut alone = question("example.com.", RecordType::A, None);
    alone.metadata.recursion_desired = false;
    for (asked, code) in [
        (two, ResponseCode::FormErr),
        (notify, ResponseCode::NotImp),
        (newer, ResponseCode::BADVERS),
        (chaos, ResponseCode::Refused),
        (alone, ResponseCode::Refused),
        (question("cluster.local.", RecordType::AXFR, None), ResponseCode::Refused),
        (question("example.com.", RecordType::A, None), ResponseCode::ServFail),
    ] {
        let answer = ask(&answerer, &asked, "127.0.0.1", Transport::Udp).await;
        // By number: two names have one.
        let told = u16::from(answer.metadata.response_code);
        assert_eq!(told, u16::from(code), "{asked:?}");
    }
    let source = "127.0.0.1".parse().unwrap();
    let response = plain.clone().into_response().to_vec().unwrap();
    assert_eq!(answerer.answer(&response, source, Transport::Udp).await, None);
    assert_eq!(answerer.answer(b"short", source, Transport::Udp).await, None);
    let mut broken = plain.to_vec().unwrap();
    broken.truncate(20);
    let answer = answerer.answer(&broken, source, Transport::Udp).await.unwrap();
    assert_eq!(Message::from_vec(&answer).unwrap().metadata.response_code, ResponseCode::FormErr);
}

#[tokio::test(start_paused = true)]
async fn who_asks_too_much_is_told_to_wait() {
    let (answerer, counts) = answerer(Vec::new()).await;
    let asked = question("db.shop.svc.cluster.local.", RecordType::A, None);
    let mut last = ResponseCode::NoError;
    for _ in 0..4_001 {
        last = ask(&answerer, &asked, "127.0.0.1", Transport::Udp).await.metadata.response_code;
    }
    assert_eq!(last, ResponseCode::ServFail);
    let other = ask(&answerer, &asked, "127.0.0.2", Transport::Udp).await;
    assert_eq!(other.metadata.response_code, ResponseCode::NoError);
    assert!(counts.all().any(|counted| counted == ("limited", 1)));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_sent_without_limit_what_others_ask_in_their_name() {
    let asked = question("db.shop.svc.cluster.local.", RecordType::A, None).to_vec().unwrap();
    for bytes in [&asked[..], &asked[..20]] {
        let (answerer, _) = answerer(Vec::new()).await;
        let source = "192.0.2.9".parse().unwrap();
        for _ in 0..4_000 {
            assert!(answerer.answer(bytes, source, Transport::Udp).await.is_some());
        }
        assert_eq!(answerer.answer(bytes, source, Transport::Udp).await, None);
    }
}

proptest! {
    #[test]
    fn fuzz_no_bytes_are_too_much(bytes in proptest::collection::vec(any::<u8>(), 0..200), flip in 0_usize..60, to in any::<u8>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (answerer, _) = answerer(Vec::new()).await;
            let source = "127.0.0.1".parse().unwrap();
            let mut near = question("_sql._tcp.db.shop.svc.cluster.local.", RecordType::SRV, Some(600)).to_vec().unwrap();
            near[flip] = to;
            for bytes in [bytes, near] {
                if let Some(answer) = answerer.answer(&bytes, source, Transport::Udp).await {
                    assert!(answer.len() <= 1_232);
                    assert_eq!(answer[..2], bytes[..2]);
                }
            }
        });
    }
}
