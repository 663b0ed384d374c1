//! Networks an API key may be used from, packed so that a list of them is small enough to stand on every credential.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An IPv6 network takes as much room as three IPv4 networks, and a list has room for this many of the latter.
pub const MOST_NETWORKS: usize = 30;
/// What the prefix length of an IPv6 network is marked with.
const IPV6: u8 = 100;

/// A list of networks; empty means any address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// How much of [`MOST_NETWORKS`] a list of networks takes.
    #[must_use]
    pub fn room_taken(networks: &[IpNet]) -> usize {
        networks.iter().map(|network| if network.addr().is_ipv4() { 1 } else { 3 }).sum()
    }

    /// Whether no network is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The networks.
    #[must_use]
    pub fn as_slice(&self) -> &[IpNet] {
        &self.0
    }

    /// Whether an address is in one of them, or none is named. An IPv4 address in IPv6 clothing counts as what it is.
    #[must_use]
    pub fn admit(&self, from: IpAddr) -> bool {
        let from = from.to_canonical();
        self.0.is_empty() || self.0.iter().any(|network| network.contains(&from))
    }

    /// The list in bytes: for each network its prefix length, raised by 100 for IPv6, and its address.
    pub(crate) fn pack(&self) -> Vec<u8> {
        let mut packed = Vec::with_capacity(self.0.len() * 17);
        for network in &self.0 {
            match network {
                IpNet::V4(network) => {
                    packed.push(network.prefix_len());
                    packed.extend(network.addr().octets());
                }
                IpNet::V6(network) => {
                    packed.push(IPV6 + network.prefix_len());
                    packed.extend(network.addr().octets());
                }
            }
        }
        packed
    }

    /// The list in `packed`; `None` when it is not one. A list that can't be read must admit nobody.
    pub(crate) fn unpack(mut packed: &[u8]) -> Option<Self> {
        let mut networks = Vec::new();
        while let [prefix, rest @ ..] = packed {
            let network = if *prefix < IPV6 {
                let (address, after) = rest.split_first_chunk::<4>()?;
                packed = after;
                IpNet::V4(Ipv4Net::new(Ipv4Addr::from(*address), *prefix).ok()?)
            } else {
                let (address, after) = rest.split_first_chunk::<16>()?;
                packed = after;
                IpNet::V6(Ipv6Net::new(Ipv6Addr::from(*address), prefix - IPV6).ok()?)
            };
            networks.push(network);
        }
        Some(Self(networks))
    }
}

impl FromIterator<IpNet> for Networks {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

impl Serialize for Networks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.pack())
    }
}

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl serde::de::Visitor<'_> for Bytes {
            type Value = Networks;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("packed networks")
            }

            fn visit_bytes<E: serde::de::Error>(self, packed: &[u8]) -> Result<Networks, E> {
                Networks::unpack(packed).ok_or_else(|| E::custom("not packed networks"))
            }

            fn visit_byte_buf<E: serde::de::Error>(self, packed: Vec<u8>) -> Result<Networks, E> {
                self.visit_bytes(&packed)
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        texts.iter().map(|text| text.parse::<IpNet>().unwrap()).collect()
    }

    #[test]
    fn a_list_is_read_back_as_it_was_packed() {
        let list =
            networks(&["0.0.0.0/0", "203.0.113.0/24", "10.1.2.3/32", "2001:db8::/32", "::/0", "::1/128"]);
        assert_eq!(Networks::unpack(&list.pack()), Some(list.clone()));
        assert_eq!(list.pack().len(), 3 * 5 + 3 * 17);
        assert_eq!(Networks::unpack(&[]), Some(Networks::default()));
        // Data format: changing it is a migration.
        assert_eq!(networks(&["203.0.113.0/24"]).pack(), [24, 203, 0, 113, 0]);
        assert_eq!(networks(&["2001:db8::/32"]).pack()[..5], [132, 0x20, 0x01, 0x0d, 0xb8]);
        for broken in [&[24, 1, 2, 3][..], &[33, 1, 2, 3, 4], &[229; 17], &[132, 0, 0]] {
            assert_eq!(Networks::unpack(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn what_is_in_no_network_is_kept_out() {
        let list = networks(&["203.0.113.0/24", "2001:db8::/32"]);
        for inside in ["203.0.113.9", "::ffff:203.0.113.9", "2001:db8::1"] {
            assert!(list.admit(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["203.0.114.9", "2001:db9::1", "127.0.0.1"] {
            assert!(!list.admit(outside.parse().unwrap()), "{outside}");
        }
        assert!(Networks::default().admit("127.0.0.1".parse().unwrap()));
        assert_eq!(Networks::room_taken(list.as_slice()), 4);
    }
}
