//! A cluster, with what is easily mistaken in each kind of object.

use serde_json::{Value, json};

use crate::stand_in::StandIn;

pub(crate) const PODS: &str = "/api/v1/pods";
const NODES: &str = "/api/v1/nodes";
const SERVICES: &str = "/api/v1/services";
const ENDPOINTS: &str = "/api/v1/endpoints";
const SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices";
const INGRESSES: &str = "/apis/networking.k8s.io/v1/ingresses";

/// How many targets each job of the test finds in it.
pub(crate) const TARGETS: [(&str, usize); 8] = [
    ("pod", 8),
    ("node", 2),
    ("service", 5),
    ("endpoints", 8),
    ("endpointslice", 5),
    ("ingress", 5),
    ("pod-on-node", 8),
    ("named", 1),
];

/// Puts everything in.
pub(crate) fn fill(api: &StandIn) {
    for (path, objects) in [
        (PODS, pods()),
        (NODES, nodes()),
        (SERVICES, services()),
        (ENDPOINTS, endpoints()),
        (SLICES, slices()),
        (INGRESSES, ingresses()),
    ] {
        for object in objects {
            api.put(path, object);
        }
    }
    api.put(
        "/api/v1/namespaces/own/pods",
        plain_pod("alone", "own", "10.0.0.9"),
    );
}

/// Changes it: a pod goes, another has another address.
pub(crate) fn change(api: &StandIn) {
    api.delete(PODS, "n", "plain");
    api.put(PODS, plain_pod("moving", "m", "10.0.0.77"));
    api.put(
        SERVICES,
        json!({
            "metadata": {"name": "s", "namespace": "n", "labels": {"now": "changed"}},
            "spec": {"type": "ClusterIP", "clusterIP": "10.2.0.1"},
        }),
    );
}

fn plain_pod(name: &str, namespace: &str, ip: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 9182}]}]},
        "status": {"podIP": ip, "phase": "Pending"},
    })
}

fn pods() -> Vec<Value> {
    let full = json!({
        "metadata": {
            "name": "full", "namespace": "n", "uid": "u-1",
            "labels": {
                "app.kubernetes.io/name": "windows-exporter", "with-dash": "ä", "empty": "",
                "app_kubernetes.io/part": "x",
            },
            "annotations": {"prometheus.io/port": "9182", "größe": "groß"},
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Other", "name": "o", "uid": "o"},
                {"apiVersion": "v1", "kind": "DaemonSet", "name": "d", "uid": "d",
                 "controller": true},
            ],
        },
        "spec": {
            "nodeName": "w1",
            "containers": [
                {"name": "c", "image": "i:1", "ports": [
                    {"name": "metrics", "containerPort": 9182, "protocol": "TCP"},
                    {"containerPort": 9183, "protocol": "UDP"},
                ]},
                {"name": "bare", "image": "i:2"},
            ],
            "initContainers": [{"name": "init", "image": "i:3"}],
        },
        "status": {
            "phase": "Running", "podIP": "10.0.0.1", "hostIP": "10.1.0.1",
            "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
            "conditions": [
                {"type": "Initialized", "status": "True"},
                {"type": "Ready", "status": "True"},
            ],
            "containerStatuses": [
                {"name": "c", "containerID": "containerd://1", "ready": true, "image": "i",
                 "imageID": "x", "restartCount": 0},
            ],
        },
    });
    let ipv6 = json!({
        "metadata": {"name": "ipv6", "namespace": "n"},
        "spec": {"nodeName": "w2", "containers": [
            {"name": "c", "image": "i", "ports": [
                {"name": "m", "containerPort": 9182, "protocol": "TCP"},
            ]},
        ]},
        "status": {
            "podIP": "fd00::2", "phase": "Failed",
            "conditions": [{"type": "Ready", "status": "False"}],
        },
    });
    let no_address = json!({
        "metadata": {"name": "starting", "namespace": "n"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
        "status": {"phase": "Pending"},
    });
    let no_port = json!({
        "metadata": {"name": "no-port", "namespace": "n"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
        "status": {"podIP": "fd00::3", "conditions": [{"type": "Ready", "status": "Unknown"}]},
    });
    vec![
        full,
        ipv6,
        no_address,
        no_port,
        plain_pod("plain", "n", "10.0.0.2"),
        plain_pod("moving", "m", "10.0.0.7"),
    ]
}

fn nodes() -> Vec<Value> {
    let kubelet = json!({"kubeletEndpoint": {"Port": 10250}});
    vec![
        json!({
            "metadata": {
                "name": "w1",
                "labels": {"kubernetes.io/os": "windows"}, "annotations": {"a/b": "c"},
            },
            "spec": {"providerID": "azure:///1"},
            "status": {
                "addresses": [
                    {"type": "Hostname", "address": "w1"},
                    {"type": "ExternalIP", "address": "192.0.2.1"},
                    {"type": "InternalIP", "address": "10.1.0.1"},
                    {"type": "InternalIP", "address": "fd00::9"},
                ],
                "daemonEndpoints": kubelet,
            },
        }),
        json!({
            "metadata": {"name": "w2"},
            "status": {
                "addresses": [{"type": "Hostname", "address": "w2.example"}],
                "daemonEndpoints": kubelet,
            },
        }),
    ]
}

fn services() -> Vec<Value> {
    let service = |name: &str, spec: Value| {
        json!({
            "metadata": {
                "name": name, "namespace": "n",
                "labels": {"k8s-app": name}, "annotations": {"a.b/c": "d"},
            },
            "spec": spec,
        })
    };
    vec![
        service(
            "s",
            json!({
                "type": "ClusterIP", "clusterIP": "10.2.0.1",
                "ports": [
                    {"name": "m", "port": 9182, "protocol": "TCP", "targetPort": "metrics"},
                    {"name": "dns", "port": 53, "protocol": "UDP"},
                ],
            }),
        ),
        service(
            "outside",
            json!({
                "type": "ExternalName", "externalName": "example.org",
                "ports": [{"port": 80, "protocol": "TCP"}],
            }),
        ),
        service(
            "balanced",
            json!({
                "type": "LoadBalancer", "clusterIP": "10.2.0.2", "loadBalancerIP": "192.0.2.7",
                "ports": [{"name": "m", "port": 80, "protocol": "TCP", "nodePort": 30080}],
            }),
        ),
        service(
            "headless",
            json!({"clusterIP": "None", "ports": [{"port": 9182, "protocol": "TCP"}]}),
        ),
        service(
            "no-ports",
            json!({"type": "ClusterIP", "clusterIP": "10.2.0.3"}),
        ),
    ]
}

fn endpoints() -> Vec<Value> {
    let pod = |name: &str| json!({"kind": "Pod", "namespace": "n", "name": name});
    vec![
        json!({
            "metadata": {
                "name": "s", "namespace": "n",
                "labels": {"k8s-app": "s"}, "annotations": {"endpoints/time": "now"},
            },
            "subsets": [{
                "addresses": [
                    {"ip": "10.0.0.1", "nodeName": "w1", "hostname": "h", "targetRef": pod("full")},
                    {"ip": "10.1.0.1", "targetRef": {"kind": "Node", "name": "w1"}},
                ],
                "notReadyAddresses": [
                    {"ip": "fd00::2", "nodeName": "w1", "targetRef": pod("ipv6")},
                    {"ip": "10.0.0.99", "targetRef": pod("unheard-of")},
                ],
                "ports": [{"name": "m", "port": 9182, "protocol": "TCP"}],
            }, {
                "addresses": [{"ip": "10.0.0.50"}],
                "ports": [{"port": 1, "protocol": "TCP"}, {"name": "x", "port": 2}],
            }],
        }),
        json!({
            "metadata": {"name": "without-service", "namespace": "n"},
            "subsets": [{"addresses": [{"ip": "10.0.0.51"}], "ports": [{"port": 3}]}],
        }),
        json!({"metadata": {"name": "empty", "namespace": "n"}}),
    ]
}

fn slices() -> Vec<Value> {
    let pod = |name: &str| json!({"kind": "Pod", "namespace": "n", "name": name});
    vec![
        json!({
            "metadata": {
                "name": "s-1", "namespace": "n",
                "labels": {"kubernetes.io/service-name": "s", "more": "yes"},
                "annotations": {"a": "b"},
            },
            "addressType": "IPv4",
            "endpoints": [
                {
                    "addresses": ["10.0.0.1"], "hostname": "h", "nodeName": "w1", "zone": "z",
                    "conditions": {"ready": true, "serving": true, "terminating": false},
                    "deprecatedTopology": {"topology.kubernetes.io/zone": "z"},
                    "targetRef": pod("full"),
                },
                {
                    "addresses": ["10.0.0.98", "10.0.0.99"],
                    "conditions": {"ready": false}, "targetRef": pod("unheard-of"),
                },
                {
                    "addresses": ["10.1.0.1"], "conditions": {"ready": true},
                    "targetRef": {"kind": "Node", "name": "w1"},
                },
            ],
            "ports": [
                {"name": "m", "port": 9182, "protocol": "TCP", "appProtocol": "http"},
            ],
        }),
        json!({
            "metadata": {"name": "empty", "namespace": "n"},
            "addressType": "FQDN", "endpoints": [], "ports": [],
        }),
    ]
}

fn ingresses() -> Vec<Value> {
    let path = |path: &str| {
        json!({
            "path": path, "pathType": "Prefix",
            "backend": {"service": {"name": "s", "port": {"number": 80}}},
        })
    };
    vec![
        json!({
            "metadata": {
                "name": "i", "namespace": "n",
                "labels": {"l": "v"}, "annotations": {"cert-manager.io/issuer": "x"},
            },
            "spec": {
                "ingressClassName": "nginx",
                "tls": [{"hosts": ["*.secure.example"]}],
                "rules": [
                    {"host": "a.secure.example", "http": {"paths": [path("/x"), path("/y")]}},
                    {"host": "plain.example", "http": {"paths": [path("")]}},
                    {"host": "a.b.secure.example"},
                ],
            },
        }),
        json!({
            "metadata": {"name": "catch-all", "namespace": "n"},
            "spec": {"tls": [{}], "rules": [{"http": {"paths": [path("/")]}}]},
        }),
    ]
}
