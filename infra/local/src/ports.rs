//! The two ports of loopback that the program listens on: one for the HTTP API, the next for the AWS endpoint.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;

use tokio::net::TcpListener;

/// What ports are chosen from. By default Linux gives connections source ports from 32,768 on, macOS and Windows from 49,152. From
/// there, a client that keeps asking on loopback for a platform that is starting again can be given the very port it asks for:
/// it is then connected to itself, and holds the port.
const CHOICE: Range<u16> = 20_000..32_000;

/// Where the program listens.
#[derive(Debug)]
pub struct Listeners {
    /// Of the HTTP API.
    pub api: TcpListener,
    /// Of the AWS endpoint.
    pub aws: TcpListener,
    /// Of the HTTP API; the AWS endpoint is on the next one.
    pub port: u16,
}

/// Why nothing can listen.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Somebody else has it, or it may not be had.
    #[error(
        "port {port} cannot be used; stop what is using it or choose another with --port, 0 for any that is free"
    )]
    Used {
        /// The one that was asked for, or the one after it.
        port: u16,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The AWS endpoint needs the port after it.
    #[error("there is no port after {}", u16::MAX)]
    Last,
    /// [`Listeners::at`] was to choose, and none of all it may choose from can be had.
    #[error("no two ports side by side are free between {} and {}", CHOICE.start, CHOICE.end)]
    NoneFree,
    /// There is nothing to choose by.
    #[error("the operating system gives no randomness")]
    Randomness,
}

impl Listeners {
    /// On `port` and the next one; 0 stands for two that are free.
    ///
    /// # Errors
    /// [`PortError`]
    pub async fn at(port: u16) -> Result<Self, PortError> {
        if port != 0 {
            return Self::exactly(port).await;
        }
        // From anywhere on, so that programs that start together seldom meet.
        let mut start = [0; 2];
        aws_lc_rs::rand::fill(&mut start).map_err(|_| PortError::Randomness)?;
        let (pairs, start) = (CHOICE.len() / 2, usize::from(u16::from_ne_bytes(start)));
        for port in CHOICE.step_by(2).cycle().skip(start % pairs).take(pairs) {
            match Self::exactly(port).await {
                Err(PortError::Used { source, .. }) if is_another_s(&source) => {}
                outcome => return outcome,
            }
        }
        Err(PortError::NoneFree)
    }

    async fn exactly(port: u16) -> Result<Self, PortError> {
        let next = port.checked_add(1).ok_or(PortError::Last)?;
        Ok(Self { api: listen(port).await?, aws: listen(next).await?, port })
    }
}

/// Windows keeps some ports from everybody.
fn is_another_s(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::AddrInUse, io::ErrorKind::PermissionDenied];
    kinds.contains(&error.kind())
}

async fn listen(port: u16) -> Result<TcpListener, PortError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).await.map_err(|source| PortError::Used { port, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn any_two_are_neighbours_that_nobody_else_has() {
        let (one, other) = (Listeners::at(0).await.unwrap(), Listeners::at(0).await.unwrap());
        assert_ne!(one.port, other.port);
        for listeners in [one, other] {
            assert!(CHOICE.contains(&listeners.port));
            let ports =
                [&listeners.api, &listeners.aws].map(|listener| listener.local_addr().unwrap().port());
            assert_eq!(ports, [listeners.port, listeners.port + 1]);
        }
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named_also_if_it_is_the_second() {
        let held = Listeners::at(0).await.unwrap();
        let refusal = async || Listeners::at(held.port).await.unwrap_err().to_string();
        assert!(refusal().await.starts_with(&format!("port {} cannot be used", held.port)));
        assert!(matches!(Listeners::at(u16::MAX).await, Err(PortError::Last)));
        drop(held.api);
        assert!(refusal().await.starts_with(&format!("port {} cannot be used", held.port + 1)));
    }
}
