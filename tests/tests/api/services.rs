//! Services that people give their endpoints.

use crate::with_each_kubectl;
use tests::until;

#[test]
fn endpoints_of_a_service_without_selector_are_mirrored() {
    with_each_kubectl(|_, kubectl| {
        kubectl.apply(
            r#"{"apiVersion": "v1", "kind": "List", "items": [
                {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db"},
                    "spec": {"ports": [{"port": 5432}]}},
                {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "db", "labels": {"team": "a"}},
                    "subsets": [{"addresses": [{"ip": "10.1.2.3"}], "ports": [{"port": 5432}]}]}]}"#,
        );
        let selector = "--selector=kubernetes.io/service-name=db";
        let slices = || kubectl.json(&["get", "endpointslices", selector])["items"].clone();
        until("the slice is there", || match slices() {
            found if found[0]["endpoints"][0]["addresses"][0] == "10.1.2.3" => Ok(()),
            found => Err(found.to_string()),
        });
        let slice = &slices()[0];
        assert_eq!(slice["ports"][0]["port"], 5432, "{slice:#}");
        assert_eq!(slice["metadata"]["labels"]["team"], "a", "{slice:#}");
        kubectl.run(&["delete", "service", "db"]);
        until("the slice is gone", || match slices() {
            found if found.as_array().is_some_and(Vec::is_empty) => Ok(()),
            found => Err(found.to_string()),
        });
    });
}
