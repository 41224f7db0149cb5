//! Where the API has which objects, and where they stand in the picture of the cluster.

use super::objects::{
    EndpointSlice, Endpoints, Ingress, Meta, Namespace, Node, Object, Pod, Service,
};
use super::world::{Objects, World};

impl Object for Pod {
    const GROUP: &'static str = "";
    const RESOURCE: &'static str = "pods";

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.metadata
    }

    fn among(world: &mut World) -> &mut Objects<Self> {
        &mut world.pods
    }
}

impl Object for Node {
    const GROUP: &'static str = "";
    const RESOURCE: &'static str = "nodes";

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.metadata
    }

    fn among(world: &mut World) -> &mut Objects<Self> {
        &mut world.nodes
    }
}

impl Object for Namespace {
    const GROUP: &'static str = "";
    const RESOURCE: &'static str = "namespaces";

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.metadata
    }

    fn among(world: &mut World) -> &mut Objects<Self> {
        &mut world.namespaces
    }
}

impl Object for Service {
    const GROUP: &'static str = "";
    const RESOURCE: &'static str = "services";

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.metadata
    }

    fn among(world: &mut World) -> &mut Objects<Self> {
        &mut world.services
    }
}

impl Object for Endpoints {
    const GROUP: &'static str = "";
    const RESOURCE: &'static str = "endpoints";

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.metadata
    }

    fn among(world: &mut World) -> &mut Objects<Self> {
        &mut world.endpoints
    }
}

impl Object for EndpointSlice {
    const GROUP: &'static str = "discovery.k8s.io";
    const RESOURCE: &'static str = "endpointslices";

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.metadata
    }

    fn among(world: &mut World) -> &mut Objects<Self> {
        &mut world.slices
    }
}

impl Object for Ingress {
    const GROUP: &'static str = "networking.k8s.io";
    const RESOURCE: &'static str = "ingresses";

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.metadata
    }

    fn among(world: &mut World) -> &mut Objects<Self> {
        &mut world.ingresses
    }
}
