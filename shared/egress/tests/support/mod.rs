//! Receivers that do as they are told, on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use egress::{Outcome, Policy, Sender, Target};
use http::HeaderMap;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use standins::DnsServer;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

pub(crate) const LOCAL: Policy = Policy { allow_loopback: true };
/// For what is over by itself, on however slow a machine.
pub(crate) const LONG: Duration = Duration::from_secs(20);
/// For what is over only when the time is.
pub(crate) const SHORT: Duration = Duration::from_secs(1);
/// What is posted; a request has come when it ends with this.
pub(crate) const BODY: &[u8] = b"{\"n\":1}";

/// Where a receiver listens, and how many connections it was asked for.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    connections: Arc<AtomicUsize>,
}

impl Receiver {
    /// A receiver that behaves like this on each connection.
    pub(crate) async fn start<F: Future<Output = ()> + Send + 'static>(
        behave: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(behave(stream));
            }
        });
        Self { port, connections }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Reads a request to its end; false when there is none any more.
pub(crate) async fn hear(stream: &mut (impl AsyncRead + Unpin)) -> bool {
    let mut request = Vec::new();
    while !request.ends_with(BODY) {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return false;
        }
    }
    true
}

pub(crate) async fn attempt(sender: &Sender, url: &str, deadline: Duration) -> Outcome {
    let target = Target::parse(url, LOCAL).unwrap();
    sender.post(&target, HeaderMap::new(), Bytes::from_static(BODY), deadline).await
}

/// A sender that asks this server.
pub(crate) fn sender(policy: Policy, dns: &DnsServer) -> Sender {
    Sender::with_dns(policy, Some(&dns.address())).unwrap()
}

/// A certificate authority of the test's own.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A sender that trusts it.
    pub(crate) fn sender(&self, policy: Policy, dns: &DnsServer) -> Sender {
        Sender::trusting(policy, Some(&dns.address()), self.0.der()).unwrap()
    }

    /// What shows a certificate for this name.
    pub(crate) fn vouches_for(&self, name: &str) -> TlsAcceptor {
        self.vouches(CertificateParams::new([name.to_owned()]).unwrap())
    }

    pub(crate) fn vouches(&self, params: CertificateParams) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        acceptor(certificate, &key)
    }
}

/// What shows a certificate that nobody vouches for.
pub(crate) fn self_signed(name: &str) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
    acceptor(certificate, &key)
}

fn acceptor(certificate: rcgen::Certificate, key: &KeyPair) -> TlsAcceptor {
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], key.into())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
