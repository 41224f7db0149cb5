//! Endpoints and endpoint slices as targets: the addresses behind a service, with the labels of
//! the service and of the pods that they belong to.

use std::collections::BTreeMap;

use super::meta::{self, set, set_some};
use super::objects::{
    EndpointAddress, EndpointSlice, Endpoints, Key, NamedPort, Object as _, Pod, Reference,
    SliceEndpoint,
};
use super::pod::{add_container, add_port, containers, of_port};
use super::service::add_service;
use super::world::Around;
use crate::discovery::{ADDRESS, Labels, TargetGroup, host_port};

/// The label of a slice that names its service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

const CONTAINER_PROTOCOL: &str = "__meta_kubernetes_pod_container_port_protocol";

/// The targets of an endpoints object.
pub(super) fn group_of_endpoints(endpoints: &Endpoints, around: Around<'_>) -> TargetGroup {
    let mut group = TargetGroup::default();
    let meta = endpoints.meta();
    set(&mut group.labels, "namespace", &meta.namespace);
    meta::add_object(&mut group.labels, "endpoints", meta);
    if let Some(service) = around.service(&endpoints.key()) {
        add_service(&mut group.labels, service);
    }
    let mut seen = Seen::default();
    for subset in &endpoints.subsets {
        for port in &subset.ports {
            let lists = [
                (&subset.addresses, "true"),
                (&subset.not_ready_addresses, "false"),
            ];
            for (addresses, ready) in lists {
                for address in addresses {
                    let mut target = of_address(address, port, ready);
                    let reference = address.target_ref.as_ref();
                    let node = address.node_name.as_deref().or(node_of(reference));
                    around.add_node(&mut target, node);
                    seen.add_pod(&mut target, around.pod_of(reference), port);
                    // For this role, and not for slices, Prometheus takes the port's own word.
                    if let Some(protocol) = target.get_mut(CONTAINER_PROTOCOL) {
                        protocol.clone_from(port.protocol.as_ref().unwrap_or(&String::new()));
                    }
                    group.targets.push(target);
                }
            }
        }
    }
    group.targets.extend(seen.other_ports());
    group
}

fn of_address(address: &EndpointAddress, port: &NamedPort, ready: &str) -> Labels {
    let joined = host_port(&address.ip, port.port.unwrap_or_default());
    let mut target = Labels::from([(ADDRESS.to_owned(), joined)]);
    set(
        &mut target,
        "endpoint_port_name",
        port.name.clone().unwrap_or_default(),
    );
    set(
        &mut target,
        "endpoint_port_protocol",
        port.protocol.clone().unwrap_or_default(),
    );
    set(&mut target, "endpoint_ready", ready);
    if let Some(reference) = &address.target_ref {
        set(&mut target, "endpoint_address_target_kind", &reference.kind);
        set(&mut target, "endpoint_address_target_name", &reference.name);
    }
    set_some(
        &mut target,
        "endpoint_node_name",
        address.node_name.as_ref(),
    );
    if !address.hostname.is_empty() {
        set(&mut target, "endpoint_hostname", &address.hostname);
    }
    target
}

/// The targets of an endpoint slice.
pub(super) fn group_of_slice(slice: &EndpointSlice, around: Around<'_>) -> TargetGroup {
    let mut group = TargetGroup::default();
    let meta = slice.meta();
    set(&mut group.labels, "namespace", &meta.namespace);
    set(
        &mut group.labels,
        "endpointslice_address_type",
        &slice.address_type,
    );
    meta::add_object(&mut group.labels, "endpointslice", meta);
    if let Some(name) = meta.labels.get(SERVICE_NAME)
        && let Some(service) = around.service(&(meta.namespace.clone(), name.clone()))
    {
        add_service(&mut group.labels, service);
    }
    let mut seen = Seen::default();
    for endpoint in &slice.endpoints {
        for port in &slice.ports {
            for address in &endpoint.addresses {
                let mut target = of_slice_address(endpoint, address, port);
                let reference = endpoint.target_ref.as_ref();
                let node = node_of(reference).or(endpoint.node_name.as_deref());
                around.add_node(&mut target, node);
                seen.add_pod(&mut target, around.pod_of(reference), port);
                group.targets.push(target);
            }
        }
    }
    group.targets.extend(seen.other_ports());
    group
}

fn of_slice_address(endpoint: &SliceEndpoint, address: &str, port: &NamedPort) -> Labels {
    let address = port
        .port
        .map_or(address.to_owned(), |number| host_port(address, number));
    let mut target = Labels::from([(ADDRESS.to_owned(), address)]);
    let number = port.port.map(|number| number.to_string());
    let conditions = &endpoint.conditions;
    let text = |flag: Option<bool>| flag.map(|flag| flag.to_string());
    let (kind, name) = match &endpoint.target_ref {
        Some(reference) => (Some(&reference.kind), Some(&reference.name)),
        None => (None, None),
    };
    for (label, value) in [
        ("port_name", port.name.as_ref()),
        ("port_protocol", port.protocol.as_ref()),
        ("port", number.as_ref()),
        ("port_app_protocol", port.app_protocol.as_ref()),
        ("endpoint_conditions_ready", text(conditions.ready).as_ref()),
        (
            "endpoint_conditions_serving",
            text(conditions.serving).as_ref(),
        ),
        (
            "endpoint_conditions_terminating",
            text(conditions.terminating).as_ref(),
        ),
        ("address_target_kind", kind),
        ("address_target_name", name),
        ("endpoint_hostname", endpoint.hostname.as_ref()),
        ("endpoint_node_name", endpoint.node_name.as_ref()),
        ("endpoint_zone", endpoint.zone.as_ref()),
    ] {
        set_some(&mut target, &format!("endpointslice_{label}"), value);
    }
    for (name, value) in &endpoint.deprecated_topology {
        let name = meta::sanitize(name);
        set(
            &mut target,
            &format!("endpointslice_endpoint_topology_{name}"),
            value,
        );
        set(
            &mut target,
            &format!("endpointslice_endpoint_topology_present_{name}"),
            "true",
        );
    }
    target
}

/// The node that a reference is to.
fn node_of(reference: Option<&Reference>) -> Option<&str> {
    let reference = reference.filter(|reference| reference.kind == "Node")?;
    Some(&reference.name)
}

/// The pods behind the addresses, and which of their ports have had a target.
#[derive(Default)]
struct Seen<'w> {
    pods: BTreeMap<Key, (&'w Pod, Vec<u16>)>,
}

impl<'w> Seen<'w> {
    /// The labels of the pod, and of its container whose port this is.
    fn add_pod(&mut self, target: &mut Labels, pod: Option<&'w Pod>, port: &NamedPort) {
        let Some(pod) = pod else {
            return;
        };
        meta::add_pod(target, pod);
        for (container, is_init) in containers(pod) {
            let mut ports = container.ports.iter();
            if let Some(own) = ports.find(|own| Some(own.number) == port.port) {
                add_container(target, container, is_init);
                add_port(target, own);
            }
        }
        let (_, ports) = self.pods.entry(pod.key()).or_insert((pod, Vec::new()));
        ports.extend(port.port);
    }

    /// Targets for the ports of the pods that the service does not name.
    fn other_ports(self) -> impl Iterator<Item = Labels> + use<'w> {
        let with_address = self.pods.into_values();
        let with_address = with_address.filter(|(pod, _)| !pod.status.pod_ip.is_empty());
        with_address.flat_map(|(pod, seen)| {
            let mut targets = Vec::new();
            for (container, is_init) in containers(pod) {
                let ports = container.ports.iter();
                for port in ports.filter(|port| !seen.contains(&port.number)) {
                    let mut target = of_port(pod, container, is_init, port);
                    meta::add_pod(&mut target, pod);
                    targets.push(target);
                }
            }
            targets
        })
    }
}
