//! CustomResourceDefinitions and their objects.

use crate::{assert_has, with_each_kubectl};
use tests::{Kubectl, until};

/// A definition for one release of kubectl: they are cluster-scoped, so each needs a group of its own.
fn definition(group: &str) -> String {
    format!(
        "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: widgets.{group}.example.com}}
spec:
  group: {group}.example.com
  scope: Namespaced
  names: {{plural: widgets, singular: widget, kind: Widget, shortNames: [wd-{group}], categories: [all]}}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {{}}
      scale: {{specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}}
    additionalPrinterColumns:
    - {{name: Color, type: string, jsonPath: .spec.color}}
    - {{name: Replicas, type: integer, jsonPath: .spec.replicas}}
    - {{name: Size, type: string, jsonPath: .spec.size, priority: 1}}
    schema:
      openAPIV3Schema:
        type: object
        required: [spec]
        properties:
          spec:
            type: object
            description: What the widget is.
            required: [color]
            properties:
              color: {{type: string, enum: [red, green], description: The color that people see.}}
              size: {{type: string, default: medium, maxLength: 6}}
              replicas: {{type: integer, minimum: 0, maximum: 5, default: 1}}
              free: {{type: object, x-kubernetes-preserve-unknown-fields: true}}
            x-kubernetes-validations:
            - {{rule: \"self.color != 'green' || self.replicas < 3\", message: green widgets are rare}}
          status:
            type: object
            properties:
              replicas: {{type: integer}}
"
    )
}

fn widget(group: &str, name: &str, spec: &str) -> String {
    format!("apiVersion: {group}.example.com/v1\nkind: Widget\nmetadata: {{name: {name}}}\nspec: {spec}\n")
}

/// Makes the definition; the name of its group.
fn defined(kubectl: &Kubectl) -> (String, String) {
    let group = kubectl.run(&["get", "serviceaccount", "default", "--output=jsonpath={.metadata.namespace}"]);
    kubectl.apply(&definition(&group));
    let crd = format!("customresourcedefinition/widgets.{group}.example.com");
    kubectl.run(&["wait", &crd, "--for=condition=Established", "--timeout=60s"]);
    let plural = format!("widgets.{group}.example.com");
    (group, plural)
}

#[test]
fn objects_are_defaulted_pruned_and_shown_in_columns() {
    with_each_kubectl(|_, kubectl| {
        let (group, plural) = defined(kubectl);
        let object = widget(&group, "one", "{color: red, unknown: 1, free: {any: [thing]}}");
        let said = kubectl.say_with_input(&["create", "--filename=-", "--validate=warn"], &object);
        assert_has(&said.stderr, &["Warning: unknown field \"spec.unknown\""]);
        let spec = kubectl.json(&["get", &plural, "one"])["spec"].clone();
        let expected =
            serde_json::json!({"color": "red", "size": "medium", "replicas": 1, "free": {"any": ["thing"]}});
        assert_eq!(spec, expected);

        let table = kubectl.run(&["get", &format!("wd-{group}")]);
        let words: Vec<&str> = table.split_whitespace().collect();
        assert_eq!(words[..6], ["NAME", "COLOR", "REPLICAS", "one", "red", "1"], "{table}");
        assert_has(&kubectl.run(&["get", &plural, "--output=wide"]), &["SIZE", "medium"]);
        assert_has(&kubectl.run(&["get", "all"]), &[&format!("widget.{group}.example.com/one")]);
        let text = kubectl.run(&["explain", &format!("{plural}.spec")]);
        assert_has(
            &text,
            &["KIND:       Widget", "What the widget is.", "The color that people see.", "-required-"],
        );
    });
}

#[test]
fn what_the_schema_forbids_is_refused_with_the_field() {
    with_each_kubectl(|_, kubectl| {
        let (group, _) = defined(kubectl);
        for (spec, parts) in [
            ("{}", &["spec.color: Required value"][..]),
            (
                "{color: blue}",
                &["spec.color: Unsupported value: \"blue\": supported values: \"red\", \"green\""],
            ),
            (
                "{color: red, replicas: 6}",
                &["spec.replicas: Invalid value: 6: spec.replicas in body should be less than or equal to 5"],
            ),
            (
                "{color: red, replicas: x}",
                &[
                    "spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer: \"string\"",
                ],
            ),
            ("{color: red, size: gigantic}", &["spec.size: Too long: may not be more than 6 bytes"]),
            ("{color: green, replicas: 4}", &["green widgets are rare"]),
            ("{color: red, unknown: 1}", &["unknown field \"spec.unknown\""]),
        ] {
            let object = widget(&group, "bad", spec);
            let said = kubectl.refused_with_input(&["create", "--filename=-"], &object);
            assert_has(&said, parts);
        }
    });
}

#[test]
fn objects_have_a_scale_and_a_status_of_their_own() {
    with_each_kubectl(|_, kubectl| {
        let (group, plural) = defined(kubectl);
        kubectl.apply(&widget(&group, "one", "{color: red}"));
        kubectl.run(&["scale", &format!("{plural}/one"), "--replicas=3"]);
        let get = |path: &str| kubectl.run(&["get", &plural, "one", &format!("--output=jsonpath={path}")]);
        assert_eq!(get("{.spec.replicas} {.metadata.generation}"), "3 2");
        let said = kubectl.refused(&["scale", &format!("{plural}/one"), "--replicas=9"]);
        assert_has(&said, &["spec.replicas", "9"]);

        let both = r#"{"spec":{"color":"green","replicas":1},"status":{"replicas":2}}"#;
        kubectl.run(&["patch", &plural, "one", "--type=merge", "--subresource=status", "--patch", both]);
        assert_eq!(get("{.spec.color} {.status.replicas} {.metadata.generation}"), "red 2 2");
        let status = r#"{"status":{"replicas":5}}"#;
        kubectl.run(&["patch", &plural, "one", "--type=merge", "--patch", status]);
        assert_eq!(get("{.status.replicas}"), "2");

        let object = widget(&group, "one", "{color: green, replicas: 2}");
        kubectl.run_with_input(&["apply", "--server-side", "--force-conflicts", "--filename=-"], &object);
        assert_eq!(get("{.spec.color} {.spec.replicas}"), "green 2");
    });
}

#[test]
fn a_definition_goes_with_its_objects() {
    with_each_kubectl(|_, kubectl| {
        let (group, plural) = defined(kubectl);
        kubectl.apply(&widget(&group, "one", "{color: red}"));
        kubectl.run(&["delete", "customresourcedefinition", &plural, "--timeout=60s"]);
        until("the kind is not there any more", || match kubectl.say(&["get", &plural]) {
            said if said.stderr.contains("the server doesn't have a resource type") => Ok(()),
            said => Err(format!("{said:?}")),
        });
        let (_, again) = defined(kubectl);
        assert_eq!(kubectl.json(&["get", &again])["items"].as_array().unwrap().len(), 0);
    });
}

#[test]
fn a_definition_that_makes_no_sense_is_refused() {
    with_each_kubectl(|_, kubectl| {
        let group =
            kubectl.run(&["get", "serviceaccount", "default", "--output=jsonpath={.metadata.namespace}"]);
        let bad = definition(&group).replace("metadata: {name: widgets.", "metadata: {name: gadgets.");
        let said = kubectl.refused_with_input(&["create", "--filename=-"], &bad);
        assert_has(&said, &["metadata.name: Invalid value", "must be spec.names.plural+\".\"+spec.group"]);
        let bad = definition(&group).replace("color: {type: string,", "color: {type: strange,");
        let said = kubectl.refused_with_input(&["create", "--filename=-"], &bad);
        assert_has(&said, &["type: Unsupported value: \"strange\""]);
    });
}
