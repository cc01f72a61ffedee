//! Names that are not the cluster's, asked of the platform's resolvers.
//!
//! Guarantees: each question has a socket with a port of its own and an identifier that nobody can guess, and only an
//! answer to it from that resolver counts (RFC 5452); what takes longer than [`PATIENCE`] ends. Nothing is kept: what one
//! tenant asked cannot be told by how fast another is answered here; the resolvers have caches.

use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// How long one resolver may take to answer.
const EACH: Duration = Duration::from_secs(2);
/// How long all of them may take together.
pub const PATIENCE: Duration = Duration::from_secs(6);
/// How often all of them are tried.
const ROUNDS: usize = 2;
/// The largest UDP answer that is asked for; larger ones would be split on their way (RFC 9715).
pub const UDP_SIZE: u16 = 1_232;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No resolver is configured.
    #[error("no resolver is known: give --dns-upstream")]
    None,
    /// None answered in time.
    #[error("no resolver answered")]
    Silent(#[source] io::Error),
}

/// The platform's resolvers, in order.
#[derive(Clone, Debug)]
pub struct Upstreams(Vec<SocketAddr>);

/// What of a client's question goes on to resolvers.
#[derive(Clone, Debug)]
pub struct Forwarded {
    /// The question.
    pub query: Query,
    /// The client understands DNSSEC.
    pub dnssec_ok: bool,
    /// The client validates itself.
    pub checking_disabled: bool,
    /// The client came over a stream: an answer of any size can be given.
    pub whole: bool,
}

impl Upstreams {
    /// These resolvers, of which the first that answers is believed.
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        Upstreams(servers)
    }

    /// Asks. An answer that the resolver cut is taken whole when the client can have it whole.
    pub async fn ask(&self, asked: &Forwarded) -> Result<Message, UpstreamError> {
        if self.0.is_empty() {
            return Err(UpstreamError::None);
        }
        let late = || UpstreamError::Silent(io::ErrorKind::TimedOut.into());
        timeout(PATIENCE, self.ask_all(asked)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn ask_all(&self, asked: &Forwarded) -> Result<Message, UpstreamError> {
        let mut last = Err(UpstreamError::Silent(io::ErrorKind::TimedOut.into()));
        for server in self.0.iter().cycle().take(self.0.len() * ROUNDS) {
            match ask_one(*server, asked).await {
                // Another one may know.
                Ok(answer)
                    if matches!(
                        answer.metadata.response_code,
                        ResponseCode::ServFail | ResponseCode::Refused
                    ) =>
                {
                    last = Ok(answer);
                }
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    tracing::debug!(%server, %error, "a resolver did not answer");
                    if last.is_err() {
                        last = Err(UpstreamError::Silent(error));
                    }
                }
            }
        }
        last
    }
}

async fn ask_one(server: SocketAddr, asked: &Forwarded) -> io::Result<Message> {
    let question = question(asked);
    let bytes = question.to_vec().map_err(io::Error::other)?;
    let answer = timeout(EACH, over_udp(server, &question, &bytes)).await??;
    if answer.metadata.truncation && asked.whole {
        return timeout(EACH, over_tcp(server, &question, &bytes)).await?;
    }
    Ok(answer)
}

fn question(asked: &Forwarded) -> Message {
    let mut message = Message::new(rand::random(), MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.metadata.checking_disabled = asked.checking_disabled;
    message.add_query(asked.query.clone());
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_SIZE).set_version(0).set_dnssec_ok(asked.dnssec_ok);
    message.set_edns(edns);
    message
}

async fn over_udp(server: SocketAddr, question: &Message, bytes: &[u8]) -> io::Result<Message> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // What is not the answer may be a forgery, and the answer still comes.
        if let Some(answer) = answer_to(question, &buffer[..length]) {
            return Ok(answer);
        }
    }
}

async fn over_tcp(server: SocketAddr, question: &Message, bytes: &[u8]) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), bytes].concat()).await?;
    let length = stream.read_u16().await?;
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await?;
    answer_to(question, &buffer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// An answer to this question, with all that says so.
fn answer_to(question: &Message, bytes: &[u8]) -> Option<Message> {
    let answer = Message::from_vec(bytes).ok()?;
    let Metadata { id, message_type, op_code, .. } = answer.metadata;
    let is_answer = message_type == MessageType::Response && op_code == OpCode::Query;
    let same = is_answer && id == question.metadata.id && answer.queries == question.queries;
    same.then_some(answer)
}
