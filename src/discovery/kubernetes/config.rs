//! `kubernetes_sd_configs` in Prometheus' keys.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::http::client::{BesideClient, ClientConfig, beside_client};
use crate::settings::HttpUrl;

/// An entry of `kubernetes_sd_configs`, beside the keys of its HTTP client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubernetesConfig {
    /// The API server; without it and without `kubeconfig_file` the one of the cluster that
    /// promrelay runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_server: Option<HttpUrl>,
    /// What becomes a target.
    pub role: Role,
    /// A file that says where the API server is and as whom to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig_file: Option<PathBuf>,
    /// Where to look.
    #[serde(default)]
    pub namespaces: Namespaces,
    /// Which objects to look at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub selectors: Vec<Selector>,
    /// What else targets are labelled with.
    #[serde(default)]
    pub attach_metadata: AttachMetadata,
}

/// What becomes a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Each port of each container.
    Pod,
    /// Each node's kubelet.
    Node,
    /// Each port of each service.
    Service,
    /// Each address and port behind a service.
    Endpoints,
    /// The same, by the newer objects.
    EndpointSlice,
    /// Each path of each ingress.
    Ingress,
}

/// `namespaces`; all of them if it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Namespaces {
    /// Whether the one that promrelay runs in is among them.
    pub own_namespace: bool,
    /// The others.
    pub names: Vec<String>,
}

/// An entry of `selectors`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// Which objects are selected among.
    pub role: Role,
    /// By their labels.
    #[serde(default)]
    pub label: String,
    /// By their fields.
    #[serde(default)]
    pub field: String,
}

/// `attach_metadata`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttachMetadata {
    /// The node's labels, for the roles pod, endpoints and endpointslice.
    pub node: bool,
    /// The namespace's labels, for all roles but node.
    pub namespace: bool,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Node => "node",
            Self::Service => "service",
            Self::Endpoints => "endpoints",
            Self::EndpointSlice => "endpointslice",
            Self::Ingress => "ingress",
        }
    }

    /// The roles whose objects can be selected among.
    fn selectable(self) -> &'static [Self] {
        match self {
            Self::Pod => &[Self::Pod],
            Self::Node => &[Self::Node],
            Self::Service => &[Self::Service],
            Self::Endpoints => &[Self::Pod, Self::Service, Self::Endpoints],
            Self::EndpointSlice => &[Self::Pod, Self::Service, Self::EndpointSlice],
            Self::Ingress => &[Self::Ingress],
        }
    }
}

impl BesideClient for KubernetesConfig {
    const NAME: &'static str = "KubernetesConfig";
    const KEYS: &'static [&'static str] = &beside_client::<6, 19>([
        "api_server",
        "role",
        "kubeconfig_file",
        "namespaces",
        "selectors",
        "attach_metadata",
    ]);

    fn check(&self, client: &ClientConfig) -> Result<(), String> {
        let (server, file) = (self.api_server.is_some(), self.kubeconfig_file.is_some());
        let own = self.namespaces.own_namespace;
        let custom = *client != ClientConfig::default();
        let wrong = [
            (
                file && server,
                "cannot use 'kubeconfig_file' and 'api_server' simultaneously",
            ),
            (
                file && custom,
                "cannot use a custom HTTP client configuration together with 'kubeconfig_file'",
            ),
            (
                !file && !server && custom,
                "to use custom HTTP client configuration please provide the 'api_server' URL \
                 explicitly",
            ),
            (
                server && own,
                "cannot use 'api_server' and 'namespaces.own_namespace' simultaneously",
            ),
            (
                file && own,
                "cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously",
            ),
        ];
        if let Some((_, message)) = wrong.into_iter().find(|(wrong, _)| *wrong) {
            return Err(message.to_owned());
        }
        for (index, selector) in self.selectors.iter().enumerate() {
            let role = selector.role.name();
            if self
                .selectors
                .iter()
                .take(index)
                .any(|other| other.role == selector.role)
            {
                return Err(format!("duplicated selector role: {role}"));
            }
            let selectable = self.role.selectable();
            if !selectable.contains(&selector.role) {
                let names: Vec<_> = selectable.iter().map(|role| role.name()).collect();
                return Err(format!(
                    "{} role supports only {} selectors",
                    self.role.name(),
                    names.join(", ")
                ));
            }
        }
        Ok(())
    }
}
