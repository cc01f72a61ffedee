//! Which addresses may be dialled.
//!
//! Only what is public, beside what the platform allows. Public is said by exclusion for IPv4 (RFC 6890 and its
//! registry) and by inclusion for IPv6 (`2000::/3` without what is special in it). An IPv6 address that stands for an
//! IPv4 one is judged as that one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a plane may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everything: the host plane, whose admins own the machine.
    Everything,
    /// What is public, and these.
    PublicAnd(Vec<Network>),
}

/// A range of addresses: its first one, and how many bits are fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// Reads `10.0.0.0/8`.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, bits) = text.split_once('/')?;
        let (address, bits): (IpAddr, u32) = (address.parse().ok()?, bits.parse().ok()?);
        let most = if address.is_ipv4() { 32 } else { 128 };
        (bits <= most).then_some(Network { address, bits })
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(net), IpAddr::V4(one)) => {
                let differ = u32::from(net) ^ u32::from(one);
                differ.checked_shr(32 - self.bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(net), IpAddr::V6(one)) => {
                let differ = u128::from(net) ^ u128::from(one);
                differ.checked_shr(128 - self.bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// First address and fixed bits of the IPv4 ranges that are not public.
const SPECIAL_V4: &[([u8; 4], u32)] = &[
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 31, 196, 0], 24),
    ([192, 52, 193, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([192, 175, 48, 0], 24),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

/// The same of IPv6, in `2000::/3`.
const SPECIAL_V6: &[([u16; 8], u32)] = &[
    // Protocol assignments, Teredo among them.
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    // Documentation.
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
];

/// The IPv4 address that an IPv6 address stands for.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match s {
        // Mapped (::ffff:a.b.c.d) and translated (::ffff:0:a.b.c.d).
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => v4(high, low),
        // Compatible (::a.b.c.d), of which :: and ::1 are no IPv4 addresses.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => v4(high, low),
        // NAT64.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        // 6to4.
        [0x2002, high, low, ..] => v4(high, low),
        _ => None,
    }
}

fn is_public(address: IpAddr) -> bool {
    let special = |address: IpAddr, net: IpAddr, bits: u32| Network { address: net, bits }.contains(address);
    match address {
        IpAddr::V4(_) => {
            !SPECIAL_V4.iter().any(|(net, bits)| special(address, IpAddr::V4(Ipv4Addr::from(*net)), *bits))
        }
        IpAddr::V6(v6) => {
            v6.segments()[0] & 0xe000 == 0x2000
                && !SPECIAL_V6
                    .iter()
                    .any(|(net, bits)| special(address, IpAddr::V6(Ipv6Addr::from(*net)), *bits))
        }
    }
}

impl Reach {
    /// True when the address may be dialled.
    pub fn allows(&self, address: IpAddr) -> bool {
        let Reach::PublicAnd(allowed) = self else { return true };
        let meant = match address {
            IpAddr::V6(v6) => embedded(v6).map_or(address, IpAddr::V4),
            v4 => v4,
        };
        is_public(meant) || allowed.iter().any(|net| net.contains(meant) || net.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(reach: &Reach, address: &str) -> bool {
        reach.allows(address.parse().unwrap())
    }

    #[test]
    fn only_public_addresses_are_dialled() {
        let reach = Reach::PublicAnd(Vec::new());
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "172.15.255.255",
            "172.32.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "192.167.1.1",
            "198.20.0.1",
            "2606:4700:4700::1111",
            "2001:4860:4860::8888",
            "::ffff:1.1.1.1",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ] {
            assert!(allows(&reach, public), "{public}");
        }
        for special in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.168.1.1",
            "198.19.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd12:3456::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "100::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:a9fe:a9fe",
            "::ffff:0:7f00:1",
            "::7f00:1",
            "::10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "5f00::1",
        ] {
            assert!(!allows(&reach, special), "{special}");
        }
    }

    #[test]
    fn what_the_platform_allows_is_dialled_in_all_its_forms() {
        let nets = ["10.1.0.0/16", "fd00:1::/32", "127.0.0.1/32"].map(|net| Network::parse(net).unwrap());
        let reach = Reach::PublicAnd(nets.to_vec());
        for (address, allowed) in [
            ("10.1.2.3", true),
            ("10.2.0.1", false),
            ("::ffff:10.1.2.3", true),
            ("64:ff9b::a01:203", true),
            ("fd00:1::5", true),
            ("fd00:2::5", false),
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("::1", false),
        ] {
            assert_eq!(allows(&reach, address), allowed, "{address}");
        }
        assert!(allows(&Reach::Everything, "127.0.0.1"));
        let all = Reach::PublicAnd(vec![Network::parse("0.0.0.0/0").unwrap()]);
        assert!(allows(&all, "169.254.169.254") && !allows(&all, "::1"));
    }

    #[test]
    fn ranges_are_read_or_not() {
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "::/129", "10.0.0/8", "x/8", "10.0.0.0/-1"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }
}
