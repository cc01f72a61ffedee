//! IP addresses and ranges of them, as strict as Kubernetes: without leading zeros, zones and IPv4 within IPv6.

use super::values::{Given, Value, fail};
use std::net::{IpAddr, Ipv6Addr};

/// The functions; `None`: there is no such function of these values.
pub(super) fn call(name: &str, given: &[Value]) -> Option<Given> {
    Some(match (name, given) {
        ("ip", [Value::Text(text)]) => match address(text) {
            Ok(address) => Ok(Value::Ip(address)),
            Err(why) => fail(why),
        },
        ("isIP", [Value::Text(text)]) => Ok(Value::Bool(address(text).is_ok())),
        ("ip.isCanonical", [Value::Text(text)]) => match address(text) {
            Ok(address) => Ok(Value::Bool(address.to_string() == **text)),
            Err(why) => fail(why),
        },
        ("family", [Value::Ip(address)]) => Ok(Value::Int(if address.is_ipv4() { 4 } else { 6 })),
        ("isUnspecified", [Value::Ip(address)]) => Ok(Value::Bool(address.is_unspecified())),
        ("isLoopback", [Value::Ip(address)]) => Ok(Value::Bool(address.is_loopback())),
        ("isLinkLocalMulticast", [Value::Ip(address)]) => Ok(Value::Bool(is_link_local_multicast(address))),
        ("isLinkLocalUnicast", [Value::Ip(address)]) => Ok(Value::Bool(is_link_local(address))),
        ("isGlobalUnicast", [Value::Ip(address)]) => Ok(Value::Bool(is_global_unicast(address))),
        ("cidr", [Value::Text(text)]) => match range(text) {
            Ok((address, long)) => Ok(Value::Cidr(address, long)),
            Err(why) => fail(unread(&why)),
        },
        ("isCIDR", [Value::Text(text)]) => Ok(Value::Bool(range(text).is_ok())),
        ("ip", [Value::Cidr(address, _)]) => Ok(Value::Ip(*address)),
        ("prefixLength", [Value::Cidr(_, long)]) => Ok(Value::Int((*long).into())),
        ("masked", [Value::Cidr(address, long)]) => Ok(Value::Cidr(masked(address, *long), *long)),
        ("containsIP", [Value::Cidr(of, long), Value::Ip(address)]) => {
            Ok(Value::Bool(contains(of, *long, address)))
        }
        ("containsIP", [Value::Cidr(of, long), Value::Text(text)]) => match address(text) {
            Ok(address) => Ok(Value::Bool(contains(of, *long, &address))),
            Err(_) => fail("no such overload"),
        },
        ("containsCIDR", [Value::Cidr(of, long), Value::Cidr(other, longer)]) => {
            Ok(Value::Bool(within(of, *long, other, *longer)))
        }
        ("containsCIDR", [Value::Cidr(of, long), Value::Text(text)]) => match range(text) {
            Ok((other, longer)) => Ok(Value::Bool(within(of, *long, &other, longer))),
            Err(why) => fail(unread(&unread(&why))),
        },
        _ => return None,
    })
}

fn unread(why: &str) -> String {
    format!("network address parse error during conversion from string: {why}")
}

fn address(text: &str) -> Result<IpAddr, String> {
    if text.contains('%') {
        return Err(format!("IP address {text:?} with zone value is not allowed"));
    }
    let address: IpAddr = text.parse().map_err(|_| format!("ParseAddr({text:?}): unable to parse IP"))?;
    if matches!(address, IpAddr::V6(six) if six.to_ipv4_mapped().is_some()) {
        return Err(format!("IPv4-mapped IPv6 address {text:?} is not allowed"));
    }
    Ok(address)
}

fn range(text: &str) -> Result<(IpAddr, u8), String> {
    let Some((first, long)) = text.rsplit_once('/') else {
        return Err(format!("netip.ParsePrefix({text:?}): no '/'"));
    };
    let bad = |what: String| format!("netip.ParsePrefix({text:?}): {what}");
    if first.contains('%') {
        return Err(bad("IPv6 zones cannot be present in a prefix".to_owned()));
    }
    let address: IpAddr =
        first.parse().map_err(|_| bad(format!("ParseAddr({first:?}): unable to parse IP")))?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let plain = !long.is_empty()
        && long.bytes().all(|c| c.is_ascii_digit())
        && (long == "0" || !long.starts_with('0'));
    let long: u8 = match long.parse() {
        Ok(long) if plain => long,
        _ => return Err(bad(format!("bad bits after slash: {long:?}"))),
    };
    if long > most {
        return Err(bad("prefix length out of range".to_owned()));
    }
    if matches!(address, IpAddr::V6(six) if six.to_ipv4_mapped().is_some()) {
        return Err(format!("IPv4-mapped IPv6 address {first:?} is not allowed"));
    }
    Ok((address, long))
}

fn masked(address: &IpAddr, long: u8) -> IpAddr {
    match address {
        IpAddr::V4(four) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(long.into())).unwrap_or(0);
            IpAddr::V4((u32::from(*four) & mask).into())
        }
        IpAddr::V6(six) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(long.into())).unwrap_or(0);
            IpAddr::V6((u128::from(*six) & mask).into())
        }
    }
}

fn contains(of: &IpAddr, long: u8, address: &IpAddr) -> bool {
    of.is_ipv4() == address.is_ipv4() && masked(of, long) == masked(address, long)
}

fn within(of: &IpAddr, long: u8, other: &IpAddr, longer: u8) -> bool {
    longer >= long && contains(of, long, other)
}

fn is_link_local_multicast(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => matches!(four.octets(), [224, 0, 0, _]),
        IpAddr::V6(six) => six.segments()[0] & 0xff0f == 0xff02,
    }
}

fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => four.is_link_local(),
        IpAddr::V6(six) => six.is_unicast_link_local(),
    }
}

fn is_global_unicast(address: &IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(four) if four.is_broadcast());
    let unspecified = matches!(address, IpAddr::V4(four) if four.is_unspecified())
        || matches!(address, IpAddr::V6(six) if *six == Ipv6Addr::UNSPECIFIED);
    !broadcast && !unspecified && !address.is_loopback() && !address.is_multicast() && !is_link_local(address)
}
