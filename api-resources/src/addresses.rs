//! The rules of addresses and networks, with the words in which Kubernetes refuses them (KEP-4858).

use std::net::{IpAddr, Ipv6Addr};

/// An address, in any of its spellings but with leading zeros or IPv4 within IPv6.
pub fn ip(text: &str) -> Vec<String> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) if address.to_ipv4_mapped().is_some() => {
            vec!["must not be an IPv4-mapped IPv6 address".to_owned()]
        }
        Ok(_) => Vec::new(),
        Err(_) if without_leading_zeros(text).is_some() => vec!["must not have leading 0s".to_owned()],
        Err(_) => vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()],
    }
}

/// [`ip`] that must also be written in its canonical form (RFC 5952).
pub fn canonical_ip(text: &str) -> Vec<String> {
    let mut wrong = ip(text);
    if wrong.is_empty()
        && let Ok(address) = text.parse::<IpAddr>()
        && address.to_string() != text
    {
        wrong.push(format!("must be in canonical form (\"{address}\")"));
    }
    wrong
}

/// A network: `10.9.8.0/24`, without bits beyond the prefix.
pub fn cidr(text: &str) -> Vec<String> {
    let invalid = || vec!["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)".to_owned()];
    let Some((address, length)) = text.split_once('/') else { return invalid() };
    let zeros = length.len() > 1 && length.starts_with('0');
    let Some(bits) = length.bytes().all(|b| b.is_ascii_digit()).then(|| length.parse::<u32>().ok()).flatten()
    else {
        return invalid();
    };
    let parsed = match address.parse::<IpAddr>() {
        Ok(parsed) if !zeros => parsed,
        Ok(_) => return vec!["must not have leading 0s in IP or prefix length".to_owned()],
        Err(_) if without_leading_zeros(address).is_some() && bits <= 32 => {
            return vec!["must not have leading 0s in IP or prefix length".to_owned()];
        }
        Err(_) => return invalid(),
    };
    let beyond = match parsed {
        IpAddr::V4(_) if bits > 32 => return invalid(),
        IpAddr::V6(_) if bits > 128 => return invalid(),
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
            return vec!["must not have an IPv4-mapped IPv6 address".to_owned()];
        }
        IpAddr::V4(v4) => u32::from(v4).checked_shl(bits).unwrap_or(0) != 0,
        IpAddr::V6(v6) => u128::from(v6).checked_shl(bits).unwrap_or(0) != 0,
    };
    if beyond { vec!["must not have bits set beyond the prefix length".to_owned()] } else { Vec::new() }
}

/// An IPv4 address whose leading zeros were dropped, when that makes it one.
fn without_leading_zeros(text: &str) -> Option<IpAddr> {
    let octets: Option<Vec<u8>> = text.split('.').map(|o| o.parse::<u8>().ok()).collect();
    let octets: [u8; 4] = octets?.try_into().ok()?;
    text.bytes().all(|b| b.is_ascii_digit() || b == b'.').then(|| IpAddr::from(octets))
}

/// Refuses unspecified, loopback, and link-local addresses; what is no address passes.
pub fn not_special_ip(text: &str) -> Vec<String> {
    let Ok(address) = text.parse::<IpAddr>() else { return Vec::new() };
    let (link_local, link_local_multicast) = match address {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(v6) => (v6.segments()[0] & 0xffc0 == 0xfe80, is_link_local_multicast(v6)),
    };
    let rules: [(bool, String); 4] = [
        (address.is_unspecified(), format!("may not be unspecified ({text})")),
        (address.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned()),
        (link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned()),
        (
            link_local_multicast,
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned(),
        ),
    ];
    rules.into_iter().filter(|(broken, _)| *broken).map(|(_, message)| message).collect()
}

fn is_link_local_multicast(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xff0f == 0xff02
}
