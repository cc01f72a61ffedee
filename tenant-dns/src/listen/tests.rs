use super::*;
use crate::answer::tests::{answerer, question};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use tokio::net::TcpSocket;

async fn served() -> (SocketAddr, Shutdown) {
    let (answerer, counts) = answerer(Vec::new()).await;
    let sockets = Sockets::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (address, shutdown) = (sockets.local_addr().unwrap(), Shutdown::new());
    tokio::spawn(serve(sockets, answerer, counts, shutdown.clone()));
    (address, shutdown)
}

async fn over_udp(to: SocketAddr, from: &str, name: &str) -> Message {
    let socket = UdpSocket::bind((from, 0)).await.unwrap();
    socket.send_to(&question(name, RecordType::A, None).to_vec().unwrap(), to).await.unwrap();
    let mut buffer = [0; 2_000];
    let (length, _) = socket.recv_from(&mut buffer).await.unwrap();
    Message::from_vec(&buffer[..length]).unwrap()
}

async fn connect(to: SocketAddr, from: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}

async fn over_tcp(stream: &mut TcpStream, name: &str) -> Message {
    let asked = question(name, RecordType::A, None).to_vec().unwrap();
    let length = u16::try_from(asked.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length, asked.as_slice()].concat()).await.unwrap();
    let mut answer = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut answer).await.unwrap();
    Message::from_vec(&answer).unwrap()
}

#[tokio::test]
async fn the_source_of_a_packet_decides_whose_names_are_told() {
    let (address, shutdown) = served().await;
    let name = "db.shop.svc.cluster.local.";
    for (source, expected) in [("127.0.0.1", "10.96.0.1"), ("127.0.0.2", "10.96.0.2")] {
        let answer = over_udp(address, source, name).await;
        assert_eq!(answer.answers[0].data.to_string(), expected);
        let mut stream = connect(address, source).await;
        // Several questions over one connection.
        for _ in 0..2 {
            assert_eq!(over_tcp(&mut stream, name).await.answers[0].data.to_string(), expected);
        }
    }
    assert_eq!(over_udp(address, "127.0.0.3", name).await.metadata.response_code, ResponseCode::Refused);
    let cut = over_udp(address, "127.0.0.1", "many.shop.svc.cluster.local.").await;
    let whole = over_tcp(&mut connect(address, "127.0.0.1").await, "many.shop.svc.cluster.local.").await;
    assert!(cut.metadata.truncation && !whole.metadata.truncation && whole.answers.len() == 200);
    shutdown.trigger();
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_no_more() {
    let (address, _shutdown) = served().await;
    let mut open = Vec::new();
    for _ in 0..OF_ONE {
        let mut stream = connect(address, "127.0.0.1").await;
        over_tcp(&mut stream, "db.shop.svc.cluster.local.").await;
        open.push(stream);
    }
    let mut beyond = connect(address, "127.0.0.1").await;
    assert_eq!(beyond.read(&mut [0; 1]).await.unwrap_or(0), 0, "it is closed");
    over_tcp(&mut connect(address, "127.0.0.2").await, "db.shop.svc.cluster.local.").await;
}

#[tokio::test]
async fn one_tenant_cannot_take_all_connections() {
    // Addresses that are nobody's are one asker together.
    let (address, _shutdown) = served().await;
    let mut open = Vec::new();
    for n in 0..OF_TENANT / OF_ONE {
        for _ in 0..OF_ONE {
            let mut stream = connect(address, &format!("127.0.1.{}", n + 1)).await;
            over_tcp(&mut stream, "db.shop.svc.cluster.local.").await;
            open.push(stream);
        }
    }
    let mut beyond = connect(address, "127.0.2.1").await;
    assert_eq!(beyond.read(&mut [0; 1]).await.unwrap_or(0), 0, "it is closed");
    over_tcp(&mut connect(address, "127.0.0.2").await, "db.shop.svc.cluster.local.").await;
}
