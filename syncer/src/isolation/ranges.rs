//! Ranges of addresses, as NetworkPolicies write them (RFC 4632).

use serde_json::{Value, json};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    network: IpAddr,
    length: u32,
}

impl Range {
    /// Reads `ADDRESS/LENGTH`; `None` when it is none. Bits after the length do not count.
    pub fn parse(text: &str) -> Option<Range> {
        let (network, length) = text.split_once('/')?;
        let (network, length) = (network.parse::<IpAddr>().ok()?, length.parse::<u32>().ok()?);
        let network = match network {
            IpAddr::V4(v4) if length <= 32 => {
                Ipv4Addr::from(u32::from(v4) & u32::MAX.checked_shl(32 - length).unwrap_or(0)).into()
            }
            IpAddr::V6(v6) if length <= 128 => {
                Ipv6Addr::from(u128::from(v6) & u128::MAX.checked_shl(128 - length).unwrap_or(0)).into()
            }
            _ => return None,
        };
        Some(Range { network, length })
    }

    /// One address.
    pub fn one(ip: IpAddr) -> Range {
        Range { network: ip, length: if ip.is_ipv4() { 32 } else { 128 } }
    }

    /// Whether an address is in it.
    pub fn has(&self, ip: IpAddr) -> bool {
        self.contains(&Range::one(ip))
    }

    /// Whether all of another one is in it.
    pub fn contains(&self, other: &Range) -> bool {
        let bits = |ip: IpAddr| match ip {
            IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
            IpAddr::V6(v6) => u128::from(v6),
        };
        self.network.is_ipv4() == other.network.is_ipv4()
            && self.length <= other.length
            && (bits(self.network) ^ bits(other.network)).leading_zeros() >= self.length
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

/// A range without some ranges in it: an `ipBlock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The range.
    pub cidr: Range,
    /// What of it is not meant.
    pub except: Vec<Range>,
}

impl Block {
    /// Reads an `ipBlock`; `None` when anything in it cannot be read.
    pub fn read(block: &Value) -> Option<Block> {
        let except = block["except"].as_array().map_or(&[][..], Vec::as_slice);
        Some(Block {
            cidr: Range::parse(block["cidr"].as_str()?)?,
            except: except.iter().map(|range| Range::parse(range.as_str()?)).collect::<Option<_>>()?,
        })
    }

    /// A range as a whole.
    pub fn whole(cidr: Range) -> Block {
        Block { cidr, except: Vec::new() }
    }

    /// What is in both; `None` when that is nothing, or nothing that one block can say.
    pub fn meet(&self, other: &Block) -> Option<Block> {
        let cidr = match (self.cidr.contains(&other.cidr), other.cidr.contains(&self.cidr)) {
            (true, _) => other.cidr,
            (_, true) => self.cidr,
            _ => return None,
        };
        let mut except: Vec<Range> = Vec::new();
        for range in self.except.iter().chain(&other.except) {
            if range.contains(&cidr) {
                return None;
            }
            if cidr.contains(range) && !except.iter().any(|known| known.contains(range)) {
                except.retain(|known| !range.contains(known));
                except.push(*range);
            }
        }
        Some(Block { cidr, except })
    }

    /// Whether an address is meant.
    pub fn has(&self, ip: IpAddr) -> bool {
        self.cidr.has(ip) && !self.except.iter().any(|range| range.has(ip))
    }

    /// As a peer of a NetworkPolicy.
    pub fn peer(&self) -> Value {
        let mut block = json!({"cidr": self.cidr.to_string()});
        if !self.except.is_empty() {
            block["except"] = self.except.iter().map(|range| json!(range.to_string())).collect();
        }
        json!({"ipBlock": block})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_both_is_one_block() {
        for (a, b, expected) in [
            (
                json!({"cidr": "0.0.0.0/0"}),
                json!({"cidr": "10.1.2.3/8"}),
                Some(json!({"cidr": "10.0.0.0/8"})),
            ),
            (
                json!({"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "192.168.0.0/16"]}),
                json!({"cidr": "10.9.0.0/16"}),
                None,
            ),
            (
                json!({"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "9.9.9.0/24"]}),
                json!({"cidr": "9.0.0.0/8", "except": ["9.9.0.0/16"]}),
                Some(json!({"cidr": "9.0.0.0/8", "except": ["9.9.0.0/16"]})),
            ),
            (json!({"cidr": "8.0.0.0/8"}), json!({"cidr": "9.0.0.0/8"}), None),
            (json!({"cidr": "0.0.0.0/0"}), json!({"cidr": "::/0"}), None),
            (json!({"cidr": "::/0", "except": ["fc00::/7"]}), json!({"cidr": "fd00::/8"}), None),
            (
                json!({"cidr": "::/0", "except": ["fc00::/7"]}),
                json!({"cidr": "2001:db8::7/128"}),
                Some(json!({"cidr": "2001:db8::7/128"})),
            ),
        ] {
            let (left, right) = (Block::read(&a).unwrap(), Block::read(&b).unwrap());
            let meet = left.meet(&right).map(|block| block.peer()["ipBlock"].clone());
            assert_eq!(meet, expected, "{a} {b}");
            assert_eq!(right.meet(&left).map(|b| b.cidr), left.meet(&right).map(|b| b.cidr));
        }
        for wrong in ["10.0.0.0", "10.0.0.0/33", "::/129", "x/8", ""] {
            assert_eq!(Range::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Range::parse("10.1.2.3/0").unwrap().to_string(), "0.0.0.0/0");
    }
}
