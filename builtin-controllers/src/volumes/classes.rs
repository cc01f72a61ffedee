//! The default storage class.

use super::{PROVISIONER, STORAGE_CLASSES};
use crate::access::Access;
use plane_client::{ApiError, PlaneClient, TenantId};
use serde_json::{Value, json};
use service_runtime::Shutdown;
use std::sync::Arc;
use std::time::Duration;

const NAME: &str = "standard";
const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
/// After a failure.
const AGAIN: Duration = Duration::from_secs(1);

fn class(name: &str) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": name, "annotations": {IS_DEFAULT: "true"}},
        "provisioner": PROVISIONER, "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": true,
    })
}

async fn make_once(access: &Access, plane: TenantId) -> Result<(), ApiError> {
    // Who has classes of their own, or has changed this one, is left alone.
    if access.list(plane, &STORAGE_CLASSES, "").await?.is_empty() {
        access.ensure(plane, &STORAGE_CLASSES, "", class(NAME)).await?;
    }
    Ok(())
}

/// Makes the storage class `standard`, unless the plane has classes. What fails is logged and tried again, until
/// shutdown.
pub(crate) async fn make_default(client: Arc<dyn PlaneClient>, plane: TenantId, shutdown: Shutdown) {
    let access = Access::new(client, "simulated-volumes");
    while let Err(error) = make_once(&access, plane).await {
        tracing::warn!(%error, "the default storage class could not be made");
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = shutdown.requested() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plane_client::fake::FakePlanes;

    #[tokio::test]
    async fn it_is_made_where_there_is_none() {
        let (planes, plane) = (FakePlanes::new(), TenantId::LOCAL_SUPER);
        let names = |planes: &FakePlanes| -> Vec<Value> {
            let all = planes.all(plane, &STORAGE_CLASSES.group_resource(), "");
            all.iter().map(|class| class["metadata"]["name"].clone()).collect()
        };
        make_default(planes.client(), plane, Shutdown::new()).await;
        assert_eq!(names(&planes), ["standard"]);
        let others = FakePlanes::new();
        others.put(plane, class("mine"));
        make_default(others.client(), plane, Shutdown::new()).await;
        assert_eq!(names(&others), ["mine"]);
    }
}
