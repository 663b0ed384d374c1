//! Which addresses are never sent to.
//!
//! **The threat.** An address may lead back inside: to loopback, a private network, instance metadata. It may do so
//! in disguise, as IPv6 has half a dozen ways to carry an IPv4 address. Or it leads to no one host at all: multicast,
//! anycast services of the network, prefixes that nobody was given.
//!
//! **The answer.** Of IPv4, everything in the [IANA special-purpose registry] is forbidden, and multicast. Of IPv6,
//! everything outside of `2000::/3` is, and inside it everything in the [IPv6 registry]. The rows that the registries
//! call globally reachable are forbidden as well: they are relays (6to4, Teredo, AMT), sinks (AS112), anycast to
//! the nearest middlebox (PCP, TURN, SRP) or identifiers (ORCHID, DRIP), and none of them is a receiver of webhooks.
//!
//! An IPv4 address in IPv6 clothing is judged as what it is where networks send it on as that (mapped `::ffff:0:0/96`,
//! and NAT64 `64:ff9b::/96`, without which a network that has only IPv6 reaches nobody). In every other clothing
//! (compatible, SIIT, local NAT64, 6to4, Teredo, ISATAP) it is forbidden whatever it is.
//!
//! [IANA special-purpose registry]: https://www.iana.org/assignments/iana-ipv4-special-registry
//! [IPv6 registry]: https://www.iana.org/assignments/iana-ipv6-special-registry

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(a: u16, b: u16, c: u16, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), length)
}

/// The outermost networks of the IPv4 registry, and multicast.
const FORBIDDEN_V4: [Ipv4Net; 18] = [
    v4(0, 0, 0, 0, 8),       // this network
    v4(10, 0, 0, 0, 8),      // private
    v4(100, 64, 0, 0, 10),   // shared (CGNAT)
    v4(127, 0, 0, 0, 8),     // loopback
    v4(169, 254, 0, 0, 16),  // link-local, instance metadata
    v4(172, 16, 0, 0, 12),   // private
    v4(192, 0, 0, 0, 24),    // protocol assignments: DS-Lite, PCP, TURN, NAT64 discovery
    v4(192, 0, 2, 0, 24),    // documentation
    v4(192, 31, 196, 0, 24), // AS112
    v4(192, 52, 193, 0, 24), // AMT
    v4(192, 88, 99, 0, 24),  // 6to4 and 6a44 relays
    v4(192, 168, 0, 0, 16),  // private
    v4(192, 175, 48, 0, 24), // AS112
    v4(198, 18, 0, 0, 15),   // benchmarking
    v4(198, 51, 100, 0, 24), // documentation
    v4(203, 0, 113, 0, 24),  // documentation
    v4(224, 0, 0, 0, 4),     // multicast
    v4(240, 0, 0, 0, 4),     // reserved, broadcast
];

/// All that IANA gave out as global unicast.
const GLOBAL_UNICAST: Ipv6Net = v6(0x2000, 0, 0, 3);

/// The outermost networks of the IPv6 registry in there.
const FORBIDDEN_V6: [Ipv6Net; 5] = [
    v6(0x2001, 0, 0, 23), // protocol assignments: Teredo, PCP, TURN, SRP, benchmarking, AMT, AS112, ORCHID, DRIP
    v6(0x2001, 0xdb8, 0, 32), // documentation
    v6(0x2002, 0, 0, 16), // 6to4
    v6(0x2620, 0x4f, 0x8000, 48), // AS112
    v6(0x3fff, 0, 0, 20), // documentation
];

/// Whether an address is never sent to.
#[must_use]
pub fn is_forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => FORBIDDEN_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            if let Some(translated) = translated(address) {
                return is_forbidden(translated.into());
            }
            !GLOBAL_UNICAST.contains(&address)
                || is_isatap(address)
                || FORBIDDEN_V6.iter().any(|network| network.contains(&address))
        }
    }
}

/// The IPv4 address that NAT64 sends packets on to (RFC 6052, section 2.1).
fn translated(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))),
        _ => None,
    }
}

/// Whether an IPv4 address is the interface identifier, of whatever prefix (RFC 5214, section 6.1).
fn is_isatap(address: Ipv6Addr) -> bool {
    matches!(address.segments(), [_, _, _, _, 0 | 0x200, 0x5efe, _, _])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipnet::IpNet;
    use proptest::prelude::*;

    /// What lies just before and just after a network: open, or forbidden by another row.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    enum Beside {
        Open,
        Shut,
    }
    use Beside::{Open, Shut};

    /// Every row of the two registries as of 2025-10-09, and multicast (not in them).
    const REGISTRY: &[(&str, Beside, Beside)] = &[
        ("0.0.0.0/8", Shut, Open),
        ("0.0.0.0/32", Shut, Shut),
        ("10.0.0.0/8", Open, Open),
        ("100.64.0.0/10", Open, Open),
        ("127.0.0.0/8", Open, Open),
        ("169.254.0.0/16", Open, Open),
        ("172.16.0.0/12", Open, Open),
        ("192.0.0.0/24", Open, Open),
        ("192.0.0.0/29", Open, Shut),
        ("192.0.0.8/32", Shut, Shut),
        ("192.0.0.9/32", Shut, Shut),
        ("192.0.0.10/32", Shut, Shut),
        ("192.0.0.170/32", Shut, Shut),
        ("192.0.0.171/32", Shut, Shut),
        ("192.0.2.0/24", Open, Open),
        ("192.31.196.0/24", Open, Open),
        ("192.52.193.0/24", Open, Open),
        ("192.88.99.0/24", Open, Open),
        ("192.88.99.2/32", Shut, Shut),
        ("192.168.0.0/16", Open, Open),
        ("192.175.48.0/24", Open, Open),
        ("198.18.0.0/15", Open, Open),
        ("198.51.100.0/24", Open, Open),
        ("203.0.113.0/24", Open, Open),
        ("224.0.0.0/4", Open, Shut),
        ("240.0.0.0/4", Shut, Shut),
        ("255.255.255.255/32", Shut, Shut),
        ("::/128", Shut, Shut),
        ("::1/128", Shut, Shut),
        // As `::ffff:0.0.0.0/96` this is all of IPv4, judged as that; here only its edges.
        ("::ffff:0:0/104", Shut, Open),
        ("64:ff9b:1::/48", Shut, Shut),
        ("100::/64", Shut, Shut),
        ("100:0:0:1::/64", Shut, Shut),
        ("2001::/23", Open, Open),
        ("2001::/32", Open, Shut),
        ("2001:1::1/128", Shut, Shut),
        ("2001:1::2/128", Shut, Shut),
        ("2001:1::3/128", Shut, Shut),
        ("2001:2::/48", Shut, Shut),
        ("2001:3::/32", Shut, Shut),
        ("2001:4:112::/48", Shut, Shut),
        ("2001:10::/28", Shut, Shut),
        ("2001:20::/28", Shut, Shut),
        ("2001:30::/28", Shut, Shut),
        ("2001:db8::/32", Open, Open),
        ("2002::/16", Open, Open),
        ("2620:4f:8000::/48", Open, Open),
        ("3fff::/20", Open, Open),
        ("5f00::/16", Shut, Shut),
        ("fc00::/7", Shut, Shut),
        ("fe80::/10", Shut, Shut),
        // Not rows of the registries.
        ("fec0::/10", Shut, Shut),
        ("ff00::/8", Shut, Shut),
        ("4000::/2", Open, Shut),
        ("8000::/1", Shut, Shut),
    ];

    fn neighbours(network: IpNet) -> (Option<IpAddr>, Option<IpAddr>) {
        match network {
            IpNet::V4(network) => {
                let (first, last) = (u32::from(network.network()), u32::from(network.broadcast()));
                let address = |bits: u32| IpAddr::V4(bits.into());
                (first.checked_sub(1).map(address), last.checked_add(1).map(address))
            }
            IpNet::V6(network) => {
                let (first, last) = (u128::from(network.network()), u128::from(network.broadcast()));
                let address = |bits: u128| IpAddr::V6(bits.into());
                (first.checked_sub(1).map(address), last.checked_add(1).map(address))
            }
        }
    }

    #[test]
    fn every_row_of_the_registries_is_forbidden_from_its_first_address_to_its_last_and_no_further() {
        for (row, before, after) in REGISTRY {
            let network: IpNet = row.parse().unwrap();
            assert_eq!(network, network.trunc(), "{row}");
            assert!(is_forbidden(network.network()), "the first of {row}");
            assert!(is_forbidden(network.broadcast()), "the last of {row}");
            let (previous, next) = neighbours(network);
            for (address, beside) in [(previous, before), (next, after)] {
                let forbidden = address.is_none_or(is_forbidden);
                assert_eq!(forbidden, *beside == Shut, "{address:?} beside {row}");
            }
        }
    }

    /// NAT64 is a row too, of addresses that are judged by what they carry.
    #[test]
    fn a_translated_address_is_judged_by_what_it_carries() {
        for (address, forbidden) in [
            ("64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff", true),
            ("64:ff9b::", true),
            ("64:ff9b::a9fe:a9fe", true),
            ("64:ff9b::7f00:1", true),
            ("64:ff9b::808:808", false),
            ("64:ff9b::ffff:ffff", true),
            ("64:ff9b::1:808:808", true),
        ] {
            assert_eq!(is_forbidden(address.parse().unwrap()), forbidden, "{address}");
        }
    }

    #[test]
    fn public_addresses_are_open() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "52.94.236.248",
            "172.32.0.1",
            "100.128.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2600:1f18::1",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
        ] {
            assert!(!is_forbidden(address.parse().unwrap()), "{address}");
        }
    }

    /// All the ways in which IPv6 carries an IPv4 address, below a prefix that is otherwise open where one is needed.
    fn clothed(plain: Ipv4Addr) -> [(&'static str, Ipv6Addr); 9] {
        let bits = u128::from(u32::from(plain));
        let prefix = u128::from("2606:4700::".parse::<Ipv6Addr>().unwrap());
        [
            ("mapped", plain.to_ipv6_mapped()),
            ("NAT64", (u128::from("64:ff9b::".parse::<Ipv6Addr>().unwrap()) | bits).into()),
            ("compatible", bits.into()),
            ("SIIT", (0xffff_0000 << 32 | bits).into()),
            ("local NAT64", (u128::from("64:ff9b:1::".parse::<Ipv6Addr>().unwrap()) | bits).into()),
            ("6to4", (0x2002 << 112 | bits << 80).into()),
            ("Teredo", (0x2001 << 112 | bits << 64 | (!bits & 0xffff_ffff)).into()),
            ("ISATAP", (prefix | 0x5efe << 32 | bits).into()),
            ("universal ISATAP", (prefix | 0x0200_5efe << 32 | bits).into()),
        ]
    }

    fn forbidden_v4() -> impl Strategy<Value = Ipv4Addr> {
        (prop::sample::select(FORBIDDEN_V4.as_slice()), any::<u32>()).prop_map(|(network, bits)| {
            Ipv4Addr::from(u32::from(network.network()) | bits & u32::from(network.hostmask()))
        })
    }

    proptest! {
        #[test]
        fn what_is_forbidden_is_forbidden_in_every_clothing(plain in forbidden_v4()) {
            prop_assert!(is_forbidden(plain.into()));
            for (clothing, address) in clothed(plain) {
                prop_assert!(is_forbidden(address.into()), "{} as {}: {}", plain, clothing, address);
            }
        }

        #[test]
        fn only_mapped_and_translated_addresses_are_judged_by_what_they_carry(bits in any::<u32>()) {
            let plain = Ipv4Addr::from(bits);
            let [mapped, translated, others @ ..] = clothed(plain);
            for (clothing, address) in [mapped, translated] {
                prop_assert_eq!(is_forbidden(address.into()), is_forbidden(plain.into()), "{}", clothing);
            }
            for (clothing, address) in others {
                prop_assert!(is_forbidden(address.into()), "{}: {}", clothing, address);
            }
        }

        #[test]
        fn of_ipv6_only_global_unicast_and_translated_public_addresses_are_open(bits in any::<u128>()) {
            let address = Ipv6Addr::from(bits);
            if bits >> 125 != 1 && address.to_ipv4_mapped().is_none() && translated(address).is_none() {
                prop_assert!(is_forbidden(address.into()));
            }
        }
    }
}
