//! Labels that objects of every kind have.

use super::objects::{Meta, Namespace, Node, Object as _, Pod};
use crate::discovery::Labels;

/// Sets the label `__meta_kubernetes_<name>`.
pub(super) fn set(labels: &mut Labels, name: &str, value: impl Into<String>) {
    labels.insert(format!("__meta_kubernetes_{name}"), value.into());
}

/// Sets the label if there is a value.
pub(super) fn set_some(labels: &mut Labels, name: &str, value: Option<&String>) {
    if let Some(value) = value {
        set(labels, name, value);
    }
}

/// The name, the labels and the annotations of an object of this `role`.
pub(super) fn add_object(labels: &mut Labels, role: &str, meta: &Meta) {
    set(labels, &format!("{role}_name"), &meta.name);
    add_maps(labels, role, meta);
}

fn add_maps(labels: &mut Labels, role: &str, meta: &Meta) {
    for (kind, map) in [("label", &meta.labels), ("annotation", &meta.annotations)] {
        for (name, value) in map {
            let name = sanitize(name);
            set(labels, &format!("{role}_{kind}_{name}"), value);
            set(labels, &format!("{role}_{kind}present_{name}"), "true");
        }
    }
}

/// What `attach_metadata: {node: true}` adds.
pub(super) fn add_node(labels: &mut Labels, node: &Node) {
    add_object(labels, "node", node.meta());
}

/// What `attach_metadata: {namespace: true}` adds.
pub(super) fn add_namespace(labels: &mut Labels, namespace: &Namespace) {
    add_maps(labels, "namespace", namespace.meta());
}

/// What a pod's targets have, whatever role they were found by.
pub(super) fn add_pod(labels: &mut Labels, pod: &Pod) {
    let meta = pod.meta();
    add_object(labels, "pod", meta);
    set(labels, "pod_ip", &pod.status.pod_ip);
    let mut conditions = pod.status.conditions.iter();
    let ready = conditions.find(|condition| condition.kind == "Ready");
    let ready = ready.map_or("unknown".to_owned(), |ready| ready.status.to_lowercase());
    set(labels, "pod_ready", ready);
    set(labels, "pod_phase", &pod.status.phase);
    set(labels, "pod_node_name", &pod.spec.node_name);
    set(labels, "pod_host_ip", &pod.status.host_ip);
    set(labels, "pod_uid", &meta.uid);
    if let Some(owner) = meta.owner_references.iter().find(|owner| owner.controller) {
        for (name, value) in [("kind", &owner.kind), ("name", &owner.name)] {
            if !value.is_empty() {
                set(labels, &format!("pod_controller_{name}"), value);
            }
        }
    }
}

/// A name that a label can have: each character that it cannot becomes `_`.
pub(super) fn sanitize(name: &str) -> String {
    let keep = |character: char| character.is_ascii_alphanumeric() || character == '_';
    name.chars()
        .map(|character| if keep(character) { character } else { '_' })
        .collect()
}
