//! What a tenant's cluster answers: "Kubernetes DNS-Based Service Discovery" 1.1.0, out of the tenant's own objects.
//!
//! Guarantees: only objects of the asking tenant are read, each from the cache that the process has anyway; nothing is kept
//! between questions. A name that does not exist is told apart from one that has no records of a type (RFC 2308).
//! Caveats: names by address (`pod`, reverse) are those of pods and Services that a super cluster has, with the tenant's
//! Service behind an endpoint found by the pod that it is; more than [`MOST`] records of one name are not told.

use crate::endpoints::{self, Endpoint, Port, Service};
use crate::question::Asked;
use api_types::{ApiError, GroupResource, ObjectName, TenantId};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use plane_client::{PlaneClient, PodDirectory};
use serde_json::Value;
use std::net::IpAddr;
use std::sync::Arc;

/// The zone of every tenant's cluster.
pub const ZONE: &str = "cluster.local.";
/// For how many seconds what is and what is not may be believed.
pub const TTL: u32 = 5;
/// The version of the scheme.
const VERSION: &str = "1.1.0";
/// The most records of one answer.
pub const MOST: usize = 1_000;
/// Which Service an EndpointSlice is of.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// EndpointSlices of headless Services, as the controller of Kubernetes marks them.
const HEADLESS: &str = "service.kubernetes.io/headless";

/// What is found of a name.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Records, and others that help with them.
    Records(Vec<Record>, Vec<Record>),
    /// The name is there, without records of this type.
    NoData,
    /// There is no such name.
    NoName,
    /// It is another name's.
    Alias(Name),
}

/// Answers for tenants.
pub struct Zone {
    client: Arc<dyn PlaneClient>,
    directory: Arc<dyn PodDirectory>,
}

/// A question of a tenant.
struct Question<'a> {
    tenant: TenantId,
    name: &'a Name,
    kind: RecordType,
}

impl Zone {
    /// A zone for each tenant of these planes.
    pub fn new(client: Arc<dyn PlaneClient>, directory: Arc<dyn PodDirectory>) -> Self {
        Zone { client, directory }
    }

    /// What a tenant's cluster says of a name. `None` for an address of which it knows nothing, and for names elsewhere.
    pub async fn find(
        &self,
        tenant: TenantId,
        name: &Name,
        asked: &Asked,
        kind: RecordType,
    ) -> Result<Option<Found>, ApiError> {
        let question = Question { tenant, name, kind };
        Ok(Some(match asked {
            Asked::Version => question.of_type(vec![RData::TXT(TXT::new(vec![VERSION.to_owned()]))]),
            Asked::Zone => question.of_type(vec![soa_data(&zone())]),
            Asked::Between => Found::NoData,
            Asked::Nothing => Found::NoName,
            Asked::Namespace(namespace) => {
                let there = self.get(tenant, "namespaces", "", namespace).await?.is_some();
                if there { Found::NoData } else { Found::NoName }
            }
            Asked::Service { namespace, service } => self.service(&question, namespace, service).await?,
            Asked::Port { namespace, service, port, protocol } => {
                self.port(&question, namespace, service, port.as_deref(), protocol).await?
            }
            Asked::Endpoint { namespace, service, host } => {
                self.endpoint(&question, namespace, service, host).await?
            }
            Asked::Pod { namespace, address } => match self.directory.pod_at(*address) {
                Some((owner, pod)) if owner == tenant && pod.namespace == *namespace => {
                    question.of_type(vec![address_data(*address)])
                }
                _ => Found::NoName,
            },
            Asked::Reverse(address) => return self.reverse(&question, *address).await,
            Asked::Elsewhere => return Ok(None),
        }))
    }

    async fn service(&self, question: &Question<'_>, namespace: &str, name: &str) -> Result<Found, ApiError> {
        let Some(object) = self.get(question.tenant, "services", namespace, name).await? else {
            return Ok(Found::NoName);
        };
        Ok(match endpoints::service(&object) {
            Service::External(other) => alias(&other),
            Service::Clustered(addresses, ports) if question.kind == RecordType::SRV => {
                let target = Target { name: question.name.clone(), addresses };
                let ports: Vec<&Port> = ports.iter().collect();
                question.servers(&[(target, ports)])
            }
            Service::Clustered(addresses, _) => {
                question.of_type(addresses.into_iter().map(address_data).collect())
            }
            Service::Headless => {
                let endpoints = self.endpoints(question.tenant, namespace, name).await?;
                // Section 2.4.1: without ready endpoints there is no such name.
                if endpoints.is_empty() {
                    return Ok(Found::NoName);
                }
                if question.kind == RecordType::SRV {
                    let all = |_: &Port| true;
                    return Ok(question.servers(&targets(question.name, &endpoints, all)));
                }
                question.of_type(endpoints.iter().map(|e| address_data(e.address)).collect())
            }
        })
    }

    async fn port(
        &self,
        question: &Question<'_>,
        namespace: &str,
        name: &str,
        port: Option<&str>,
        protocol: &str,
    ) -> Result<Found, ApiError> {
        let Some(object) = self.get(question.tenant, "services", namespace, name).await? else {
            return Ok(Found::NoName);
        };
        let wanted = |known: &Port| known.protocol == protocol && port.is_none_or(|port| known.name == port);
        // Two labels less, the Service's own name.
        let service = question.name.trim_to(5);
        let found = match endpoints::service(&object) {
            Service::External(_) => return Ok(Found::NoName),
            Service::Clustered(addresses, ports) => {
                let ports: Vec<&Port> = ports.iter().filter(|port| wanted(port)).collect();
                match ports.is_empty() {
                    true => return Ok(Found::NoName),
                    false => question.servers(&[(Target { name: service, addresses }, ports)]),
                }
            }
            Service::Headless => {
                let endpoints = self.endpoints(question.tenant, namespace, name).await?;
                let targets = targets(&service, &endpoints, wanted);
                match targets.is_empty() {
                    true => return Ok(Found::NoName),
                    false => question.servers(&targets),
                }
            }
        };
        // `_tcp.SERVICE` has names below it and no records.
        Ok(if port.is_none() { Found::NoData } else { found })
    }

    async fn endpoint(
        &self,
        question: &Question<'_>,
        namespace: &str,
        name: &str,
        host: &str,
    ) -> Result<Found, ApiError> {
        let Some(object) = self.get(question.tenant, "services", namespace, name).await? else {
            return Ok(Found::NoName);
        };
        if endpoints::service(&object) != Service::Headless {
            return Ok(Found::NoName);
        }
        let endpoints = self.endpoints(question.tenant, namespace, name).await?;
        let own: Vec<RData> =
            endpoints.iter().filter(|e| e.host == host).map(|e| address_data(e.address)).collect();
        Ok(if own.is_empty() { Found::NoName } else { question.of_type(own) })
    }

    async fn reverse(&self, question: &Question<'_>, address: IpAddr) -> Result<Option<Found>, ApiError> {
        let tenant = question.tenant;
        if let Some(at) = self.directory.service_at(tenant, address) {
            // It may have just been removed, or never have been the tenant's to see.
            let there = self.get(tenant, "services", &at.namespace, &at.name).await?;
            let name = there.and_then(|_| service_name(&at.namespace, &at.name));
            return Ok(name.map(|name| question.of_type(vec![RData::PTR(PTR(name))])));
        }
        let Some((owner, pod)) = self.directory.pod_at(address) else { return Ok(None) };
        if owner != tenant {
            return Ok(Some(Found::NoName));
        }
        let mut names = Vec::new();
        for slice in self.slices(tenant, &pod.namespace, None).await? {
            let service = slice["metadata"]["labels"][SERVICE_NAME].as_str().unwrap_or("").to_owned();
            for endpoint in endpoints::endpoints(&[slice]).iter().filter(|e| e.address == address) {
                let name = service_name(&pod.namespace, &service)
                    .and_then(|s| s.prepend_label(endpoint.host.as_str()).ok());
                names.extend(name.map(|name| RData::PTR(PTR(name))));
            }
        }
        names.dedup();
        Ok(Some(if names.is_empty() { Found::NoName } else { question.of_type(names) }))
    }

    async fn get(
        &self,
        tenant: TenantId,
        plural: &'static str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Value>, ApiError> {
        let at = ObjectName::new(namespace, name);
        let found = self.client.get(tenant, &GroupResource::new("", plural), &at).await?;
        found.map(|object| object.value()).transpose()
    }

    async fn endpoints(
        &self,
        tenant: TenantId,
        namespace: &str,
        service: &str,
    ) -> Result<Vec<Endpoint>, ApiError> {
        let slices = self.slices(tenant, namespace, Some(service)).await?;
        Ok(endpoints::endpoints(&slices))
    }

    /// The EndpointSlices of a Service, or of all headless ones.
    async fn slices(
        &self,
        tenant: TenantId,
        namespace: &str,
        service: Option<&str>,
    ) -> Result<Vec<Value>, ApiError> {
        let slices = GroupResource::new("discovery.k8s.io", "endpointslices");
        let wanted = |_: &ObjectName, meta: &plane_client::Meta| {
            let label =
                |key: &str| meta.labels.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str());
            match service {
                Some(service) => label(SERVICE_NAME) == Some(service),
                None => label(HEADLESS).is_some(),
            }
        };
        let selected = self.client.select(tenant, &slices, namespace, &wanted).await?;
        selected.objects.iter().map(plane_client::Object::value).collect()
    }
}

/// What a server is called, and where it is.
struct Target {
    name: Name,
    addresses: Vec<IpAddr>,
}

/// The endpoints of a Service that have wanted ports, and these.
fn targets<'a>(
    service: &Name,
    endpoints: &'a [Endpoint],
    wanted: impl Fn(&Port) -> bool,
) -> Vec<(Target, Vec<&'a Port>)> {
    let target = |endpoint: &'a Endpoint| {
        let ports: Vec<&Port> = endpoint.ports.iter().filter(|port| wanted(port)).collect();
        let name = service.prepend_label(endpoint.host.as_str()).ok()?;
        (!ports.is_empty()).then(|| (Target { name, addresses: vec![endpoint.address] }, ports))
    };
    endpoints.iter().filter_map(target).collect()
}

impl Question<'_> {
    /// Those records that are of the type that is asked for.
    fn of_type(&self, data: Vec<RData>) -> Found {
        let wanted = |data: &RData| self.kind == RecordType::ANY || data.record_type() == self.kind;
        let records: Vec<Record> =
            data.into_iter().filter(wanted).take(MOST).map(|data| record(self.name, data)).collect();
        if records.is_empty() { Found::NoData } else { Found::Records(records, Vec::new()) }
    }

    /// Servers (RFC 2782), and their addresses.
    fn servers(&self, targets: &[(Target, Vec<&Port>)]) -> Found {
        if !matches!(self.kind, RecordType::SRV | RecordType::ANY) {
            return Found::NoData;
        }
        let (mut servers, mut addresses) = (Vec::new(), Vec::new());
        for (target, ports) in targets {
            for port in ports {
                let server = SRV::new(0, 100, port.number, target.name.clone());
                servers.push(record(self.name, RData::SRV(server)));
            }
            addresses.extend(target.addresses.iter().map(|ip| record(&target.name, address_data(*ip))));
        }
        servers.truncate(MOST);
        addresses.truncate(MOST);
        if servers.is_empty() { Found::NoData } else { Found::Records(servers, addresses) }
    }
}

/// Another name, as a Service of type `ExternalName` says it: always absolute.
fn alias(other: &str) -> Found {
    match Name::from_utf8(other) {
        Ok(mut name) => {
            name.set_fqdn(true);
            Found::Alias(name)
        }
        // The API server lets none in.
        Err(_) => Found::NoData,
    }
}

/// The record that says of a name that it is another's.
pub fn alias_record(name: &Name, other: &Name) -> Record {
    record(name, RData::CNAME(CNAME(other.clone())))
}

/// Whose the answer is when there is nothing, and for how long that may be believed.
pub fn soa(asked: &Name) -> Record {
    let zone = zone();
    if zone.zone_of(asked) {
        return record(&zone, soa_data(&zone));
    }
    // A reverse zone: `arpa` and the label before it.
    let zone = asked.trim_to(2);
    record(&zone, soa_data(&zone))
}

fn soa_data(zone: &Name) -> RData {
    let named = |label: &str| zone.prepend_label(label).unwrap_or_else(|_| zone.clone());
    let serial = u32::try_from(jiff::Timestamp::now().as_second()).unwrap_or(u32::MAX);
    RData::SOA(SOA::new(named("dns"), named("hostmaster"), serial, 7_200, 1_800, 86_400, TTL))
}

fn zone() -> Name {
    // It is a name.
    Name::from_ascii(ZONE).unwrap_or_else(|_| Name::root())
}

fn service_name(namespace: &str, service: &str) -> Option<Name> {
    Name::from_ascii(format!("{service}.{namespace}.svc.{ZONE}")).ok()
}

fn address_data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(v4) => RData::A(A(v4)),
        IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
    }
}

fn record(name: &Name, data: RData) -> Record {
    Record::from_rdata(name.clone(), TTL, data)
}

#[cfg(test)]
mod tests;
