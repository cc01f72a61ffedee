//! What there is: versions, resources, explanations.

use crate::{assert_has, with_each_kubectl};

#[test]
fn kubectl_finds_versions_and_resources() {
    with_each_kubectl(|_, kubectl| {
        let version = kubectl.json(&["version"]);
        let server = &version["serverVersion"];
        assert_eq!((&server["major"], &server["minor"]), (&"1".into(), &"36".into()), "{version:#}");

        let resources = kubectl.run(&["api-resources", "--output=wide"]);
        for row in [
            "pods po v1 true Pod create,delete,deletecollection,get,list,patch,update,watch all",
            "namespaces ns v1 false Namespace create,delete,get,list,patch,update,watch",
            "deployments deploy apps/v1 true Deployment create,delete,deletecollection,get,list,patch,update,watch all",
            "customresourcedefinitions crd,crds apiextensions.k8s.io/v1 false CustomResourceDefinition \
             create,delete,deletecollection,get,list,patch,update,watch api-extensions",
            "endpointslices discovery.k8s.io/v1 true EndpointSlice \
             create,delete,deletecollection,get,list,patch,update,watch",
        ] {
            let normal = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(resources.lines().any(|line| normal(line) == normal(row)), "no {row:?} in\n{resources}");
        }
        let namespaced = kubectl.run(&["api-resources", "--namespaced=false", "--output=name"]);
        assert_has(&namespaced, &["nodes\n", "clusterroles.rbac.authorization.k8s.io\n"]);
        assert!(!namespaced.lines().any(|name| name == "pods"), "{namespaced}");
        assert_has(&kubectl.run(&["api-versions"]), &["v1\n", "apps/v1\n", "core.oam.dev/v1alpha2\n"]);
    });
}

#[test]
fn tenants_have_the_application_kinds_and_the_host_plane_has_the_tenants() {
    with_each_kubectl(|insula, kubectl| {
        let names = kubectl.run(&["api-resources", "--output=name"]);
        assert_has(&names, &["databases.cloud.insula.dev\n", "applicationconfigurations.core.oam.dev\n"]);
        assert!(!names.contains("tenancy.insula.dev"), "{names}");
        let names = insula.host().run(&["api-resources", "--output=name"]);
        assert_has(&names, &["tenants.tenancy.insula.dev\n", "cloudaccounts.cloud.insula.dev\n"]);
        assert!(!names.contains("databases.cloud.insula.dev"), "{names}");
    });
}

#[test]
fn fields_are_explained() {
    with_each_kubectl(|_, kubectl| {
        let text = kubectl.run(&["explain", "pod.spec"]);
        assert_has(
            &text,
            &["KIND:       Pod", "VERSION:    v1", "containers\t<[]Container> -required-", "nodeName"],
        );
        let text = kubectl.run(&["explain", "pod.spec.containers.image"]);
        assert_has(&text, &["FIELD: image <string>"]);
        let text = kubectl.run(&["explain", "deployment.spec.strategy", "--recursive"]);
        assert_has(&text, &["GROUP:      apps", "maxSurge"]);
        let text = kubectl.run(&["explain", "database.spec"]);
        assert_has(&text, &["GROUP:      cloud.insula.dev", "engine"]);
        assert_has(&kubectl.refused(&["explain", "pod.spec.nothing"]), &["field \"nothing\" does not exist"]);
    });
}
