//! Which addresses are never sent to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use ipnet::{Ipv4Net, Ipv6Net};

/// IPv4 networks that are not globally reachable, from the IANA special-purpose address registry (RFC 6890 and
/// successors), and multicast.
const FORBIDDEN_V4: &[([u8; 4], u8)] = &[
    ([0, 0, 0, 0], 8),       // this network
    ([10, 0, 0, 0], 8),      // private
    ([100, 64, 0, 0], 10),   // shared (CGNAT)
    ([127, 0, 0, 0], 8),     // loopback
    ([169, 254, 0, 0], 16),  // link-local, instance metadata
    ([172, 16, 0, 0], 12),   // private
    ([192, 0, 0, 0], 24),    // protocol assignments
    ([192, 0, 2, 0], 24),    // documentation
    ([192, 31, 196, 0], 24), // AS112
    ([192, 52, 193, 0], 24), // AMT
    ([192, 88, 99, 0], 24),  // 6to4 relay
    ([192, 168, 0, 0], 16),  // private
    ([192, 175, 48, 0], 24), // AS112
    ([198, 18, 0, 0], 15),   // benchmarking
    ([198, 51, 100, 0], 24), // documentation
    ([203, 0, 113, 0], 24),  // documentation
    ([224, 0, 0, 0], 4),     // multicast
    ([240, 0, 0, 0], 4),     // reserved, broadcast
];

/// Only 2000::/3 is global unicast; of that, these networks are not to be sent to.
const FORBIDDEN_V6: &[([u16; 8], u8)] = &[
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), // protocol assignments: Teredo, ORCHID, benchmarking
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), // documentation
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), // 6to4: carries any IPv4 address
    ([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48), // AS112
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), // documentation
];

static V4: LazyLock<Vec<Ipv4Net>> = LazyLock::new(|| {
    FORBIDDEN_V4
        .iter()
        .filter_map(|(octets, length)| Ipv4Net::new(Ipv4Addr::from(*octets), *length).ok())
        .collect()
});
static V6: LazyLock<Vec<Ipv6Net>> = LazyLock::new(|| {
    FORBIDDEN_V6
        .iter()
        .filter_map(|(parts, length)| Ipv6Net::new(Ipv6Addr::from(*parts), *length).ok())
        .collect()
});

/// Whether an address is never sent to. IPv6 spellings of an IPv4 address (mapped) are judged as what they are;
/// every other way to carry one inside IPv6 is forbidden as a whole.
#[must_use]
pub fn is_forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            let global_unicast = address.segments()[0] & 0xe000 == 0x2000;
            !global_unicast || V6.iter().any(|network| network.contains(&address))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_tables_are_well_formed() {
        assert_eq!((V4.len(), V6.len()), (FORBIDDEN_V4.len(), FORBIDDEN_V6.len()));
        for network in V4.iter() {
            assert_eq!(network.trunc(), *network);
        }
        for network in V6.iter() {
            assert_eq!(network.trunc(), *network);
        }
    }

    #[test]
    fn what_only_we_can_reach_is_forbidden_in_every_spelling() {
        for address in [
            "127.0.0.1",
            "127.255.255.254",
            "10.1.2.3",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.169.254",
            "169.254.100.1",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "198.19.0.1",
            "192.0.0.8",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001:0:1::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "100::1",
            "2001:db8::1",
            "3fff::1",
            "5f00::1",
            "4000::1",
        ] {
            assert!(is_forbidden(address.parse().unwrap()), "{address}");
        }
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(!is_forbidden(address.parse().unwrap()), "{address}");
        }
    }

    proptest! {
        #[test]
        fn a_mapped_address_is_judged_like_the_plain_one(bits in any::<u32>()) {
            let plain = Ipv4Addr::from(bits);
            prop_assert_eq!(is_forbidden(plain.into()), is_forbidden(plain.to_ipv6_mapped().into()));
            prop_assert!(is_forbidden(plain.to_ipv6_compatible().into()));
        }
    }
}
