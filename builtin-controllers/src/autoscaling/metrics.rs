//! Metrics as an autoscaler reads them: of `metrics.k8s.io`, `custom.metrics.k8s.io` and `external.metrics.k8s.io` of its
//! plane, whoever answers for them there, as the service account that Kubernetes' controller has. Errors are in
//! Kubernetes' words, since they are told in events and conditions.

use super::pods::{Sample, Samples};
use crate::access::{elements, text};
use crate::conditions::time;
use api_resources::selectors::LabelSelector;
use api_schema::quantity::Quantity;
use api_types::GroupVersion;
use jiff::SignedDuration;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use plane_client::{ApiError, PlaneClient, ServedApis, ServiceAccount, TenantId};
use serde_json::Value;
use std::sync::Arc;

/// As whom metrics and scales are read.
pub(super) const ACCOUNT: ServiceAccount = ServiceAccount("horizontal-pod-autoscaler");
const CUSTOM: &str = "custom.metrics.k8s.io";
/// Of custom metrics that do not say so.
const WINDOW: SignedDuration = SignedDuration::from_secs(60);

/// The metrics of one namespace of a plane.
#[derive(Clone)]
pub(super) struct Metrics<'a> {
    pub(super) apis: &'a Arc<dyn ServedApis>,
    pub(super) client: &'a Arc<dyn PlaneClient>,
    pub(super) tenant: TenantId,
    pub(super) namespace: &'a str,
}

impl Metrics<'_> {
    async fn get(&self, path: &str) -> Result<Value, String> {
        self.apis.get(self.tenant, ACCOUNT, path).await.map_err(|error| error.message().to_owned())
    }

    /// A resource of pods, or of one container of each.
    pub(super) async fn of_resource(
        &self,
        pods: &LabelSelector,
        resource: &str,
        container: &str,
    ) -> Result<Samples, String> {
        let namespace = self.namespace;
        let query = query(&[("labelSelector", &pods.to_string())]);
        let found =
            self.get(&format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods{query}")).await;
        let found =
            found.map_err(|error| format!("unable to fetch metrics from resource metrics API: {error}"))?;
        let items = elements(&found, "/items");
        if items.is_empty() {
            return Err("no metrics returned from resource metrics API".to_owned());
        }
        Ok(items.iter().filter_map(|pod| resource_sample(pod, resource, container)).collect())
    }

    /// A custom metric of pods.
    pub(super) async fn of_pods(
        &self,
        pods: &LabelSelector,
        metric: &str,
        selector: &LabelSelector,
    ) -> Result<Samples, String> {
        let labels = [("labelSelector", pods.to_string()), ("metricLabelSelector", selector.to_string())];
        let query = query(&labels.each_ref().map(|(key, value)| (*key, value.as_str())));
        let path = format!("/namespaces/{}/pods/%2A/{metric}{query}", self.namespace);
        let found = self.custom(&path).await?;
        let items = elements(&found, "/items");
        if items.is_empty() {
            return Err("no metrics returned from custom metrics API".to_owned());
        }
        let sample = |item: &Value| {
            let window = item["windowSeconds"].as_i64().map_or(WINDOW, SignedDuration::from_secs);
            let end = time(&item["timestamp"]).unwrap_or_default();
            (text(item, "/describedObject/name").to_owned(), Sample { value: value_of(item), end, window })
        };
        Ok(items.iter().map(sample).collect())
    }

    /// A custom metric of an object (`{apiVersion, kind, name}`), in thousandths.
    pub(super) async fn of_object(
        &self,
        object: &Value,
        metric: &str,
        selector: &LabelSelector,
    ) -> Result<i64, String> {
        let query = query(&[("metricLabelSelector", &selector.to_string())]);
        let (version, kind, name) =
            (text(object, "/apiVersion"), text(object, "/kind"), text(object, "/name"));
        let path = if kind == "Namespace" && !version.contains('/') {
            // Whatever namespace is named, it is the autoscaler's own.
            format!("/namespaces/{}/metrics/{metric}{query}", self.namespace)
        } else {
            let resource = self.resource(version, kind).await?;
            format!("/namespaces/{}/{resource}/{name}/{metric}{query}", self.namespace)
        };
        let found = self.custom(&path).await?;
        match elements(&found, "/items") {
            [one] => Ok(value_of(one)),
            others => Err(custom_error(&format!(
                "the custom metrics API server returned {} results when we asked for exactly one",
                others.len()
            ))),
        }
    }

    /// The values of an external metric, in thousandths.
    pub(super) async fn external(&self, metric: &str, selector: &LabelSelector) -> Result<Vec<i64>, String> {
        let query = query(&[("labelSelector", &selector.to_string())]);
        let namespace = self.namespace;
        let path = format!("/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/{metric}{query}");
        let found = self.get(&path).await;
        let found =
            found.map_err(|error| format!("unable to fetch metrics from external metrics API: {error}"))?;
        match elements(&found, "/items") {
            [] => Err("no metrics returned from external metrics API".to_owned()),
            items => Ok(items.iter().map(value_of).collect()),
        }
    }

    async fn custom(&self, path: &str) -> Result<Value, String> {
        let versions = self.apis.versions(self.tenant, CUSTOM).await;
        let known = versions.iter().find(|version| ["v1beta2", "v1beta1"].contains(&version.as_str()));
        let version =
            known.ok_or_else(|| custom_error(&format!("no custom metrics API ({CUSTOM}) registered")))?;
        let found = self.get(&format!("/apis/{CUSTOM}/{version}{path}")).await;
        found.map_err(|error| custom_error(&error))
    }

    /// `deployments.apps`.
    async fn resource(&self, version: &str, kind: &str) -> Result<String, String> {
        let told = |why: &str| {
            let group = version.rsplit_once('/').map_or("", |(group, _)| group);
            let dot = if group.is_empty() { "" } else { "." };
            custom_error(&format!("unable to map kind {kind}{dot}{group} to resource: {why}"))
        };
        match resource_of(self.client, self.tenant, version, kind).await {
            Ok(Ok(found)) => Ok(found.group_resource().to_string()),
            Ok(Err(why)) => Err(told(&why)),
            Err(error) => Err(told(error.message())),
        }
    }
}

/// The resource of a kind, in the version that is named or, where that is not served, in the preferred one. The inner
/// error says that there is none.
pub(super) async fn resource_of(
    client: &Arc<dyn PlaneClient>,
    tenant: TenantId,
    api_version: &str,
    kind: &str,
) -> Result<Result<plane_client::Resource, String>, ApiError> {
    let Some(version) = GroupVersion::parse(api_version) else {
        return Ok(Err(format!("unexpected GroupVersion string: {api_version}")));
    };
    if let Some(found) = client.kind(tenant, api_version, kind).await? {
        return Ok(Ok(found.resource));
    }
    let all = client.resources(tenant).await?;
    let found = all.into_iter().find(|info| info.resource.group == version.group && info.kind == kind);
    let why = || format!("no matches for kind {kind:?} in group {:?}", version.group);
    Ok(found.map(|info| info.resource).ok_or_else(why))
}

fn custom_error(why: &str) -> String {
    format!("unable to fetch metrics from custom metrics API: {why}")
}

/// The value of a custom or external metric.
fn value_of(item: &Value) -> i64 {
    quantity(&item["value"]).map_or(0, Quantity::milli_value)
}

fn quantity(value: &Value) -> Option<Quantity> {
    Quantity::parse(value.as_str()?).ok()
}

/// What a `PodMetrics` says of a resource; `None` when that is not known of each container that is meant.
fn resource_sample(pod: &Value, resource: &str, container: &str) -> Option<(String, Sample)> {
    let all = elements(pod, "/containers").iter();
    let meant = all.filter(|one| container.is_empty() || text(one, "/name") == container);
    let value = meant
        .map(|one| quantity(&one["usage"][resource]).map(Quantity::milli_value))
        .reduce(|sum, one| Some(sum?.saturating_add(one?)))??;
    let end = time(&pod["timestamp"]).unwrap_or_default();
    let window = text(pod, "/window").parse::<SignedDuration>().unwrap_or_default();
    Some((text(pod, "/metadata/name").to_owned(), Sample { value, end, window }))
}

/// What stands in a query as it is (RFC 3986, section 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Parameters as a query; those that are empty are left out.
fn query(parameters: &[(&str, &str)]) -> String {
    let said = parameters.iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<String> =
        said.map(|(key, value)| format!("{key}={}", utf8_percent_encode(value, UNRESERVED))).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn samples_of_pods_and_of_their_containers() {
        let pod = json!({"metadata": {"name": "p"}, "timestamp": "2026-07-09T10:00:00Z", "window": "1m15s",
            "containers": [{"name": "a", "usage": {"cpu": "100m"}}, {"name": "b", "usage": {"cpu": "1", "memory": "1Ki"}}]});
        let value =
            |resource, container| resource_sample(&pod, resource, container).map(|(_, sample)| sample.value);
        assert_eq!(value("cpu", ""), Some(1100));
        assert_eq!(value("cpu", "a"), Some(100));
        assert_eq!(value("memory", "b"), Some(1_024_000));
        assert_eq!((value("memory", ""), value("cpu", "c")), (None, None));
        let (name, sample) = resource_sample(&pod, "cpu", "").unwrap();
        assert_eq!((name.as_str(), sample.window), ("p", SignedDuration::from_secs(75)));
    }

    #[test]
    fn queries_are_encoded_and_say_nothing_that_is_empty() {
        let labels = LabelSelector::from_json(&json!({"matchLabels": {"app": "web", "a/b": "c"}})).unwrap();
        let asked = query(&[("labelSelector", &labels.to_string()), ("metricLabelSelector", "")]);
        assert_eq!(asked, "?labelSelector=a%2Fb%3Dc%2Capp%3Dweb");
        assert_eq!(query(&[("metricLabelSelector", "")]), "");
    }
}
