//! Makes a port of the test's own process a Service in the cluster.

use crate::error::Result;
use crate::harness::Context;
use crate::receiver::Receiver;
use rustls::ServerConfig;

impl Context {
    /// Starts a back end in this process that pods reach as `NAME.NAMESPACE.svc:PORT`.
    pub async fn backend(&self, namespace: &str, name: &str, port: u16) -> Result<Receiver> {
        let receiver = Receiver::start(&format!("{}:0", self.cluster.host)).await?;
        self.expose(namespace, name, port, receiver.address().port()).await?;
        Ok(receiver)
    }

    /// The same over https, with this certificate and for these clients.
    pub async fn secured_backend(
        &self,
        namespace: &str,
        name: &str,
        port: u16,
        config: ServerConfig,
    ) -> Result<Receiver> {
        let receiver = Receiver::secured(&format!("{}:0", self.cluster.host), config).await?;
        self.expose(namespace, name, port, receiver.address().port()).await?;
        Ok(receiver)
    }

    /// Makes `NAME.NAMESPACE.svc:PORT` lead to a port of this machine. A second call moves it.
    pub async fn expose(&self, namespace: &str, name: &str, port: u16, to: u16) -> Result<()> {
        let manifests = manifests(name, port, &self.cluster.host, to);
        self.kubectl.apply(namespace, &manifests).await.map(drop)
    }
}

fn manifests(name: &str, port: u16, host: &str, to: u16) -> String {
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  ports: [{{name: http, port: {port}, protocol: TCP}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}
  labels: {{kubernetes.io/service-name: {name}}}
addressType: IPv4
endpoints: [{{addresses: ['{host}'], conditions: {{ready: true}}}}]
ports: [{{name: http, port: {to}, protocol: TCP}}]
"
    )
}
