//! From the bytes of a question to those of its answer (RFC 1035, RFC 6891).
//!
//! Guarantees: whose a question is, its source address alone decides; who is nobody's pod is refused. An answer is no
//! larger than the client said it can take. What is cut says so, and keeps as many records as there is room for, for
//! clients that do not ask again over TCP.

use crate::counts::{Counts, Outcome};
use crate::limits::Limits;
use crate::question::{Asked, is_of_private_address, read};
use crate::upstream::{Forwarded, UDP_SIZE, Upstreams};
use crate::zone::{self, Found, Zone};
use api_types::TenantId;
use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};
use plane_client::PodDirectory;
use std::net::IpAddr;
use std::sync::Arc;

/// How many names may stand for one another.
const ALIASES: usize = 8;
/// The largest UDP answer to clients that say nothing of it.
const PLAIN_SIZE: u16 = 512;
/// "Prohibited" among the extended errors (RFC 8914).
const PROHIBITED: u16 = 18;
/// The code of extended errors among the options of EDNS.
const EXTENDED_ERROR: u16 = 15;
/// What is told with it.
const NOT_A_POD: &str = "the source address is that of no tenant's pod; is it changed on the way here?";

/// How a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram.
    Udp,
    /// Over a connection.
    Tcp,
}

/// Answers questions.
pub struct Answerer {
    zone: Zone,
    directory: Arc<dyn PodDirectory>,
    upstreams: Upstreams,
    limits: Limits,
    counts: Arc<Counts>,
}

/// What is answered, before it has the form of a message.
#[derive(Default)]
struct Said {
    code: Option<ResponseCode>,
    authoritative: bool,
    authentic: bool,
    cut: bool,
    answers: Vec<Record>,
    authorities: Vec<Record>,
    additionals: Vec<Record>,
}

impl Said {
    fn only(code: ResponseCode) -> Self {
        Said { code: Some(code), ..Said::default() }
    }
}

impl Answerer {
    /// Answers out of a zone, and with the help of other resolvers.
    pub fn new(
        zone: Zone,
        directory: Arc<dyn PodDirectory>,
        upstreams: Upstreams,
        counts: Arc<Counts>,
    ) -> Self {
        Answerer { zone, directory, upstreams, limits: Limits::default(), counts }
    }

    /// The answer to a question from an address; `None` when it gets none.
    pub async fn answer(&self, bytes: &[u8], source: IpAddr, transport: Transport) -> Option<Vec<u8>> {
        let (answer, outcome) = self.consider(bytes, source.to_canonical(), transport).await;
        self.counts.add(outcome);
        answer
    }

    /// Whose pod has an address; the host plane stands for nobody.
    pub fn asker(&self, source: IpAddr) -> TenantId {
        self.directory.pod_at(source.to_canonical()).map_or(TenantId::HOST, |(tenant, _)| tenant)
    }

    async fn consider(
        &self,
        bytes: &[u8],
        source: IpAddr,
        transport: Transport,
    ) -> (Option<Vec<u8>>, Outcome) {
        let asker = self.asker(source);
        // A source may be forged: whoever it is hears no more than so much.
        let may = self.limits.take(asker);
        let asked = match Message::from_vec(bytes) {
            Ok(asked) if asked.metadata.message_type == MessageType::Query => asked,
            // An answer to an answer could go on for ever.
            Ok(_) => return (None, Outcome::NotUnderstood),
            Err(_) => return (may.then(|| malformed(bytes)).flatten(), Outcome::NotUnderstood),
        };
        if asker == TenantId::HOST {
            let refused = || reply(&asked, Said::only(ResponseCode::Refused), transport, Some(NOT_A_POD));
            return (may.then(refused).flatten(), Outcome::UnknownSource);
        }
        let tenant = asker;
        if !may {
            return (reply(&asked, Said::only(ResponseCode::ServFail), transport, None), Outcome::Limited);
        }
        let (said, outcome) = match understood(&asked) {
            Err(code) => (Said::only(code), Outcome::NotUnderstood),
            Ok(query) => self.look(tenant, query, &asked, transport).await,
        };
        (reply(&asked, said, transport, None), outcome)
    }

    /// Follows a name through those that it stands for.
    async fn look(
        &self,
        tenant: TenantId,
        query: &Query,
        asked: &Message,
        transport: Transport,
    ) -> (Said, Outcome) {
        let kind = query.query_type;
        let mut name = query.name.clone();
        let mut said = Said { authoritative: true, ..Said::default() };
        for _ in 0..ALIASES {
            let is = read(&name);
            match self.zone.find(tenant, &name, &is, kind).await {
                Err(error) => {
                    tracing::debug!(%tenant, %error, "a tenant's objects cannot be read");
                    return (Said::only(ResponseCode::ServFail), Outcome::Failed);
                }
                Ok(Some(Found::Records(answers, additionals))) => {
                    said.answers.extend(turned(answers));
                    said.additionals.extend(additionals);
                    return (said, Outcome::Own);
                }
                Ok(Some(Found::Alias(other))) => {
                    said.answers.push(zone::alias_record(&name, &other));
                    if matches!(kind, RecordType::CNAME | RecordType::ANY) {
                        return (said, Outcome::Own);
                    }
                    name = other;
                }
                Ok(Some(found)) => return nothing(said, &name, found == Found::NoName),
                // What it may be in another network than the tenant's is not told.
                Ok(None)
                    if matches!(is, Asked::Reverse(_) | Asked::Elsewhere) && is_of_private_address(&name) =>
                {
                    return nothing(said, &name, true);
                }
                Ok(None) => return self.forward(tenant, said, &name, kind, asked, transport).await,
            }
        }
        (Said::only(ResponseCode::ServFail), Outcome::Failed)
    }

    async fn forward(
        &self,
        tenant: TenantId,
        mut said: Said,
        name: &Name,
        kind: RecordType,
        asked: &Message,
        transport: Transport,
    ) -> (Said, Outcome) {
        if !asked.metadata.recursion_desired {
            return (Said::only(ResponseCode::Refused), Outcome::NotUnderstood);
        }
        let Some(_place) = self.limits.place(tenant) else {
            return (Said::only(ResponseCode::ServFail), Outcome::Limited);
        };
        let forwarded = Forwarded {
            query: Query::query(name.clone(), kind),
            dnssec_ok: asked.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok),
            checking_disabled: asked.metadata.checking_disabled,
            whole: transport == Transport::Tcp,
        };
        match self.upstreams.ask(&forwarded).await {
            Err(error) => {
                tracing::debug!(%tenant, %error, "a name was not resolved");
                (Said::only(ResponseCode::ServFail), Outcome::Failed)
            }
            Ok(answer) => {
                said.code = Some(answer.metadata.response_code);
                said.authoritative = false;
                said.authentic = answer.metadata.authentic_data && said.answers.is_empty();
                said.answers.extend(answer.answers);
                said.authorities.extend(answer.authorities);
                said.additionals.extend(answer.additionals);
                // There is more than came: the client is to ask again over TCP.
                said.cut = answer.metadata.truncation;
                (said, Outcome::Forwarded)
            }
        }
    }
}

/// That there is nothing, for how long that may be believed.
fn nothing(mut said: Said, name: &Name, no_name: bool) -> (Said, Outcome) {
    said.code = no_name.then_some(ResponseCode::NXDomain);
    said.authorities.push(zone::soa(name));
    (said, Outcome::OwnNothing)
}

/// Records in another order each time, so that clients that take the first one spread.
fn turned(mut records: Vec<Record>) -> Vec<Record> {
    if records.len() > 1 {
        let first = rand::random_range(0..records.len());
        records.rotate_left(first);
    }
    records
}

/// The one question of a message, or why it is not answered.
fn understood(asked: &Message) -> Result<&Query, ResponseCode> {
    if asked.metadata.op_code != OpCode::Query {
        return Err(ResponseCode::NotImp);
    }
    if asked.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        return Err(ResponseCode::BADVERS);
    }
    let [query] = asked.queries.as_slice() else { return Err(ResponseCode::FormErr) };
    let is_transfer = matches!(query.query_type, RecordType::AXFR | RecordType::IXFR);
    if query.query_class != DNSClass::IN || is_transfer {
        return Err(ResponseCode::Refused);
    }
    Ok(query)
}

/// The answer to what cannot be read beyond its head; `None` when that is not there, or says that it is an answer.
fn malformed(bytes: &[u8]) -> Option<Vec<u8>> {
    let head: [u8; 12] = bytes.get(..12)?.try_into().ok()?;
    if head[2] & 0x80 != 0 {
        return None;
    }
    let id = u16::from_be_bytes([head[0], head[1]]);
    Message::error_msg(id, OpCode::Query, ResponseCode::FormErr).to_vec().ok()
}

fn reply(asked: &Message, said: Said, transport: Transport, why: Option<&str>) -> Option<Vec<u8>> {
    let mut answer = Message::new(asked.metadata.id, MessageType::Response, asked.metadata.op_code);
    answer.metadata = Metadata::response_from_request(&asked.metadata);
    answer.metadata.authoritative = said.authoritative;
    answer.metadata.recursion_available = true;
    answer.metadata.truncation = said.cut;
    answer.metadata.authentic_data = said.authentic;
    answer.metadata.checking_disabled = asked.metadata.checking_disabled;
    answer.metadata.response_code = said.code.unwrap_or(ResponseCode::NoError);
    answer.queries.clone_from(&asked.queries);
    answer.answers = said.answers;
    answer.authorities = said.authorities;
    answer.additionals = said.additionals;
    if let Some(edns) = &asked.edns {
        answer.set_edns(own_edns(edns, why));
    }
    let size = match (transport, &asked.edns) {
        (Transport::Tcp, _) => u16::MAX,
        (Transport::Udp, None) => PLAIN_SIZE,
        (Transport::Udp, Some(edns)) => edns.max_payload().clamp(PLAIN_SIZE, UDP_SIZE),
    };
    fitted(answer, size)
}

fn own_edns(asked: &Edns, why: Option<&str>) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_SIZE).set_version(0).set_dnssec_ok(asked.flags().dnssec_ok);
    if let Some(why) = why {
        let data = [&PROHIBITED.to_be_bytes(), why.as_bytes()].concat();
        edns.options_mut().insert(EdnsOption::Unknown(EXTENDED_ERROR, data));
    }
    edns
}

/// The message in no more bytes than this: first without what only helps, then cut.
fn fitted(mut answer: Message, size: u16) -> Option<Vec<u8>> {
    if let Some(bytes) = within(&answer, size) {
        return Some(bytes);
    }
    answer.additionals.clear();
    if let Some(bytes) = within(&answer, size) {
        return Some(bytes);
    }
    answer.authorities.clear();
    answer.metadata.truncation = true;
    // As many records as there is room for: one that fits is looked for between none and all.
    let all = std::mem::take(&mut answer.answers);
    let (mut fits, mut too_many) = (0, all.len() + 1);
    while fits + 1 < too_many {
        let middle = usize::midpoint(fits, too_many);
        answer.answers = all[..middle].to_vec();
        match within(&answer, size) {
            Some(_) => fits = middle,
            None => too_many = middle,
        }
    }
    answer.answers = all[..fits].to_vec();
    within(&answer, size)
}

fn within(answer: &Message, size: u16) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(512);
    answer.emit(&mut BinEncoder::new(&mut bytes)).ok()?;
    (bytes.len() <= usize::from(size)).then_some(bytes)
}

#[cfg(test)]
pub(crate) mod tests;
