//! Pods and nodes as targets.

use super::meta::{self, set};
use super::objects::{Container, ContainerPort, Node, Object as _, Pod};
use crate::discovery::{ADDRESS, Labels, TargetGroup, host_port};

/// Which of a node's addresses is taken, the first that there is.
const ADDRESSES: [&str; 6] = [
    "InternalIP",
    "InternalDNS",
    "ExternalIP",
    "ExternalDNS",
    "LegacyHostIP",
    "Hostname",
];

/// The targets of a pod; none while it has no address.
pub(super) fn group_of_pod(pod: &Pod) -> TargetGroup {
    let mut group = TargetGroup::default();
    if pod.status.pod_ip.is_empty() {
        return group;
    }
    meta::add_pod(&mut group.labels, pod);
    set(&mut group.labels, "namespace", &pod.meta().namespace);
    for (container, is_init) in containers(pod) {
        if container.ports.is_empty() {
            let mut target = Labels::from([(ADDRESS.to_owned(), pod.status.pod_ip.clone())]);
            add_container(&mut target, container, is_init);
            add_container_id(&mut target, pod, container, is_init);
            group.targets.push(target);
        }
        for port in &container.ports {
            let mut target = of_port(pod, container, is_init, port);
            add_container_id(&mut target, pod, container, is_init);
            group.targets.push(target);
        }
    }
    group
}

/// All containers of a pod, and whether they are of those that run before the others.
pub(super) fn containers(pod: &Pod) -> impl Iterator<Item = (&Container, bool)> {
    let usual = pod
        .spec
        .containers
        .iter()
        .map(|container| (container, false));
    usual.chain(
        pod.spec
            .init_containers
            .iter()
            .map(|container| (container, true)),
    )
}

/// The target of a container's port.
pub(super) fn of_port(
    pod: &Pod,
    container: &Container,
    is_init: bool,
    port: &ContainerPort,
) -> Labels {
    let address = host_port(&pod.status.pod_ip, port.number);
    let mut target = Labels::from([(ADDRESS.to_owned(), address)]);
    add_container(&mut target, container, is_init);
    add_port(&mut target, port);
    target
}

/// The labels of a container.
pub(super) fn add_container(labels: &mut Labels, container: &Container, is_init: bool) {
    set(labels, "pod_container_name", &container.name);
    set(labels, "pod_container_image", &container.image);
    set(labels, "pod_container_init", is_init.to_string());
}

/// The label that a container has for the role pod only.
fn add_container_id(labels: &mut Labels, pod: &Pod, container: &Container, is_init: bool) {
    let statuses = if is_init {
        &pod.status.init_container_statuses
    } else {
        &pod.status.container_statuses
    };
    let status = statuses.iter().find(|status| status.name == container.name);
    let id = status.map(|status| status.id.clone()).unwrap_or_default();
    set(labels, "pod_container_id", id);
}

/// The labels of a container's port.
pub(super) fn add_port(labels: &mut Labels, port: &ContainerPort) {
    set(labels, "pod_container_port_name", &port.name);
    set(labels, "pod_container_port_number", port.number.to_string());
    set(labels, "pod_container_port_protocol", &port.protocol);
}

/// A node's kubelet.
pub(super) fn group_of_node(node: &Node) -> TargetGroup {
    let mut group = TargetGroup::default();
    let addresses = &node.status.addresses;
    let of = |kind: &str| addresses.iter().find(|address| address.kind == kind);
    let Some(address) = ADDRESSES.iter().find_map(|kind| of(kind)) else {
        return group;
    };
    set(
        &mut group.labels,
        "node_provider_id",
        &node.spec.provider_id,
    );
    meta::add_node(&mut group.labels, node);
    let port = node.status.daemon_endpoints.kubelet_endpoint.port;
    let mut target = Labels::from([
        (ADDRESS.to_owned(), host_port(&address.address, port)),
        ("instance".to_owned(), node.meta().name.clone()),
    ]);
    // The first of each kind counts.
    for address in addresses.iter().rev() {
        let name = format!("node_address_{}", meta::sanitize(&address.kind));
        set(&mut target, &name, &address.address);
    }
    group.targets.push(target);
    group
}
