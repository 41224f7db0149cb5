//! The objects of Kubernetes' API, with what targets are made of and nothing else.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::world::{Objects, World};

/// A namespace (empty for what has none) and a name.
pub(super) type Key = (String, String);

/// What the API lists and watches.
pub(super) trait Object: DeserializeOwned + PartialEq + Send + 'static {
    /// Its API group; the first one has no name.
    const GROUP: &'static str;
    /// Its name in paths.
    const RESOURCE: &'static str;
    fn meta(&self) -> &Meta;
    fn meta_mut(&mut self) -> &mut Meta;
    /// The objects of its kind.
    fn among(world: &mut World) -> &mut Objects<Self>;

    fn key(&self) -> Key {
        (self.meta().namespace.clone(), self.meta().name.clone())
    }
}

/// Reads null as nothing, as Go does.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Meta {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    pub(super) resource_version: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) owner_references: Vec<Owner>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Owner {
    pub(super) kind: String,
    pub(super) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) controller: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Pod {
    pub(super) metadata: Meta,
    pub(super) spec: PodSpec,
    pub(super) status: PodStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodSpec {
    pub(super) node_name: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    pub(super) init_containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) ports: Vec<ContainerPort>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct ContainerPort {
    pub(super) name: String,
    #[serde(rename = "containerPort")]
    pub(super) number: u16,
    pub(super) protocol: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodStatus {
    pub(super) phase: String,
    #[serde(rename = "podIP")]
    pub(super) pod_ip: String,
    #[serde(rename = "hostIP")]
    pub(super) host_ip: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) conditions: Vec<Condition>,
    #[serde(deserialize_with = "or_default")]
    pub(super) container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "or_default")]
    pub(super) init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct ContainerStatus {
    pub(super) name: String,
    #[serde(rename = "containerID")]
    pub(super) id: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Node {
    pub(super) metadata: Meta,
    pub(super) spec: NodeSpec,
    pub(super) status: NodeStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct NodeSpec {
    #[serde(rename = "providerID")]
    pub(super) provider_id: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct NodeStatus {
    #[serde(deserialize_with = "or_default")]
    pub(super) addresses: Vec<NodeAddress>,
    pub(super) daemon_endpoints: DaemonEndpoints,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct NodeAddress {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) address: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DaemonEndpoints {
    pub(super) kubelet_endpoint: KubeletEndpoint,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct KubeletEndpoint {
    #[serde(rename = "Port")]
    pub(super) port: u16,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Namespace {
    pub(super) metadata: Meta,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Service {
    pub(super) metadata: Meta,
    pub(super) spec: ServiceSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceSpec {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(rename = "clusterIP")]
    pub(super) cluster_ip: String,
    pub(super) external_name: String,
    #[serde(rename = "loadBalancerIP")]
    pub(super) load_balancer_ip: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) ports: Vec<NamedPort>,
}

/// A port of a service or of endpoints.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct NamedPort {
    pub(super) name: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) protocol: Option<String>,
    pub(super) app_protocol: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Endpoints {
    pub(super) metadata: Meta,
    #[serde(deserialize_with = "or_default")]
    pub(super) subsets: Vec<Subset>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Subset {
    #[serde(deserialize_with = "or_default")]
    pub(super) addresses: Vec<EndpointAddress>,
    #[serde(deserialize_with = "or_default")]
    pub(super) not_ready_addresses: Vec<EndpointAddress>,
    #[serde(deserialize_with = "or_default")]
    pub(super) ports: Vec<NamedPort>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct EndpointAddress {
    pub(super) ip: String,
    pub(super) hostname: String,
    pub(super) node_name: Option<String>,
    pub(super) target_ref: Option<Reference>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Reference {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct EndpointSlice {
    pub(super) metadata: Meta,
    pub(super) address_type: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) endpoints: Vec<SliceEndpoint>,
    #[serde(deserialize_with = "or_default")]
    pub(super) ports: Vec<NamedPort>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SliceEndpoint {
    #[serde(deserialize_with = "or_default")]
    pub(super) addresses: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) conditions: SliceConditions,
    pub(super) hostname: Option<String>,
    pub(super) node_name: Option<String>,
    pub(super) zone: Option<String>,
    pub(super) target_ref: Option<Reference>,
    #[serde(deserialize_with = "or_default")]
    pub(super) deprecated_topology: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct SliceConditions {
    pub(super) ready: Option<bool>,
    pub(super) serving: Option<bool>,
    pub(super) terminating: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Ingress {
    pub(super) metadata: Meta,
    pub(super) spec: IngressSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct IngressSpec {
    pub(super) ingress_class_name: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) tls: Vec<IngressTls>,
    #[serde(deserialize_with = "or_default")]
    pub(super) rules: Vec<IngressRule>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct IngressTls {
    #[serde(deserialize_with = "or_default")]
    pub(super) hosts: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct IngressRule {
    pub(super) host: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) http: IngressHttp,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct IngressHttp {
    #[serde(deserialize_with = "or_default")]
    pub(super) paths: Vec<IngressPath>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct IngressPath {
    pub(super) path: String,
}
