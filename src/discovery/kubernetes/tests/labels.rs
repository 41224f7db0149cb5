//! The labels of each role, all of them, as Prometheus documents them.

use serde_json::{Value, json};

use super::super::config::{AttachMetadata, Role};
use super::super::objects::{Key, Object};
use super::super::watch::Event;
use super::super::world::{Changes, World, apply};
use crate::discovery::{Labels, TargetGroup};

mod behind;

fn add<T: Object>(world: &mut World, object: Value) -> Key {
    let object: T = serde_json::from_value(object).unwrap();
    let key = object.key();
    apply(
        T::among(world),
        Event::Put(object),
        None,
        &mut Changes::default(),
    );
    key
}

fn group(world: &World, role: Role, key: &Key) -> TargetGroup {
    world.group(role, key, AttachMetadata::default()).unwrap()
}

/// Checks labels, which are written without what all of them begin with.
fn check(what: &str, labels: &Labels, expected: &[(&str, &str)]) {
    let full = |name: &str| match name {
        "__address__" | "instance" => name.to_owned(),
        name => format!("__meta_kubernetes_{name}"),
    };
    let expected: Labels = expected
        .iter()
        .map(|(name, value)| (full(name), (*value).to_owned()))
        .collect();
    assert_eq!(*labels, expected, "{what}");
}

fn example_pod() -> Value {
    json!({
        "metadata": {
            "name": "p", "namespace": "n", "uid": "u-1",
            "labels": {"app.kubernetes.io/name": "x"},
            "annotations": {"a/b": "c"},
            "ownerReferences": [
                {"kind": "Other", "name": "o"},
                {"kind": "DaemonSet", "name": "d", "controller": true},
            ],
            "managedFields": [{"anything": 1}],
        },
        "spec": {
            "nodeName": "w1",
            "containers": [
                {"name": "c", "image": "i:1", "ports": [
                    {"name": "metrics", "containerPort": 9100, "protocol": "TCP"},
                    {"containerPort": 9101, "protocol": "UDP"},
                ]},
                {"name": "bare", "image": "i:2"},
            ],
            "initContainers": [{"name": "init", "image": "i:3"}],
        },
        "status": {
            "phase": "Running", "podIP": "fd00::1", "hostIP": "10.1.0.1",
            "conditions": [
                {"type": "Initialized", "status": "True"},
                {"type": "Ready", "status": "True"},
            ],
            "containerStatuses": [{"name": "c", "containerID": "containerd://1"}],
            "initContainerStatuses": [{"name": "init", "containerID": "containerd://2"}],
        },
    })
}

const POD: [(&str, &str); 13] = [
    ("pod_annotation_a_b", "c"),
    ("pod_annotationpresent_a_b", "true"),
    ("pod_controller_kind", "DaemonSet"),
    ("pod_controller_name", "d"),
    ("pod_host_ip", "10.1.0.1"),
    ("pod_ip", "fd00::1"),
    ("pod_label_app_kubernetes_io_name", "x"),
    ("pod_labelpresent_app_kubernetes_io_name", "true"),
    ("pod_name", "p"),
    ("pod_node_name", "w1"),
    ("pod_phase", "Running"),
    ("pod_ready", "true"),
    ("pod_uid", "u-1"),
];

const CONTAINER: [(&str, &str); 7] = [
    ("pod_container_name", "c"),
    ("pod_container_image", "i:1"),
    ("pod_container_id", "containerd://1"),
    ("pod_container_init", "false"),
    ("pod_container_port_name", "metrics"),
    ("pod_container_port_number", "9100"),
    ("pod_container_port_protocol", "TCP"),
];

#[test]
fn a_pod_has_a_target_for_each_port_or_container() {
    let mut world = World::default();
    let key = add::<super::super::objects::Pod>(&mut world, example_pod());
    let group = group(&world, Role::Pod, &key);
    check(
        "pod",
        &group.labels,
        &[&POD[..], &[("namespace", "n")]].concat(),
    );
    assert_eq!(group.targets.len(), 4);
    check(
        "named port",
        &group.targets[0],
        &[&CONTAINER[..], &[("__address__", "[fd00::1]:9100")]].concat(),
    );
    assert_eq!(
        group.targets[1]["__meta_kubernetes_pod_container_port_name"],
        ""
    );
    for (index, name, image, id, init) in [
        (2, "bare", "i:2", "", "false"),
        (3, "init", "i:3", "containerd://2", "true"),
    ] {
        check(
            name,
            &group.targets[index],
            &[
                ("__address__", "fd00::1"),
                ("pod_container_name", name),
                ("pod_container_image", image),
                ("pod_container_id", id),
                ("pod_container_init", init),
            ],
        );
    }
}

#[test]
fn a_node_is_its_kubelet() {
    let mut world = World::default();
    let key = add::<super::super::objects::Node>(
        &mut world,
        json!({
            "metadata": {"name": "w1", "labels": {"os": "windows"}, "annotations": {"a": "b"}},
            "spec": {"providerID": "azure:///1"},
            "status": {
                "addresses": [
                    {"type": "Hostname", "address": "w1"},
                    {"type": "InternalIP", "address": "10.1.0.1"},
                    {"type": "InternalIP", "address": "fd00::2"},
                ],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            },
        }),
    );
    let group = group(&world, Role::Node, &key);
    check(
        "node",
        &group.labels,
        &[
            ("node_annotation_a", "b"),
            ("node_annotationpresent_a", "true"),
            ("node_label_os", "windows"),
            ("node_labelpresent_os", "true"),
            ("node_name", "w1"),
            ("node_provider_id", "azure:///1"),
        ],
    );
    assert_eq!(group.targets.len(), 1);
    check(
        "kubelet",
        &group.targets[0],
        &[
            ("__address__", "10.1.0.1:10250"),
            ("instance", "w1"),
            ("node_address_Hostname", "w1"),
            ("node_address_InternalIP", "10.1.0.1"),
        ],
    );
}

#[test]
fn a_service_has_a_target_for_each_port() {
    for (kind, more) in [
        ("ClusterIP", &[("service_cluster_ip", "10.2.0.1")][..]),
        ("ExternalName", &[("service_external_name", "e.x")]),
        (
            "LoadBalancer",
            &[
                ("service_cluster_ip", "10.2.0.1"),
                ("service_loadbalancer_ip", "1.2.3.4"),
            ],
        ),
    ] {
        let mut world = World::default();
        let key = add::<super::super::objects::Service>(
            &mut world,
            json!({
                "metadata": {"name": "s", "namespace": "n", "labels": {"l": "v"}},
                "spec": {
                    "type": kind, "clusterIP": "10.2.0.1", "externalName": "e.x",
                    "loadBalancerIP": "1.2.3.4",
                    "ports": [{"name": "m", "port": 9100, "protocol": "TCP", "targetPort": "x"}],
                },
            }),
        );
        let group = group(&world, Role::Service, &key);
        check(
            kind,
            &group.labels,
            &[
                ("namespace", "n"),
                ("service_label_l", "v"),
                ("service_labelpresent_l", "true"),
                ("service_name", "s"),
            ],
        );
        let all = [
            &[
                ("__address__", "s.n.svc:9100"),
                ("service_port_name", "m"),
                ("service_port_number", "9100"),
                ("service_port_protocol", "TCP"),
                ("service_type", kind),
            ],
            more,
        ];
        check(kind, &group.targets[0], &all.concat());
    }
}

#[test]
fn an_ingress_has_a_target_for_each_path() {
    let mut world = World::default();
    let key = add::<super::super::objects::Ingress>(
        &mut world,
        json!({
            "metadata": {"name": "i", "namespace": "n"},
            "spec": {
                "ingressClassName": "nginx",
                "tls": [{"hosts": ["*.secure"]}],
                "rules": [
                    {
                        "host": "a.secure",
                        "http": {"paths": [{"path": "/x"}, {"pathType": "Prefix"}]},
                    },
                    {"host": "plain", "http": null},
                    {"host": "a.b.secure"},
                ],
            },
        }),
    );
    let group = group(&world, Role::Ingress, &key);
    check(
        "ingress",
        &group.labels,
        &[
            ("namespace", "n"),
            ("ingress_class_name", "nginx"),
            ("ingress_name", "i"),
        ],
    );
    let expected = [
        ("https", "a.secure", "/x"),
        ("https", "a.secure", "/"),
        ("http", "plain", "/"),
        ("http", "a.b.secure", "/"),
    ];
    assert_eq!(group.targets.len(), expected.len());
    for (target, (scheme, host, path)) in group.targets.iter().zip(expected) {
        check(
            host,
            target,
            &[
                ("__address__", host),
                ("ingress_scheme", scheme),
                ("ingress_host", host),
                ("ingress_path", path),
            ],
        );
    }
}
