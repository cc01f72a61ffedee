//! What Kubernetes' internal types have otherwise than those of the API: names, order, and places of fields.

use super::Shown;
use api_schema::Field;

/// What the types of the API begin with; those of `apimachinery` are internal ones too.
const API: &str = "io.k8s.api.";
const POD_SPEC: &str = "core.v1.PodSpec";

/// True for a type that has an internal counterpart.
pub(super) fn is_internal(type_name: &str) -> bool {
    type_name.starts_with(API)
}

/// Fields whose Go name is not just theirs with a capital letter.
const SPELLED: &[(&str, &str)] = &[
    ("apiGroup", "APIGroup"),
    ("apiGroups", "APIGroups"),
    ("apiVersion", "APIVersion"),
    ("apiVersions", "APIVersions"),
    ("awsElasticBlockStore", "AWSElasticBlockStore"),
    ("caBundle", "CABundle"),
    ("cel", "CEL"),
    ("cephfs", "CephFS"),
    ("cidr", "CIDR"),
    ("cidrs", "CIDRs"),
    ("csi", "CSI"),
    ("dnsConfig", "DNSConfig"),
    ("dnsPolicy", "DNSPolicy"),
    ("fc", "FC"),
    ("fsGroup", "FSGroup"),
    ("fsGroupChangePolicy", "FSGroupChangePolicy"),
    ("fsGroupPolicy", "FSGroupPolicy"),
    ("fsType", "FSType"),
    ("gcePersistentDisk", "GCEPersistentDisk"),
    ("gid", "GID"),
    ("gmsaCredentialSpec", "GMSACredentialSpec"),
    ("gmsaCredentialSpecName", "GMSACredentialSpecName"),
    ("grpc", "GRPC"),
    ("http", "HTTP"),
    ("httpGet", "HTTPGet"),
    ("httpHeaders", "HTTPHeaders"),
    ("ip", "IP"),
    ("ipBlock", "IPBlock"),
    ("ipFamilies", "IPFamilies"),
    ("ipFamilyPolicy", "IPFamilyPolicy"),
    ("ipMode", "IPMode"),
    ("ips", "IPs"),
    ("iqn", "IQN"),
    ("iscsi", "ISCSI"),
    ("iscsiInterface", "ISCSIInterface"),
    ("jsonPatch", "JSONPatch"),
    ("nfs", "NFS"),
    ("os", "OS"),
    ("osImage", "OSImage"),
    ("pdName", "PDName"),
    ("qosClass", "QOSClass"),
    ("rbd", "RBD"),
    ("seLinuxChangePolicy", "SELinuxChangePolicy"),
    ("seLinuxMount", "SELinuxMount"),
    ("seLinuxOptions", "SELinuxOptions"),
    ("sslEnabled", "SSLEnabled"),
    ("storageos", "StorageOS"),
    ("tcpSocket", "TCPSocket"),
    ("tls", "TLS"),
    ("ttlSecondsAfterFinished", "TTLSecondsAfterFinished"),
    ("tty", "TTY"),
    ("uid", "UID"),
    ("url", "URL"),
    ("wwids", "WWIDs"),
];

/// Fields of another name altogether: type, field, name.
const RENAMED: &[(&str, &str, &str)] = &[
    ("core.v1.AzureDiskVolumeSource", "diskURI", "DataDiskURI"),
    ("core.v1.ContainerStatus", "lastState", "LastTerminationState"),
    ("core.v1.GlusterfsPersistentVolumeSource", "endpoints", "EndpointsName"),
    ("core.v1.GlusterfsVolumeSource", "endpoints", "EndpointsName"),
    ("core.v1.ISCSIPersistentVolumeSource", "chapAuthDiscovery", "DiscoveryCHAPAuth"),
    ("core.v1.ISCSIPersistentVolumeSource", "chapAuthSession", "SessionCHAPAuth"),
    ("core.v1.ISCSIVolumeSource", "chapAuthDiscovery", "DiscoveryCHAPAuth"),
    ("core.v1.ISCSIVolumeSource", "chapAuthSession", "SessionCHAPAuth"),
    ("core.v1.RBDPersistentVolumeSource", "image", "RBDImage"),
    ("core.v1.RBDPersistentVolumeSource", "monitors", "CephMonitors"),
    ("core.v1.RBDPersistentVolumeSource", "pool", "RBDPool"),
    ("core.v1.RBDPersistentVolumeSource", "user", "RadosUser"),
    ("core.v1.RBDVolumeSource", "image", "RBDImage"),
    ("core.v1.RBDVolumeSource", "monitors", "CephMonitors"),
    ("core.v1.RBDVolumeSource", "pool", "RBDPool"),
    ("core.v1.RBDVolumeSource", "user", "RadosUser"),
    ("resource.v1.DeviceAttribute", "bool", "BoolValue"),
    ("resource.v1.DeviceAttribute", "bools", "BoolValues"),
    ("resource.v1.DeviceAttribute", "int", "IntValue"),
    ("resource.v1.DeviceAttribute", "ints", "IntValues"),
    ("resource.v1.DeviceAttribute", "string", "StringValue"),
    ("resource.v1.DeviceAttribute", "strings", "StringValues"),
    ("resource.v1.DeviceAttribute", "version", "VersionValue"),
    ("resource.v1.DeviceAttribute", "versions", "VersionValues"),
];

/// The name of a field of an internal type.
pub(super) fn go_name(type_name: &str, field: &str) -> String {
    let short = type_name.strip_prefix(API).unwrap_or(type_name);
    if let Some((_, _, name)) = RENAMED.iter().find(|(of, from, _)| *of == short && *from == field) {
        return (*name).to_owned();
    }
    match SPELLED.binary_search_by_key(&field, |(from, _)| from) {
        Ok(at) => SPELLED[at].1.to_owned(),
        Err(_) => {
            let mut letters = field.chars();
            letters
                .next()
                .map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
        }
    }
}

const CONTAINER: &str = "name image command args workingDir ports envFrom env resources resizePolicy restartPolicy \
    restartPolicyRules volumeMounts volumeDevices livenessProbe readinessProbe startupProbe lifecycle \
    terminationMessagePath terminationMessagePolicy";
const ISCSI: &str =
    "targetPortal iqn lun iscsiInterface fsType readOnly portals chapAuthDiscovery chapAuthSession";
const WEBHOOK: &str = "name clientConfig rules failurePolicy matchPolicy namespaceSelector objectSelector";

/// The first fields of types that do not have theirs in the order of their protobuf numbers; the others follow in it.
const ORDERS: &[(&str, &str)] = &[
    ("admissionregistration.v1.MutatingWebhook", WEBHOOK),
    (
        "admissionregistration.v1.ValidatingAdmissionPolicySpec",
        "paramKind matchConstraints validations matchConditions",
    ),
    ("admissionregistration.v1.ValidatingWebhook", WEBHOOK),
    ("admissionregistration.v1.WebhookClientConfig", "url"),
    ("apps.v1.ReplicaSetSpec", "replicas minReadySeconds"),
    ("autoscaling.v2.ContainerResourceMetricSource", "name container"),
    ("autoscaling.v2.HPAScalingRules", "stabilizationWindowSeconds"),
    ("autoscaling.v2.MetricSpec", "type object pods resource containerResource"),
    ("batch.v1.CronJobSpec", "schedule timeZone"),
    (
        "batch.v1.JobSpec",
        "parallelism completions podFailurePolicy successPolicy activeDeadlineSeconds backoffLimit \
         backoffLimitPerIndex maxFailedIndexes",
    ),
    ("certificates.v1.CertificateSigningRequestCondition", "type status"),
    ("certificates.v1.CertificateSigningRequestSpec", "request signerName expirationSeconds usages"),
    ("core.v1.ClusterTrustBundleProjection", "name signerName labelSelector optional"),
    ("core.v1.Container", CONTAINER),
    ("core.v1.EndpointAddress", "ip hostname nodeName"),
    ("core.v1.EphemeralContainer", CONTAINER),
    ("core.v1.ISCSIPersistentVolumeSource", ISCSI),
    ("core.v1.ISCSIVolumeSource", ISCSI),
    ("core.v1.PersistentVolumeClaimSpec", "accessModes selector"),
    (
        "core.v1.PersistentVolumeSpec",
        "capacity gcePersistentDisk awsElasticBlockStore hostPath glusterfs nfs rbd quobyte iscsi flexVolume",
    ),
    ("core.v1.PodCondition", "type observedGeneration"),
    (
        "core.v1.PodSecurityContext",
        "seLinuxOptions windowsOptions runAsUser runAsGroup runAsNonRoot supplementalGroups \
         supplementalGroupsPolicy fsGroup fsGroupChangePolicy",
    ),
    (
        POD_SPEC,
        "volumes initContainers containers ephemeralContainers restartPolicy terminationGracePeriodSeconds \
         activeDeadlineSeconds dnsPolicy nodeSelector serviceAccountName automountServiceAccountToken nodeName \
         securityContext imagePullSecrets hostname subdomain setHostnameAsFQDN affinity schedulerName tolerations \
         hostAliases priorityClassName priority preemptionPolicy dnsConfig readinessGates runtimeClassName overhead",
    ),
    ("core.v1.ReplicationControllerSpec", "replicas minReadySeconds"),
    ("core.v1.SecurityContext", "capabilities privileged seLinuxOptions windowsOptions runAsUser runAsGroup"),
    ("core.v1.ServicePort", "name protocol appProtocol"),
    (
        "core.v1.ServiceSpec",
        "type ports selector clusterIP clusterIPs ipFamilies ipFamilyPolicy externalName externalIPs \
         loadBalancerIP sessionAffinity sessionAffinityConfig",
    ),
    (
        "core.v1.Volume",
        "name hostPath emptyDir gcePersistentDisk awsElasticBlockStore gitRepo secret nfs iscsi glusterfs \
         persistentVolumeClaim rbd quobyte flexVolume cinder cephfs flocker downwardAPI fc azureFile configMap \
         vsphereVolume azureDisk photonPersistentDisk projected",
    ),
    ("core.v1.VolumeMount", "name readOnly recursiveReadOnly"),
    ("networking.v1.HTTPIngressPath", "path pathType"),
    ("networking.v1.IngressBackend", "service"),
    ("networking.v1.IngressSpec", "ingressClassName"),
    ("resource.v1.AllocatedDeviceStatus", "driver pool device shareID"),
    ("storage.v1.CSIDriverSpec", "attachRequired fsGroupPolicy"),
];

/// The order of a type that has no internal counterpart.
const OWNER: (&str, &str) = ("io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference", "apiVersion");

/// Fields that only the API has: what they say is in another field.
const GONE: &[(&str, &str)] = &[(POD_SPEC, "serviceAccount"), ("core.v1.PodStatus", "podIP")];

/// The fields of a type in the order in which they are written.
pub(super) fn ordered<'a>(type_name: &str, fields: &'a [Field]) -> Vec<&'a Field> {
    let short = type_name.strip_prefix(API).unwrap_or(type_name);
    let first = ORDERS.iter().chain([&OWNER]).find(|(of, _)| *of == short).map_or("", |(_, first)| first);
    let place = |field: &Field| first.split(' ').position(|name| name == field.name).unwrap_or(usize::MAX);
    let mut out: Vec<&Field> = fields.iter().filter(|f| !GONE.contains(&(short, f.name.as_str()))).collect();
    // The number of a message around a field stands before its own.
    let number = |field: &Field| {
        let mut numbers = field.within.clone();
        numbers.push(field.number);
        numbers
    };
    out.sort_by_cached_key(|field| (place(field), number(field)));
    out
}

/// What a pod says of its host is part of its internal security context.
const HOST: [&str; 5] = ["HostNetwork", "HostPID", "HostIPC", "ShareProcessNamespace", "HostUsers"];

/// Moves the fields of the host of a pod into its security context, which is always there.
pub(super) fn host_fields_inside(type_name: &str, fields: &mut Vec<(String, Shown)>) {
    if type_name.strip_prefix(API) != Some(POD_SPEC) {
        return;
    }
    let mut inside = Vec::new();
    for host in HOST {
        if let Some(at) = fields.iter().position(|(name, _)| name == host) {
            inside.push(fields.remove(at));
        }
    }
    if let Some((_, context)) = fields.iter_mut().find(|(name, _)| name == "SecurityContext")
        && let Shown::Object(context) = context
    {
        context.splice(0..0, inside);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_schema::{Shape, builtin};

    #[test]
    fn what_the_tables_name_is_there_and_sorted() {
        assert!(SPELLED.is_sorted());
        assert!(RENAMED.is_sorted());
        assert!(ORDERS.is_sorted_by_key(|(of, _)| of));
        let graph = builtin::graph();
        let orders =
            ORDERS.iter().flat_map(|(of, first)| first.split_whitespace().map(move |field| (*of, field)));
        let renamed = RENAMED.iter().map(|(of, field, _)| (*of, *field));
        for (of, field) in orders.chain(renamed).chain(GONE.iter().copied()) {
            let id = graph.named(&format!("{API}{of}")).unwrap_or_else(|| panic!("{of}"));
            let Shape::Object(fields) = graph.at(id).shape() else { panic!("{of}") };
            assert!(fields.iter().any(|f| f.name == field), "{of} {field}");
        }
    }
}
