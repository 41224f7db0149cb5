//! What is known of the cluster, and the target groups that it makes.

use std::collections::{BTreeMap, BTreeSet};

use super::config::{AttachMetadata, Role};
use super::endpoints::{group_of_endpoints, group_of_slice};
use super::meta;
use super::objects::{
    EndpointSlice, Endpoints, Ingress, Key, Namespace, Node, Object, Pod, Reference, Service,
};
use super::pod::{group_of_node, group_of_pod};
use super::service::{group_of_ingress, group_of_service};
use super::watch::Event;
use crate::discovery::{Labels, TargetGroup};

/// Objects of one kind.
pub(super) type Objects<T> = BTreeMap<Key, T>;

/// The objects that targets are made of.
#[derive(Default)]
pub(super) struct World {
    pub(super) pods: Objects<Pod>,
    pub(super) nodes: Objects<Node>,
    pub(super) namespaces: Objects<Namespace>,
    pub(super) services: Objects<Service>,
    pub(super) endpoints: Objects<Endpoints>,
    pub(super) slices: Objects<EndpointSlice>,
    pub(super) ingresses: Objects<Ingress>,
}

/// What stands around an object: others, whose labels its targets get.
#[derive(Clone, Copy)]
pub(super) struct Around<'w> {
    world: &'w World,
    attach: AttachMetadata,
}

/// Objects that changed.
#[derive(Default)]
pub(super) struct Changes(pub(super) BTreeSet<Key>);

/// Puts what a watcher says of the namespace `within` (all, if none) among `objects`; notes which
/// of them are not as they were.
pub(super) fn apply<T: Object>(
    objects: &mut Objects<T>,
    event: Event<T>,
    within: Option<&str>,
    changes: &mut Changes,
) {
    match event {
        Event::All(all) => {
            let all: Objects<T> = all
                .into_iter()
                .map(|object| (object.key(), object))
                .collect();
            let here = |key: &Key| within.is_none_or(|namespace| key.0 == namespace);
            let gone: Vec<Key> = objects
                .keys()
                .filter(|key| here(key) && !all.contains_key(key))
                .cloned()
                .collect();
            for key in gone {
                objects.remove(&key);
                changes.0.insert(key);
            }
            for object in all.into_values() {
                put(objects, object, changes);
            }
        }
        Event::Put(object) => put(objects, object, changes),
        Event::Gone(key) => {
            if objects.remove(&key).is_some() {
                changes.0.insert(key);
            }
        }
        Event::Failed(_) => {}
    }
}

fn put<T: Object>(objects: &mut Objects<T>, object: T, changes: &mut Changes) {
    let key = object.key();
    if objects.get(&key) != Some(&object) {
        objects.insert(key.clone(), object);
        changes.0.insert(key);
    }
}

impl World {
    /// The keys of all objects that the role makes targets of.
    pub(super) fn keys(&self, role: Role) -> Vec<Key> {
        match role {
            Role::Pod => self.pods.keys().cloned().collect(),
            Role::Node => self.nodes.keys().cloned().collect(),
            Role::Service => self.services.keys().cloned().collect(),
            Role::Endpoints => self.endpoints.keys().cloned().collect(),
            Role::EndpointSlice => self.slices.keys().cloned().collect(),
            Role::Ingress => self.ingresses.keys().cloned().collect(),
        }
    }

    /// The target group of one object, if it is there.
    pub(super) fn group(
        &self,
        role: Role,
        key: &Key,
        attach: AttachMetadata,
    ) -> Option<TargetGroup> {
        let around = Around {
            world: self,
            attach,
        };
        let mut group = match role {
            Role::Pod => self.pods.get(key).map(|pod| {
                let mut group = group_of_pod(pod);
                around.add_node(&mut group.labels, Some(&pod.spec.node_name));
                group
            }),
            Role::Node => self.nodes.get(key).map(group_of_node),
            Role::Service => self.services.get(key).map(group_of_service),
            Role::Endpoints => self
                .endpoints
                .get(key)
                .map(|e| group_of_endpoints(e, around)),
            Role::EndpointSlice => self
                .slices
                .get(key)
                .map(|slice| group_of_slice(slice, around)),
            Role::Ingress => self.ingresses.get(key).map(group_of_ingress),
        }?;
        if attach.namespace
            && role != Role::Node
            && let Some(namespace) = self.namespaces.get(&(String::new(), key.0.clone()))
        {
            meta::add_namespace(&mut group.labels, namespace);
        }
        group.source = source(role, key);
        Some(group)
    }
}

impl<'w> Around<'w> {
    pub(super) fn service(self, key: &Key) -> Option<&'w Service> {
        self.world.services.get(key)
    }

    /// The pod that a reference is to.
    pub(super) fn pod_of(self, reference: Option<&Reference>) -> Option<&'w Pod> {
        let reference = reference.filter(|reference| reference.kind == "Pod")?;
        self.world
            .pods
            .get(&(reference.namespace.clone(), reference.name.clone()))
    }

    /// The labels of the node, if they are wanted.
    pub(super) fn add_node(self, labels: &mut Labels, name: Option<&str>) {
        if let Some(name) = name.filter(|_| self.attach.node)
            && let Some(node) = self.world.nodes.get(&(String::new(), name.to_owned()))
        {
            meta::add_node(labels, node);
        }
    }
}

/// What an object's group is called.
pub(super) fn source(role: Role, (namespace, name): &Key) -> String {
    match role {
        Role::Pod => format!("pod/{namespace}/{name}"),
        Role::Node => format!("node/{name}"),
        Role::Service => format!("svc/{namespace}/{name}"),
        Role::Endpoints => format!("endpoints/{namespace}/{name}"),
        Role::EndpointSlice => format!("endpointslice/{namespace}/{name}"),
        Role::Ingress => format!("ingress/{namespace}/{name}"),
    }
}
