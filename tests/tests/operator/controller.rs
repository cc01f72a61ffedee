//! The operator: for each widget a ConfigMap that describes it.

use crate::Meaning;
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ApiResource, GroupVersionKind, Object, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::finalizer::{Error, Event, finalizer};
use kube::runtime::watcher;
use kube::{Api, Client, Config, Resource, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const FINALIZER: &str = "example.dev/operator";

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Status {
    described: Option<String>,
}

type Widget = Object<Value, Status>;

/// The operator of one tenant.
pub struct Operator {
    meaning: &'static Meaning,
    client: Client,
    widgets: ApiResource,
}

impl Operator {
    pub async fn connect(meaning: &'static Meaning, kubeconfig: &Path) -> Self {
        let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        let widgets = ApiResource::from_gvk(&GroupVersionKind::gvk("example.dev", "v2", "Widget"));
        Operator { meaning, client: Client::try_from(config).unwrap(), widgets }
    }

    /// Runs until the runtime ends.
    pub async fn run(self) {
        let widgets = Api::<Widget>::all_with(self.client.clone(), &self.widgets);
        let made = Api::<ConfigMap>::all(self.client.clone());
        Controller::new_with(widgets, watcher::Config::default(), self.widgets.clone())
            .owns(made, watcher::Config::default())
            .run(reconcile, |_, _, _| Action::requeue(Duration::from_millis(200)), Arc::new(self))
            .for_each(|_| async {})
            .await;
    }

    async fn describe(&self, widget: &Widget, api: &Api<Widget>) -> Result<Action, kube::Error> {
        let described = (self.meaning.describe)(&widget.spec);
        let name = widget.name_any();
        let namespace = widget.namespace().unwrap();
        let made = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"described": described},
            "metadata": {"name": name, "ownerReferences": [widget.controller_owner_ref(&self.widgets)]}});
        let params = PatchParams::apply("operator").force();
        let configmaps = Api::<ConfigMap>::namespaced(self.client.clone(), &namespace);
        configmaps.patch(&name, &params, &Patch::Apply(&made)).await?;
        let status = json!({"status": {"described": described}});
        api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await?;
        Ok(Action::await_change())
    }

    async fn clean_up(&self, widget: &Widget) -> Result<Action, kube::Error> {
        let configmaps = Api::<ConfigMap>::namespaced(self.client.clone(), &widget.namespace().unwrap());
        match configmaps.delete(&widget.name_any(), &kube::api::DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Action::await_change()),
            other => other.map(|_| Action::await_change()),
        }
    }
}

async fn reconcile(widget: Arc<Widget>, operator: Arc<Operator>) -> Result<Action, Error<kube::Error>> {
    let namespace = widget.namespace().unwrap();
    let api = Api::<Widget>::namespaced_with(operator.client.clone(), &namespace, &operator.widgets);
    finalizer(&api, FINALIZER, widget, |event| async {
        match event {
            Event::Apply(widget) => operator.describe(&widget, &api).await,
            Event::Cleanup(widget) => operator.clean_up(&widget).await,
        }
    })
    .await
}
