//! The cluster's certificate authority, the certificates of its servers and clients, and the clients' kubeconfigs.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::cluster::layout::API_SERVICE;
use crate::cluster::{Layout, NODES};
use crate::error::Result;
use crate::tools::paths::write;

type Authority = CertifiedIssuer<'static, KeyPair>;

/// Somebody who speaks to the API server.
#[derive(Debug)]
pub struct Client {
    /// The name of its files.
    pub file: String,
    user: String,
    group: Option<&'static str>,
}

impl Client {
    fn new(file: impl Into<String>, user: impl Into<String>, group: Option<&'static str>) -> Self {
        Self {
            file: file.into(),
            user: user.into(),
            group,
        }
    }

    /// Its kubeconfig: path and content. Certificates are named by path.
    pub fn kubeconfig(&self, layout: &Layout) -> (String, String) {
        let (file, ca) = (&self.file, layout.pki("ca.pem"));
        let (host, port) = (&layout.seat.host, layout.seat.api_port);
        let (certificate, key) = (layout.pki(&format!("{file}.pem")), layout.pki(&format!("{file}.key")));
        let text = format!(
            "apiVersion: v1
kind: Config
current-context: headgate
clusters:
  - name: headgate
    cluster: {{server: 'https://{host}:{port}', certificate-authority: '{ca}'}}
users:
  - name: {file}
    user: {{client-certificate: '{certificate}', client-key: '{key}'}}
contexts:
  - name: headgate
    context: {{cluster: headgate, user: {file}}}
"
        );
        (layout.kubeconfig(file), text)
    }
}

/// Every client of the API server.
pub fn clients() -> Vec<Client> {
    let mut clients = vec![
        Client::new("admin", "headgate-e2e", Some("system:masters")),
        Client::new("controller-manager", "system:kube-controller-manager", None),
        Client::new("scheduler", "system:kube-scheduler", None),
        Client::new("kube-proxy", "system:kube-proxy", None),
    ];
    let kubelet = |node: &crate::cluster::Node| {
        Client::new(
            node.name(),
            format!("system:node:{}", node.name()),
            Some("system:nodes"),
        )
    };
    clients.extend(NODES.iter().map(kubelet));
    clients
}

/// Makes the authority and everything that it signs.
pub fn create(layout: &Layout) -> Result<()> {
    let authority = authority()?;
    save(layout, "ca.pem", &authority.pem())?;
    save(layout, "ca.key", &authority.key().serialize_pem())?;
    let service = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let names = [&[&layout.seat.host, API_SERVICE, "localhost"], service.as_slice()].concat();
    issue(layout, &authority, "server", "headgate-control-plane", None, &names)?;
    for client in clients() {
        issue(layout, &authority, &client.file, &client.user, client.group, &[])?;
    }
    let service_accounts = KeyPair::generate()?;
    save(layout, "service-accounts.key", &service_accounts.serialize_pem())?;
    save(layout, "service-accounts.pub", &service_accounts.public_key_pem())
}

fn authority() -> Result<Authority> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "headgate-e2e-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn issue(
    layout: &Layout,
    authority: &Authority,
    file: &str,
    user: &str,
    group: Option<&str>,
    names: &[&str],
) -> Result<()> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, user);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    save(layout, &format!("{file}.pem"), &certificate.pem())?;
    save(layout, &format!("{file}.key"), &key.serialize_pem())
}

fn save(layout: &Layout, file: &str, content: &str) -> Result<()> {
    write(Path::new(&layout.pki(file)), content)
}
