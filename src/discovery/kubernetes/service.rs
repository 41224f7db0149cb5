//! Services and ingresses as targets.

use super::meta::{self, set, set_some};
use super::objects::{Ingress, Object as _, Service};
use crate::discovery::{ADDRESS, Labels, TargetGroup, host_port};

/// What the targets of a service have, whatever role they were found by.
pub(super) fn add_service(labels: &mut Labels, service: &Service) {
    set(labels, "namespace", &service.meta().namespace);
    meta::add_object(labels, "service", service.meta());
}

/// The ports of a service.
pub(super) fn group_of_service(service: &Service) -> TargetGroup {
    let (mut group, spec) = (TargetGroup::default(), &service.spec);
    add_service(&mut group.labels, service);
    let host = format!("{}.{}.svc", service.meta().name, service.meta().namespace);
    for port in &spec.ports {
        let number = port.port.unwrap_or_default();
        let mut target = Labels::from([(ADDRESS.to_owned(), host_port(&host, number))]);
        set(
            &mut target,
            "service_port_name",
            port.name.clone().unwrap_or_default(),
        );
        set(&mut target, "service_port_number", number.to_string());
        set(
            &mut target,
            "service_port_protocol",
            port.protocol.clone().unwrap_or_default(),
        );
        set(&mut target, "service_type", &spec.kind);
        match spec.kind.as_str() {
            "ExternalName" => set(&mut target, "service_external_name", &spec.external_name),
            _ => set(&mut target, "service_cluster_ip", &spec.cluster_ip),
        }
        if spec.kind == "LoadBalancer" {
            set(
                &mut target,
                "service_loadbalancer_ip",
                &spec.load_balancer_ip,
            );
        }
        group.targets.push(target);
    }
    group
}

/// The paths of an ingress.
pub(super) fn group_of_ingress(ingress: &Ingress) -> TargetGroup {
    let mut group = TargetGroup::default();
    set(&mut group.labels, "namespace", &ingress.meta().namespace);
    let class = ingress.spec.ingress_class_name.as_ref();
    set_some(&mut group.labels, "ingress_class_name", class);
    meta::add_object(&mut group.labels, "ingress", ingress.meta());
    let secured = |host: &str| {
        let mut patterns = ingress.spec.tls.iter().flat_map(|tls| &tls.hosts);
        patterns.any(|pattern| matches_host(pattern, host))
    };
    for rule in &ingress.spec.rules {
        let scheme = if secured(&rule.host) { "https" } else { "http" };
        let given = rule.http.paths.iter().map(|path| match path.path.as_str() {
            "" => "/",
            path => path,
        });
        let mut paths: Vec<&str> = given.collect();
        if paths.is_empty() {
            paths.push("/");
        }
        for path in paths {
            let mut target = Labels::from([(ADDRESS.to_owned(), rule.host.clone())]);
            set(&mut target, "ingress_scheme", scheme);
            set(&mut target, "ingress_host", &rule.host);
            set(&mut target, "ingress_path", path);
            group.targets.push(target);
        }
    }
    group
}

/// Whether `host` is `pattern`, whose first label may be `*`.
fn matches_host(pattern: &str, host: &str) -> bool {
    if pattern == host {
        return true;
    }
    let Some(rest) = pattern.strip_prefix("*.") else {
        return false;
    };
    host.split_once('.')
        .is_some_and(|(first, after)| !first.is_empty() && after == rest)
}
