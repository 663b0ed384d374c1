//! TLS before what stands in for AWS, and a distance to it.
//!
//! Functions speak TLS to AWS, and a handshake is much of what a start costs: without it a start would look cheaper than it
//! is. Every answer can be held back for the time that one takes within a region, so that it shows when a function goes to
//! and fro more often than it must. Both are relays of bytes on loopback: functions come to the distance, which leads to TLS,
//! which leads to the platform.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, SanType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::{self, ServerConfig};

/// Where systems keep the certificates they trust, Lambda's own place first.
const BUNDLES: [&str; 3] =
    ["/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem"];

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// No certificate.
    #[error("the certificate cannot be made")]
    Certificate(#[from] rcgen::Error),
    /// It is not accepted.
    #[error("the certificate cannot be used")]
    Rustls(#[from] rustls::Error),
    /// No port, or no file.
    #[error("TLS cannot be served")]
    System(#[from] std::io::Error),
}

/// Where functions find AWS, and whom they trust for it.
#[derive(Debug)]
pub(crate) struct Front {
    /// Where.
    pub(crate) address: SocketAddr,
    /// This system's bundle of certificates, with ours behind it: as long to read as on Lambda.
    pub(crate) bundle: PathBuf,
}

impl Front {
    /// Opens one before `upstream`. The bundle is written into `folder`.
    ///
    /// # Errors
    /// [`TlsError`]
    pub(crate) async fn open(
        upstream: SocketAddr,
        distance: Duration,
        folder: &Path,
    ) -> Result<Self, TlsError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let certificate = params.self_signed(&key)?;
        let mut bundle =
            BUNDLES.iter().find_map(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        bundle.push_str(&certificate.pem());
        let path = folder.join("ca-bundle.crt");
        std::fs::write(&path, bundle)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.into()], key.into())?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let tls = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let near = tls.local_addr()?;
        tokio::spawn(accept(tls, move |stream| terminate(acceptor.clone(), stream, upstream)));
        if distance.is_zero() {
            return Ok(Self { address: near, bundle: path });
        }
        let far = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = far.local_addr()?;
        tokio::spawn(accept(far, move |stream| carry(stream, near, distance)));
        Ok(Self { address, bundle: path })
    }
}

/// Serves each connection by `serve`. One that breaks off is the matter of whoever has it.
async fn accept<F: Future<Output = std::io::Result<()>> + Send + 'static>(
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        tokio::spawn(serve(stream));
    }
}

async fn terminate(acceptor: TlsAcceptor, stream: TcpStream, upstream: SocketAddr) -> std::io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let mut upstream = TcpStream::connect(upstream).await?;
    upstream.set_nodelay(true)?;
    copy_bidirectional(&mut stream, &mut upstream).await?;
    Ok(())
}

/// Carries what is asked at once, and each answer when it has come so far.
async fn carry(stream: TcpStream, upstream: SocketAddr, distance: Duration) -> std::io::Result<()> {
    // It would take as long to say that somebody is there.
    tokio::time::sleep(distance).await;
    let answering = TcpStream::connect(upstream).await?;
    answering.set_nodelay(true)?;
    let (mut from_asking, mut to_asking) = stream.into_split();
    let (mut from_answering, mut to_answering) = answering.into_split();
    let ask = async {
        copy(&mut from_asking, &mut to_answering).await?;
        to_answering.shutdown().await
    };
    let answer = async {
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let length = from_answering.read(&mut chunk).await?;
            if length == 0 {
                return to_asking.shutdown().await;
            }
            tokio::time::sleep(distance).await;
            to_asking.write_all(chunk.get(..length).unwrap_or_default()).await?;
        }
    };
    tokio::try_join!(ask, answer)?;
    Ok(())
}
