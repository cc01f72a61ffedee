//! Super namespaces follow the tenant's namespaces, once they are there, each with its isolation.

use crate::kinds::Kind;
use crate::namespaces::downward;
use crate::ownership;
use crate::reconcile::policies;
use crate::work::Work;
use api_types::ApiError;
use plane_client::{Next, Patch};
use serde_json::json;

/// A namespace of the tenant. It is not created here: that is for its first pod, service or claim.
pub async fn namespace(work: &Work, name: &str) -> Result<Next, ApiError> {
    // Policies choose namespaces by labels.
    policies::due(work, "").await?;
    let Some(known) = work.cluster.cache.get(Kind::Namespace, "", &work.super_namespace(name)) else {
        return Ok(Next::OnEvent);
    };
    match work.get(Kind::Namespace, "", name).await? {
        None if known.deleting => {}
        None => work.delete(&known, None).await?,
        Some(object) => {
            let wanted = downward(&work.tenant, &object);
            if let Some(metadata) = ownership::patch(&known.value()?, &wanted["metadata"]) {
                work.patch(&known, "", Patch::Merge(json!({"metadata": metadata}))).await?;
            }
            if !known.deleting {
                work.furnish(&object).await?;
            }
        }
    }
    Ok(Next::OnEvent)
}
