//! From a name to addresses that may be dialled.
//!
//! **The threat.** A name is public when it is saved and points inward when it is dialled, or has one address of each
//! kind, or is asked about twice and answers differently. Or its server never answers, and whoever waits for it
//! waits with a thread of its own.
//!
//! **The answer.** The connector has no other way to an address than this one: the name is asked about once for each
//! connection, every address of the answer is judged, and if any one is forbidden there are none. Those that it gets
//! are those that were judged. Asking takes no thread and ends with the attempt. Nothing is remembered. No hosts
//! file is read: what it says about this machine's neighbours is no customer's to use. `localhost` is loopback by
//! definition and is judged as that.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::Policy;
use crate::target::is_localhost;

/// How many addresses of a name are tried, so that a name can't have us knock on thousands of doors.
const TRIED: usize = 8;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error("the name resolves to an address that is not sent to")]
    Forbidden,
    #[error("the name cannot be resolved")]
    Unresolved,
}

/// Resolves names to addresses that have been judged: all of them, or none.
pub(crate) struct Judging {
    pub(crate) policy: Policy,
    /// None on a machine without DNS.
    pub(crate) resolver: Option<dns::Resolver>,
}

impl Resolve for Judging {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, resolver) = (self.policy, self.resolver.clone());
        Box::pin(async move {
            let mut addresses = addresses(name.as_str(), resolver).await?;
            if addresses.is_empty() {
                return Err(ResolveError::Unresolved.into());
            }
            if !addresses.iter().all(|address| policy.permits(*address)) {
                return Err(ResolveError::Forbidden.into());
            }
            addresses.truncate(TRIED);
            // The port is the URL's.
            Ok(Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

async fn addresses(name: &str, resolver: Option<dns::Resolver>) -> Result<Vec<IpAddr>, ResolveError> {
    if is_localhost(name) {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let resolver = resolver.ok_or(ResolveError::Unresolved)?;
    resolver.addresses(name).await.map_err(|_| ResolveError::Unresolved)
}
