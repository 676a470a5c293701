//! The program that a user would write in Rust: it publishes the document that Poolwarden publishes (docs/contract.md), with
//! kube-rs as its guide has it. For each Service that names a pool, the ready pods of that pool go into the ConfigMap
//! <pool>-endpoints. Nothing beside that document is written. The library has no election, so this runs alone.

mod document;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use document::{Endpoint, EndpointSet, Port};
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, Service};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::PostParams;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Controller, WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};

const WORKERS: u16 = 4;
const POOL_LABEL: &str = "poolwarden.io/pool";
const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
const REVISION: &str = "poolwarden.io/revision";
const PODS_VERSION: &str = "poolwarden.io/pods-resource-version";
const TRIGGERED: &str = "endpoints.kubernetes.io/last-change-trigger-time";
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

struct Context {
    client: Client,
    pods: Store<Pod>,
    nodes: Store<Node>,
    lists: Store<ConfigMap>,
}

#[tokio::main]
async fn main() -> Result<(), kube::Error> {
    let client = Client::try_default().await?;
    let (pods, pods_writer) = reflector::store();
    let (nodes, nodes_writer) = reflector::store();
    let (lists, lists_writer) = reflector::store();
    let pod_events = watcher(Api::<Pod>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .modify(|pod| pod.managed_fields_mut().clear())
        .reflect(pods_writer)
        .touched_objects();
    let list_events = watcher(Api::<ConfigMap>::all(client.clone()), watcher::Config::default().labels(POOL_LABEL))
        .default_backoff()
        .modify(|list| list.managed_fields_mut().clear())
        .reflect(lists_writer)
        .touched_objects();
    let node_events = watcher(Api::<Node>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .modify(|node| node.managed_fields_mut().clear())
        .reflect(nodes_writer)
        .touched_objects();
    tokio::spawn(node_events.for_each(|_| std::future::ready(())));
    let services = Api::<Service>::all(client.clone());
    let context = Arc::new(Context { client, pods, nodes, lists });
    Controller::new(services, watcher::Config::default().labels(POOL_LABEL))
        .with_config(Config::default().concurrency(WORKERS))
        .owns_stream(list_events)
        .watches_stream(pod_events, pool_of)
        .shutdown_on_signal()
        .run(reconcile, retry, context)
        .for_each(|result| async move {
            if let Err(error) = result {
                eprintln!("{error}");
            }
        })
        .await;
    Ok(())
}

/// A pod's pool is its label "app", which is what the Service of that name selects.
fn pool_of(pod: Pod) -> Option<ObjectRef<Service>> {
    let pool = pod.labels().get("app")?;
    Some(ObjectRef::new(pool).within(pod.namespace().as_deref()?))
}

/// Whether the first list of that kind is in the store.
fn is_read<K: Resource + Clone + 'static>(store: &Store<K>) -> bool
where
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    store.wait_until_ready().now_or_never().is_some_and(|known| known.is_ok())
}

fn retry(_: Arc<Service>, _: &kube::Error, _: Arc<Context>) -> Action {
    Action::requeue(Duration::from_millis(5))
}

/// Makes the list of one pool what its pods say, with at most one write.
async fn reconcile(service: Arc<Service>, context: Arc<Context>) -> Result<Action, kube::Error> {
    // The library waits for the Services only. A pool that is seen before its pods would be published empty. To wait for
    // them here would keep a worker, and while all workers wait the library reads no pods.
    if !is_read(&context.pods) || !is_read(&context.nodes) || !is_read(&context.lists) {
        return Ok(Action::requeue(Duration::from_millis(5)));
    }
    let (namespace, pool) = (service.namespace().unwrap_or_default(), service.name_any());
    let pods = context
        .pods
        .state_filter(|pod| pod.labels().get("app") == Some(&pool) && pod.namespace().as_deref() == Some(&namespace));
    let mut set = endpoint_set(&context, &service, &namespace, &pool, &pods);
    let name = format!("{pool}-endpoints");
    let list = context.lists.get(&ObjectRef::new(&name).within(&namespace));
    let revision = list.as_deref().and_then(revision_of).unwrap_or(0);
    set.revision = revision;
    if list.as_ref().is_some_and(|list| list.data.as_ref() == Some(&set.data())) {
        return Ok(Action::await_change());
    }
    set.revision = revision + 1;
    let api = Api::<ConfigMap>::namespaced(context.client.clone(), &namespace);
    let wanted = worded(list.as_deref(), &service, &name, &set, newest_version(&pods));
    match list {
        Some(_) => api.replace(&name, &PostParams::default(), &wanted).await?,
        None => api.create(&PostParams::default(), &wanted).await?,
    };
    Ok(Action::await_change())
}

fn endpoint_set(context: &Context, service: &Service, namespace: &str, pool: &str, pods: &[Arc<Pod>]) -> EndpointSet {
    let ports = ports_of(service);
    let mut endpoints: Vec<Endpoint> = pods
        .iter()
        .filter_map(|pod| {
            let node = pod.spec.as_ref()?.node_name.clone()?;
            let zone =
                context.nodes.get(&ObjectRef::new(&node)).and_then(|node| node.labels().get(ZONE_LABEL).cloned());
            document::endpoint(pod, node, ports.clone(), zone)
        })
        .collect();
    endpoints.sort_by(|a, b| a.pod.cmp(&b.pod));
    EndpointSet::new(namespace, pool, endpoints)
}

/// The list as it is to be; what others have put into its metadata stays.
fn worded(list: Option<&ConfigMap>, service: &Service, name: &str, set: &EndpointSet, pods_version: u64) -> ConfigMap {
    let mut wanted = list.cloned().unwrap_or_default();
    if list.is_none() {
        wanted.metadata.name = Some(name.to_owned());
        wanted.metadata.namespace = service.namespace();
        wanted.metadata.owner_references = Some(service.controller_owner_ref(&()).into_iter().collect());
    }
    wanted.labels_mut().extend(text([(POOL_LABEL, &service.name_any()), (MANAGED_BY_LABEL, "peer-rust")]));
    wanted.annotations_mut().extend(text([
        (REVISION, &set.revision.to_string()),
        (PODS_VERSION, &pods_version.to_string()),
        (TRIGGERED, &jiff::Timestamp::now().to_string()),
    ]));
    wanted.data = Some(set.data());
    wanted
}

fn text<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn revision_of(list: &ConfigMap) -> Option<i64> {
    list.annotations().get(REVISION)?.parse().ok()
}

fn newest_version(pods: &[Arc<Pod>]) -> u64 {
    pods.iter().filter_map(|pod| pod.resource_version()?.parse().ok()).max().unwrap_or(0)
}

fn ports_of(service: &Service) -> Vec<Port> {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    ports
        .iter()
        .filter_map(|port| match port.target_port {
            Some(IntOrString::Int(number)) => Some(Port { name: port.name.clone(), number }),
            _ => None,
        })
        .collect()
}
