//! The labels of what is behind a service.

use serde_json::json;

use super::super::super::config::Role;
use super::super::super::objects::{EndpointSlice, Endpoints, Pod, Service};
use super::super::super::world::World;
use super::{CONTAINER, POD, add, check, example_pod, group};
use crate::discovery::Labels;

/// A pod that is at port 9100, and the service in front of it.
fn behind_a_service() -> World {
    let mut world = World::default();
    add::<Pod>(&mut world, example_pod());
    add::<Service>(
        &mut world,
        json!({
            "metadata": {"name": "s", "namespace": "n"},
        }),
    );
    world
}

/// The labels of the pod's container: all but one, which only the role pod has.
fn container() -> Vec<(&'static str, &'static str)> {
    let mut labels = CONTAINER.to_vec();
    labels.retain(|(name, _)| *name != "pod_container_id");
    labels
}

/// The other port of the pod, which the service does not name.
fn check_other_port(target: &Labels) {
    let own = [
        ("__address__", "[fd00::1]:9101"),
        ("pod_container_name", "c"),
        ("pod_container_image", "i:1"),
        ("pod_container_init", "false"),
        ("pod_container_port_name", ""),
        ("pod_container_port_number", "9101"),
        ("pod_container_port_protocol", "UDP"),
    ];
    check(
        "the pod's other port",
        target,
        &[&own[..], &POD[..]].concat(),
    );
}

#[test]
fn endpoints_have_the_labels_of_pods_and_services() {
    let mut world = behind_a_service();
    let key = add::<Endpoints>(
        &mut world,
        json!({
            "metadata": {"name": "s", "namespace": "n", "labels": {"l": "v"}},
            "subsets": [{
                "addresses": [{
                    "ip": "fd00::1", "nodeName": "w1", "hostname": "h",
                    "targetRef": {"kind": "Pod", "namespace": "n", "name": "p"},
                }],
                "notReadyAddresses": [{"ip": "10.0.0.9"}],
                "ports": [{"name": "m", "port": 9100, "protocol": "TCP"}],
            }, {"ports": null}],
        }),
    );
    let group = group(&world, Role::Endpoints, &key);
    check(
        "endpoints",
        &group.labels,
        &[
            ("namespace", "n"),
            ("endpoints_label_l", "v"),
            ("endpoints_labelpresent_l", "true"),
            ("endpoints_name", "s"),
            ("service_name", "s"),
        ],
    );
    assert_eq!(group.targets.len(), 3);
    let own = [
        ("__address__", "[fd00::1]:9100"),
        ("endpoint_address_target_kind", "Pod"),
        ("endpoint_address_target_name", "p"),
        ("endpoint_hostname", "h"),
        ("endpoint_node_name", "w1"),
        ("endpoint_port_name", "m"),
        ("endpoint_port_protocol", "TCP"),
        ("endpoint_ready", "true"),
    ];
    check(
        "pod",
        &group.targets[0],
        &[&own[..], &POD[..], &container()].concat(),
    );
    check(
        "not ready",
        &group.targets[1],
        &[
            ("__address__", "10.0.0.9:9100"),
            ("endpoint_port_name", "m"),
            ("endpoint_port_protocol", "TCP"),
            ("endpoint_ready", "false"),
        ],
    );
    check_other_port(&group.targets[2]);
}

#[test]
fn slices_have_the_labels_of_pods_and_services() {
    let mut world = behind_a_service();
    let key = add::<EndpointSlice>(
        &mut world,
        json!({
            "metadata": {
                "name": "s-1", "namespace": "n", "labels": {"kubernetes.io/service-name": "s"},
            },
            "addressType": "IPv6",
            "endpoints": [{
                "addresses": ["fd00::1"],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "hostname": "h", "nodeName": "w1", "zone": "z",
                "deprecatedTopology": {"t/k": "v"},
                "targetRef": {"kind": "Pod", "namespace": "n", "name": "p"},
            }],
            "ports": [{"name": "m", "port": 9100, "protocol": "TCP", "appProtocol": "http"}],
        }),
    );
    let group = group(&world, Role::EndpointSlice, &key);
    check(
        "slice",
        &group.labels,
        &[
            ("namespace", "n"),
            ("endpointslice_address_type", "IPv6"),
            ("endpointslice_label_kubernetes_io_service_name", "s"),
            (
                "endpointslice_labelpresent_kubernetes_io_service_name",
                "true",
            ),
            ("endpointslice_name", "s-1"),
            ("service_name", "s"),
        ],
    );
    assert_eq!(group.targets.len(), 2);
    let own = [
        ("__address__", "[fd00::1]:9100"),
        ("endpointslice_address_target_kind", "Pod"),
        ("endpointslice_address_target_name", "p"),
        ("endpointslice_endpoint_conditions_ready", "true"),
        ("endpointslice_endpoint_conditions_serving", "true"),
        ("endpointslice_endpoint_conditions_terminating", "false"),
        ("endpointslice_endpoint_hostname", "h"),
        ("endpointslice_endpoint_node_name", "w1"),
        ("endpointslice_endpoint_topology_present_t_k", "true"),
        ("endpointslice_endpoint_topology_t_k", "v"),
        ("endpointslice_endpoint_zone", "z"),
        ("endpointslice_port", "9100"),
        ("endpointslice_port_app_protocol", "http"),
        ("endpointslice_port_name", "m"),
        ("endpointslice_port_protocol", "TCP"),
    ];
    check(
        "pod",
        &group.targets[0],
        &[&own[..], &POD[..], &container()].concat(),
    );
    check_other_port(&group.targets[1]);
}
