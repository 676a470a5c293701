//! The list: docs/contract.md, "The list".

use std::collections::BTreeMap;
use std::fmt::Write;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde::Serialize;

pub const JSON_KEY: &str = "endpoints.json";
pub const TEXT_KEY: &str = "endpoints.txt";

// The fields are in the order of their keys: the document is canonical.
#[derive(Clone, Serialize)]
pub struct Port {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub number: i32,
}

#[derive(Serialize)]
pub struct Endpoint {
    pub ip: String,
    pub node: String,
    pub pod: String,
    pub ports: Vec<Port>,
    pub state: &'static str,
    pub uid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

#[derive(Serialize)]
pub struct EndpointSet {
    #[serde(rename = "apiVersion")]
    pub api_version: &'static str,
    pub endpoints: Vec<Endpoint>,
    pub kind: &'static str,
    pub namespace: String,
    pub pool: String,
    pub revision: i64,
}

impl EndpointSet {
    pub fn new(namespace: &str, pool: &str, endpoints: Vec<Endpoint>) -> Self {
        Self {
            api_version: "poolwarden.io/v1alpha1",
            endpoints,
            kind: "EndpointSet",
            namespace: namespace.to_owned(),
            pool: pool.to_owned(),
            revision: 0,
        }
    }

    /// The ConfigMap's.
    pub fn data(&self) -> BTreeMap<String, String> {
        let mut document = serde_json::to_string(self).expect("it is made of text and numbers");
        document.push('\n');
        let mut lines = String::new();
        for endpoint in &self.endpoints {
            for port in &endpoint.ports {
                let host = if endpoint.ip.contains(':') { format!("[{}]", endpoint.ip) } else { endpoint.ip.clone() };
                writeln!(lines, "{host}:{}", port.number).expect("memory takes what is written to it");
            }
        }
        BTreeMap::from([(JSON_KEY.to_owned(), document), (TEXT_KEY.to_owned(), lines)])
    }
}

/// Nothing for a pod that is not ready.
pub fn endpoint(pod: &Pod, node: String, ports: Vec<Port>, zone: Option<String>) -> Option<Endpoint> {
    let status = pod.status.as_ref()?;
    let ready =
        status.conditions.iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    if !ready || pod.metadata.deletion_timestamp.is_some() || status.phase.as_deref() != Some("Running") {
        return None;
    }
    let ip = status.pod_ip.clone().filter(|ip| !ip.is_empty())?;
    Some(Endpoint { ip, node, pod: pod.name_any(), ports, state: "ready", uid: pod.uid()?, zone })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(status: serde_json::Value) -> Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": "vllm-a", "uid": "6f0b"}, "spec": {"containers": []}, "status": status}))
        .expect("a pod")
    }

    fn made(pod: &Pod) -> Option<Endpoint> {
        endpoint(pod, "node-1".to_owned(), vec![Port { name: None, number: 8000 }], None)
    }

    #[test]
    fn document_is_that_of_the_contract() {
        let ready = pod(serde_json::json!({
            "phase": "Running", "podIP": "10.0.0.7", "conditions": [{"type": "Ready", "status": "True"}]}));
        let mut set = EndpointSet::new("default", "vllm", made(&ready).into_iter().collect());
        set.revision = 12;
        assert_eq!(
            set.data()[JSON_KEY],
            concat!(
                r#"{"apiVersion":"poolwarden.io/v1alpha1","endpoints":[{"ip":"10.0.0.7","node":"node-1","pod":"vllm-a","#,
                r#""ports":[{"number":8000}],"state":"ready","uid":"6f0b"}],"#,
                r#""kind":"EndpointSet","namespace":"default","pool":"vllm","revision":12}"#,
                "\n"
            )
        );
        assert_eq!(set.data()[TEXT_KEY], "10.0.0.7:8000\n");
    }

    #[test]
    fn pod_that_is_not_ready_is_no_endpoint() {
        for status in [
            serde_json::json!({"phase": "Running", "podIP": "10.0.0.7"}),
            serde_json::json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}),
            serde_json::json!({
                "phase": "Failed", "podIP": "10.0.0.7", "conditions": [{"type": "Ready", "status": "True"}]}),
        ] {
            assert!(made(&pod(status)).is_none());
        }
    }
}
