//! Where the API server is, and as whom to come: in the cluster, by URL, or by a kubeconfig file.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use thiserror::Error;

use super::config::KubernetesConfig;
use crate::http::client::{Authorization, BasicAuth, BuildError, Client, ClientConfig, WithClient};
use crate::settings::{HttpUrl, Secret};

/// Where a pod finds what it may do.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Why the API server of an entry cannot be reached at all.
#[derive(Debug, Error)]
pub enum KubernetesError {
    /// There is nothing that says where the API server is.
    #[error(
        "not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set; \
         write api_server or kubeconfig_file"
    )]
    NotInCluster,
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A kubeconfig file is none.
    #[error("cannot understand {path}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_yaml::Error,
    },
    /// A kubeconfig file has no such entry, or one that is of no use.
    #[error("{path}: {message}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is missing or wrong.
        message: String,
    },
    /// The HTTP client.
    #[error("cannot set up the client of the API server")]
    Client(#[from] BuildError),
}

/// The API server.
#[derive(Debug)]
pub(super) struct Access {
    /// Without a slash at the end.
    pub(super) url: String,
    pub(super) client: Client,
    /// The namespace of promrelay itself, if it runs in the cluster.
    pub(super) own_namespace: Option<String>,
}

impl Access {
    pub(super) fn new(
        config: &WithClient<KubernetesConfig>,
        base: &Path,
    ) -> Result<Self, KubernetesError> {
        let (url, client, own_namespace) = match &config.own {
            KubernetesConfig {
                api_server: Some(url),
                ..
            } => (url.as_str().to_owned(), config.client.build(base)?, None),
            KubernetesConfig {
                kubeconfig_file: Some(path),
                ..
            } => {
                let path = base.join(path);
                let (url, client) = of_kubeconfig(&path)?;
                let directory = path.parent().unwrap_or(Path::new(""));
                (url, client.build(directory)?, None)
            }
            own => in_cluster(own)?,
        };
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self {
            url,
            client,
            own_namespace,
        })
    }
}

fn in_cluster(
    config: &KubernetesConfig,
) -> Result<(String, Client, Option<String>), KubernetesError> {
    let wants_namespace = config.namespaces.own_namespace;
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(host), Some(port)) = (
        variable("KUBERNETES_SERVICE_HOST"),
        variable("KUBERNETES_SERVICE_PORT"),
    ) else {
        return Err(KubernetesError::NotInCluster);
    };
    let account = Path::new(ACCOUNT);
    let mut client = ClientConfig {
        authorization: Some(Authorization {
            credentials_file: Some(account.join("token")),
            ..Authorization::default()
        }),
        ..ClientConfig::default()
    };
    client.tls_config.ca_file = Some(account.join("ca.crt"));
    let namespace = match read(&account.join("namespace")) {
        Err(error) if wants_namespace => return Err(error),
        namespace => namespace.ok(),
    };
    let url = format!("https://{}", crate::discovery::host_port(&host, port));
    Ok((
        url,
        client.build(account)?,
        namespace.map(|name| name.trim().to_owned()),
    ))
}

fn read(path: &Path) -> Result<String, KubernetesError> {
    std::fs::read_to_string(path).map_err(|source| KubernetesError::Read {
        path: path.to_owned(),
        source,
    })
}

/// A kubeconfig file; what else it says is for others.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Kubeconfig {
    current_context: String,
    clusters: Vec<Named>,
    users: Vec<Named>,
    contexts: Vec<Named>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
    cluster: Server,
    user: User,
    context: Context,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Server {
    #[serde(rename = "server")]
    url: String,
    tls_server_name: String,
    insecure_skip_tls_verify: bool,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    proxy_url: Option<HttpUrl>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct User {
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<Secret>,
    token: Option<Secret>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    username: Option<String>,
    password: Option<Secret>,
    exec: Option<serde_yaml::Value>,
    auth_provider: Option<serde_yaml::Value>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Context {
    cluster: String,
    user: String,
}

fn of_kubeconfig(path: &Path) -> Result<(String, ClientConfig), KubernetesError> {
    let text = read(path)?;
    let parsed = serde_yaml::from_str::<Kubeconfig>(&text);
    let file = parsed.map_err(|source| KubernetesError::Parse {
        path: path.to_owned(),
        source,
    })?;
    let wrong = |message| KubernetesError::Kubeconfig {
        path: path.to_owned(),
        message,
    };
    let by_name = |list: Vec<Named>| -> BTreeMap<String, Named> {
        list.into_iter()
            .map(|named| (named.name.clone(), named))
            .collect()
    };
    let name = &file.current_context;
    let context = by_name(file.contexts).remove(name);
    let context = context
        .ok_or_else(|| wrong(format!("there is no context {name:?}")))?
        .context;
    let name = &context.cluster;
    let cluster = by_name(file.clusters).remove(name);
    let cluster = cluster
        .ok_or_else(|| wrong(format!("there is no cluster {name:?}")))?
        .cluster;
    let user = by_name(file.users)
        .remove(&context.user)
        .unwrap_or_default()
        .user;
    if user.exec.is_some() || user.auth_provider.is_some() {
        let message = "credentials by `exec` or `auth-provider` are not supported yet: use a \
                       token or a certificate";
        return Err(wrong(message.to_owned()));
    }
    if let Err(error) = HttpUrl::parse(&cluster.url) {
        return Err(wrong(format!("server: {error}")));
    }
    let client = client(&cluster, user).map_err(wrong)?;
    Ok((cluster.url, client))
}

fn client(cluster: &Server, user: User) -> Result<ClientConfig, String> {
    let mut config = ClientConfig {
        proxy_url: cluster.proxy_url.clone(),
        ..Default::default()
    };
    let tls = &mut config.tls_config;
    tls.server_name.clone_from(&cluster.tls_server_name);
    tls.insecure_skip_verify = cluster.insecure_skip_tls_verify;
    // As in client-go, data wins over files.
    match &cluster.certificate_authority_data {
        Some(data) => tls.ca = Some(pem(data, "certificate-authority-data")?),
        None => tls.ca_file.clone_from(&cluster.certificate_authority),
    }
    match &user.client_certificate_data {
        Some(data) => tls.cert = Some(pem(data, "client-certificate-data")?),
        None => tls.cert_file = user.client_certificate,
    }
    match &user.client_key_data {
        Some(data) => tls.key = Some(pem(data.reveal(), "client-key-data")?.into()),
        None => tls.key_file = user.client_key,
    }
    if user.token.is_some() || user.token_file.is_some() {
        // The file wins, since it can change.
        let credentials = user.token.filter(|_| user.token_file.is_none());
        config.authorization = Some(Authorization {
            credentials,
            credentials_file: user.token_file,
            ..Authorization::default()
        });
    } else if let Some(username) = user.username {
        config.basic_auth = Some(BasicAuth {
            username,
            password: user.password,
            ..BasicAuth::default()
        });
    }
    Ok(config)
}

fn pem(data: &str, key: &str) -> Result<String, String> {
    let decoded = STANDARD.decode(data.trim()).ok();
    let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| format!("{key} is not PEM in base64"))
}
