//! Secrets with tokens that nobody uses: those which accounts refer to, as Kubernetes once made them by itself.
//!
//! Guarantees: one that is a year old, was not used for a year and is in no pod is marked invalid with the day
//! (KEP-2799); a year later it is deleted. Secrets that no account refers to were made by somebody, and stay.
//!
//! Assumes that the API server writes the day of a token's last use as a label. A Secret that a pod of the namespace
//! names anywhere counts as used by it.

use crate::access::{Access, elements, text};
use crate::pod_facts::is_deleting;
use crate::resources::{PODS, SECRETS, SERVICE_ACCOUNTS};
use crate::token_secrets::{account, is_of, secrets};
use api_types::labels::{TOKEN_INVALID_SINCE, TOKEN_LAST_USED};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp, civil::Date};
use plane_client::{ApiError, Delete, Next, ObjectName, PlaneClient, Reconciler, TenantId, Trigger};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How long a token is unused before it is marked, and how long it is marked before it goes.
const UNUSED: SignedDuration = SignedDuration::from_hours(24 * 365);
/// How often a Secret is looked at that nothing happens to.
const PATROL: Duration = Duration::from_secs(24 * 3_600);

type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The reconciler that marks and deletes.
pub(crate) struct TokenCleaning {
    access: Access,
    clock: Clock,
}

impl TokenCleaning {
    pub(crate) fn new(client: Arc<dyn PlaneClient>) -> Self {
        Self::by_clock(client, Arc::new(Timestamp::now))
    }

    fn by_clock(client: Arc<dyn PlaneClient>, clock: Clock) -> Self {
        let access = Access::new(client, "legacy-serviceaccount-token-cleaner-controller");
        TokenCleaning { access, clock }
    }

    /// True when nobody needs the Secret any more: an account refers to it, and no pod names it.
    async fn is_left_over(
        &self,
        tenant: TenantId,
        key: &ObjectName,
        secret: &Value,
    ) -> Result<bool, ApiError> {
        let Some((name, uid)) = account(secret) else { return Ok(false) };
        let account = self.access.get(tenant, &SERVICE_ACCOUNTS, &key.namespace, name).await?;
        let Some(account) = account.filter(|account| is_of(Some(account), uid)) else { return Ok(false) };
        if !elements(&account, "/secrets").iter().any(|reference| reference["name"] == key.name.as_str()) {
            return Ok(false);
        }
        for pod in self.access.list(tenant, &PODS, &key.namespace).await? {
            if says(&pod.value()?["spec"], &key.name) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What is to be done with a Secret that is left over.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    /// It is marked with this day.
    Mark(String),
    Delete,
}

fn due(secret: &Value, now: Timestamp) -> Due {
    let Ok(before) = now.checked_sub(UNUSED) else { return Due::Nothing };
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    let oldest = day(before);
    let label = |name: &str| secret["metadata"]["labels"][name].as_str();
    let created = text(secret, "/metadata/creationTimestamp").parse::<Timestamp>();
    if is_deleting(secret) || !created.is_ok_and(|created| created < before) {
        return Due::Nothing;
    }
    // What is no day says nothing of when it was used.
    if label(TOKEN_LAST_USED).is_some_and(|used| used.parse::<Date>().is_err() || used >= oldest.as_str()) {
        return Due::Nothing;
    }
    match label(TOKEN_INVALID_SINCE).filter(|since| since.parse::<Date>().is_ok()) {
        None => Due::Mark(day(now)),
        Some(since) if since >= oldest.as_str() => Due::Nothing,
        Some(_) => Due::Delete,
    }
}

/// True when a text is anywhere in a value.
fn says(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        Value::Array(all) => all.iter().any(|one| says(one, wanted)),
        Value::Object(fields) => fields.values().any(|one| says(one, wanted)),
        _ => false,
    }
}

#[async_trait]
impl Reconciler for TokenCleaning {
    fn name(&self) -> &'static str {
        self.access.name()
    }

    fn triggers(&self) -> Vec<Trigger> {
        vec![secrets()]
    }

    async fn reconcile(&self, tenant: TenantId, key: &ObjectName) -> Result<Next, ApiError> {
        let Some(secret) = self.access.get(tenant, &SECRETS, &key.namespace, &key.name).await? else {
            return Ok(Next::OnEvent);
        };
        let due = due(&secret, (self.clock)());
        if due == Due::Nothing || !self.is_left_over(tenant, key, &secret).await? {
            return Ok(Next::After(PATROL));
        }
        match due {
            Due::Nothing => {}
            Due::Mark(day) => {
                let mut marked = secret.clone();
                marked["metadata"]["labels"][TOKEN_INVALID_SINCE] = day.into();
                self.access.change(tenant, &SECRETS, "", &secret, &marked).await?;
            }
            Due::Delete => {
                let version = Some(text(&secret, "/metadata/resourceVersion").to_owned());
                let how = Delete { resource_version: version, ..Delete::default() };
                self.access.delete(tenant, &SECRETS, &secret, how).await?;
            }
        }
        Ok(Next::After(PATROL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token_secrets::TYPE;
    use plane_client::Controller;
    use plane_client::fake::FakePlanes;
    use serde_json::json;
    use service_runtime::Shutdown;

    fn now() -> Timestamp {
        "2026-06-01T12:00:00Z".parse().unwrap()
    }

    fn secret(created: &str, labels: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Secret", "type": TYPE, "metadata": {"name": "s", "namespace": "n",
            "creationTimestamp": created, "labels": labels,
            "annotations": {"kubernetes.io/service-account.name": "a"}}})
    }

    #[test]
    fn what_is_unused_for_a_year_is_marked_and_goes_after_another() {
        let (old, new) = ("2024-01-01T00:00:00Z", "2025-06-01T12:00:01Z");
        let mark = || Due::Mark("2026-06-01".into());
        for (created, labels, expected) in [
            (new, json!({}), Due::Nothing),
            (old, json!({}), mark()),
            (old, json!({TOKEN_LAST_USED: "2025-06-01"}), Due::Nothing),
            (old, json!({TOKEN_LAST_USED: "2025-05-31"}), mark()),
            (old, json!({TOKEN_LAST_USED: "long ago"}), Due::Nothing),
            (old, json!({TOKEN_INVALID_SINCE: "2025-06-01"}), Due::Nothing),
            (old, json!({TOKEN_INVALID_SINCE: "2025-05-31"}), Due::Delete),
            (old, json!({TOKEN_INVALID_SINCE: "2025-05-31", TOKEN_LAST_USED: "2026-01-01"}), Due::Nothing),
            (old, json!({TOKEN_INVALID_SINCE: "some day"}), mark()),
        ] {
            let secret = secret(created, labels);
            assert_eq!(due(&secret, now()), expected, "{secret}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_an_account_refers_to_and_no_pod_names_is_marked() {
        let (plane, resource) = (TenantId::HOST, SECRETS.group_resource());
        let planes = FakePlanes::new();
        let names = ["referred", "mounted", "made"];
        let references = json!([{"name": "referred"}, {"name": "mounted"}]);
        planes.put(
            plane,
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "secrets": references,
            "metadata": {"name": "a", "namespace": "n"}}),
        );
        planes.put(
            plane,
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"},
            "spec": {"volumes": [{"name": "t", "secret": {"secretName": "mounted"}}]}}),
        );
        for name in names {
            let mut secret = secret("2024-01-01T00:00:00Z", json!({}));
            secret["metadata"]["name"] = name.into();
            planes.put(plane, secret);
        }
        let reconciler = TokenCleaning::by_clock(planes.client(), Arc::new(now));
        for name in names {
            reconciler.reconcile(plane, &ObjectName::new("n", name)).await.unwrap();
        }
        let marked = |name: &str| {
            let found = planes.find(plane, &resource, "n", name).unwrap();
            found["metadata"]["labels"][TOKEN_INVALID_SINCE].as_str().map(str::to_owned)
        };
        assert_eq!(names.map(marked), [Some("2026-06-01".to_owned()), None, None]);
        let in_two_years = || "2028-06-01T12:00:00Z".parse().unwrap();
        let reconciler = Arc::new(TokenCleaning::by_clock(planes.client(), Arc::new(in_two_years)));
        let shutdown = Shutdown::new();
        let running = tokio::spawn(Controller::new(planes.client(), reconciler, 1).run(shutdown.clone()));
        planes.wait_for(plane, &resource, "n", "referred", |found| found.is_none()).await;
        shutdown.trigger();
        running.await.unwrap();
    }
}
