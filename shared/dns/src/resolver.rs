//! Asking for TXT records and addresses.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

/// How long one server is waited for, once.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How long a lookup takes at most, whatever is tried.
const DEADLINE: Duration = Duration::from_secs(5);

/// Why a resolver could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The address of the server is not `ip:port`.
    #[error("the DNS server is not given as ip:port")]
    Address(#[source] std::net::AddrParseError),
    /// The system's configuration can't be read.
    #[error("the system's DNS configuration cannot be used")]
    System(#[source] NetError),
}

/// Why nothing is known about a record. Says nothing about whether there is one; asking again later may help.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// Nobody answered in time.
    #[error("no DNS server answered in time")]
    Timeout,
    /// The server answered that it can't tell: `SERVFAIL`, most often because the domain's own servers are broken, or
    /// another code that is not an answer.
    #[error("the DNS server could not answer")]
    Failed(#[source] NetError),
    /// The name doesn't fit DNS.
    #[error("the name is not one that DNS can be asked for")]
    Name(#[source] NetError),
}

/// Asks a DNS server. Cheap to clone. Remembers no answer, reads no hosts file, and stops asking when it is dropped.
#[derive(Clone, Debug)]
pub struct Resolver {
    resolver: TokioResolver,
    deadline: Duration,
}

impl Resolver {
    /// A resolver that asks the server at `address` (`ip:port`, as in the variable `DNS_RESOLVER`), or those of the
    /// system's configuration where none is given.
    ///
    /// # Errors
    /// [`SetupError`] when the address or the system's configuration can't be read.
    pub fn new(address: Option<&str>) -> Result<Self, SetupError> {
        let mut builder = match address {
            Some(address) => {
                let address: SocketAddr = address.parse().map_err(SetupError::Address)?;
                let config = ResolverConfig::from_parts(None, Vec::new(), vec![server(address)]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
            None => TokioResolver::builder_tokio().map_err(SetupError::System)?,
        };
        let options = builder.options_mut();
        options.timeout = PATIENCE;
        // Tries after the first one.
        options.attempts = 1;
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        // A long answer that is cut off on its way comes over TCP.
        options.edns0 = true;
        Ok(Self { resolver: builder.build().map_err(SetupError::System)?, deadline: DEADLINE })
    }

    /// The same resolver, giving up on a lookup after `deadline` if that is sooner than five seconds.
    #[must_use]
    pub fn within(self, deadline: Duration) -> Self {
        Self { deadline: deadline.min(DEADLINE), ..self }
    }

    /// The TXT records of `name`, each with its strings joined (as in RFC 7208, section 3.3); aliases are followed.
    /// Empty when there is no such name, or no such record.
    ///
    /// # Errors
    /// [`Unanswered`] when that could not be found out.
    pub async fn txt(&self, name: &str) -> Result<Vec<String>, Unanswered> {
        let found = self.ask(fqdn(name)?, RecordType::TXT).await?;
        Ok(found.iter().filter_map(text).collect())
    }

    /// The addresses of `name`, IPv4 before IPv6; aliases are followed. Empty when there is no such name, or it has
    /// none. When one kind can't be found out, those of the other are all there is.
    ///
    /// # Errors
    /// [`Unanswered`] when neither could be found out, or one could not and there is none of the other.
    pub async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Unanswered> {
        let name = fqdn(name)?;
        let (v4, v6) = tokio::join!(self.ask(name.clone(), RecordType::A), self.ask(name, RecordType::AAAA));
        let found = match (v4, v6) {
            (Ok(v4), Ok(v6)) => [v4, v6].concat(),
            (Ok(found), Err(_)) | (Err(_), Ok(found)) if !found.is_empty() => found,
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        Ok(found.iter().filter_map(RData::ip_addr).collect())
    }

    async fn ask(&self, name: Name, of: RecordType) -> Result<Vec<RData>, Unanswered> {
        match tokio::time::timeout(self.deadline, self.resolver.lookup(name, of)).await {
            Err(_) | Ok(Err(NetError::Timeout)) => Err(Unanswered::Timeout),
            Ok(Err(NetError::Dns(DnsError::NoRecordsFound(none)))) if is_answer(none.response_code) => {
                Ok(Vec::new())
            }
            Ok(Err(error)) => Err(Unanswered::Failed(error)),
            Ok(Ok(lookup)) => Ok(lookup.answers().iter().map(|record| record.data.clone()).collect()),
        }
    }
}

/// The name as it stands: never with the machine's search domains after it.
fn fqdn(name: &str) -> Result<Name, Unanswered> {
    let mut name = Name::from_ascii(name).map_err(|error| Unanswered::Name(error.into()))?;
    name.set_fqdn(true);
    Ok(name)
}

fn server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

/// Whether a response without records says that there are none.
fn is_answer(code: ResponseCode) -> bool {
    matches!(code, ResponseCode::NoError | ResponseCode::NXDomain)
}

fn text(data: &RData) -> Option<String> {
    match data {
        RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
        _ => None,
    }
}
