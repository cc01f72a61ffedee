//! What kubectl prints, as it prints it of a Kubernetes: the commands in their order.

use crate::with_each_kubectl;

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: 'nginx:1.27'}]}
";
const CONF: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\ndata: {key: one}\n";
const CLASS: &str =
    "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: texts}\nvalue: 7\n";

/// The command, its input, how it ends, and what it says.
type Row<'a> = (&'a str, &'a str, i32, &'a str);

#[test]
fn commands_say_what_they_say_of_kubernetes() {
    with_each_kubectl(|_, kubectl| {
        let rows: &[Row<'_>] = &[
            // What there is.
            ("get configmaps conf", "", 1, "Error from server (NotFound): configmaps \"conf\" not found\n"),
            ("create -f -", CONF, 0, "configmap/conf created\n"),
            ("create -f -", CONF, 1, "configmaps \"conf\" already exists\n"),
            ("get configmap,secret -l nope", "", 0, " namespace.\n"),
            ("get deploy -l a=b=c", "", 1, "found '=', expected: ',' or 'end of string'\n"),
            ("get deploy --field-selector=nope=1", "", 1, "only \"metadata.name\", \"metadata.namespace\"\n"),
            ("get deploy --subresource=nope x", "", 1, "the server could not find the requested resource\n"),
            // Applying.
            ("apply -f -", WEB, 0, "deployment.apps/web created\n"),
            ("apply -f -", WEB, 0, "deployment.apps/web unchanged\n"),
            (
                "apply --server-side --field-manager=other -f -",
                CONF,
                0,
                "configmap/conf serverside-applied\n",
            ),
            (
                "apply --server-side --field-manager=third -f -",
                &CONF.replace("one", "two"),
                1,
                "error: Apply failed with 2 conflicts: conflicts with \"kubectl-create\" using v1:\n- .data.key\nconflicts with \
                 \"other\":\n- .data.key\n",
            ),
            (
                "apply -f -",
                &WEB.replace("replicas: 2", "replicas: 2\n  replica: 3"),
                1,
                "strict decoding error: unknown field \"spec.replica\"\n",
            ),
            // Patching.
            ("patch deploy web -p {\"spec\":{\"replicas\":3}}", "", 0, "deployment.apps/web patched\n"),
            // Of an object that no controller changes meanwhile.
            ("patch configmap conf -p {\"data\":{\"a\":\"b\"}}", "", 0, "configmap/conf patched\n"),
            (
                "patch configmap conf -p {\"data\":{\"a\":\"b\"}}",
                "",
                0,
                "configmap/conf patched (no change)\n",
            ),
            (
                "patch deploy web --type=json -p [{\"op\":\"remove\",\"path\":\"/spec/nope\"}]",
                "",
                1,
                "The request is invalid: the server rejected our request due to an error in our request\n",
            ),
            (
                "patch deploy web --type=merge -p {\"metadata\":{\"uid\":\"x\"}}",
                "",
                1,
                "metadata.uid: Invalid value: \"x\": field is immutable\n",
            ),
            (
                "label deploy web --resource-version=1 a=b",
                "",
                1,
                "the object has been modified; please apply your changes to the latest version and try again\n",
            ),
            (
                "scale deploy web --replicas=3 --current-replicas=9",
                "",
                1,
                "Expected replicas to be 9, was 3\n",
            ),
            (
                "scale configmap conf --replicas=1",
                "",
                1,
                "the server could not find the requested resource\n",
            ),
            ("autoscale deploy web --max=3", "", 0, "horizontalpodautoscaler.autoscaling/web autoscaled\n"),
            ("create token nobody", "", 1, "serviceaccounts \"nobody\" not found\n"),
            ("create service nodeport s --tcp=80 --node-port=1", "", 1, "30000-32767\n"),
            ("wait configmap/conf --for=jsonpath={.data.key}=one --timeout=9s", "", 0, "condition met\n"),
            ("auth can-i get pods --as=stranger", "", 1, "no\n"),
            (
                "get nodes --as=stranger",
                "",
                1,
                "User \"stranger\" cannot list resource \"nodes\" in API group \"\" at the cluster scope\n",
            ),
            // Classes.
            ("apply -f -", CLASS, 0, "priorityclass.scheduling.k8s.io/texts created\n"),
            (
                "apply -f -",
                &CLASS.replace("value: 7", "value: 8"),
                1,
                "value: Forbidden: may not be changed in an update.\n",
            ),
            ("delete priorityclass texts", "", 0, "priorityclass.scheduling.k8s.io \"texts\" deleted\n"),
            (
                "delete priorityclass system-node-critical",
                "",
                1,
                "this is a system priority class and cannot be deleted\n",
            ),
            ("delete namespace kube-system", "", 1, "this namespace may not be deleted\n"),
        ];
        for (command, input, code, part) in rows {
            let arguments: Vec<&str> = command.split(' ').collect();
            let said = kubectl.say_with_input(&arguments, input);
            let told = format!("{}{}", said.stdout, said.stderr);
            assert!(said.code == Some(*code) && told.contains(part), "kubectl {command}: {said:?}");
        }
    });
}

#[test]
fn tables_and_explanations_are_whole() {
    with_each_kubectl(|_, kubectl| {
        let explained = kubectl.run(&["explain", "pods.spec.restartPolicy"]);
        let values =
            "Possible enum values:\n     - `\"Always\"`\n     - `\"Never\"`\n     - `\"OnFailure\"`\n";
        assert!(explained.contains(values), "{explained}");
        let explained = kubectl.run(&["explain", "deployments.spec.strategy.type"]);
        assert!(
            explained.contains(" - `\"Recreate\"` all old pods end before new ones are made."),
            "{explained}"
        );
        for kind in ["clusterroles", "clusterrolebindings", "priorityclasses", "apiservices", "namespaces"] {
            let table = kubectl.run(&["get", kind]);
            assert!(table.lines().count() > 2 && !table.contains("<unknown>"), "{table}");
        }
    });
}
