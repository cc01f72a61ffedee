//! What names may be, by table and by property.

use super::*;
use proptest::prelude::*;

type Rule = fn(&str) -> Vec<String>;

#[test]
fn good_and_bad_names() {
    let long = |n: usize| "a".repeat(n);
    let table: Vec<(&str, Rule, Vec<String>, Vec<String>)> = vec![
        (
            "label",
            dns_label,
            vec!["a".into(), "0".into(), "my-name".into(), long(63)],
            vec!["".into(), "-a".into(), "a-".into(), "A".into(), "a.b".into(), "a_b".into(), long(64)],
        ),
        (
            "subdomain",
            dns_subdomain,
            vec!["a.b".into(), "a-1.b".into(), long(253)],
            vec!["".into(), ".".into(), "a..b".into(), "a.-b".into(), "a.B".into(), long(254)],
        ),
        (
            "underscored subdomain",
            dns_subdomain_with_underscore,
            vec!["_tcp.a".into(), "a_b".into()],
            vec!["__a".into(), "_".into(), "a.".into()],
        ),
        (
            "RFC 1035 label",
            dns_1035_label,
            vec!["a".into(), "a-0".into()],
            vec!["0a".into(), "-".into(), "".into(), long(64)],
        ),
        ("wildcard", wildcard_subdomain, vec!["*.a.b".into()], vec!["*".into(), "a.*".into(), "*.".into()]),
        (
            "qualified name",
            qualified_name,
            vec!["a".into(), "A_b.c-D".into(), "example.com/x".into()],
            vec![
                "".into(),
                "/a".into(),
                "a/".into(),
                "a/b/c".into(),
                "-a".into(),
                "A.com/x".into(),
                long(64),
            ],
        ),
        (
            "label value",
            label_value,
            vec!["".into(), "A_b.c".into()],
            vec!["-".into(), "a ".into(), long(64)],
        ),
        (
            "path segment",
            path_segment,
            vec!["system:a".into(), "A b".into()],
            vec![".".into(), "..".into(), "a/b".into(), "a%b".into()],
        ),
        (
            "config key",
            config_key,
            vec!["a.b_c-D".into(), ".x".into()],
            vec!["".into(), ".".into(), "..a".into(), "a b".into()],
        ),
        (
            "environment",
            env_name,
            vec!["A".into(), "1 a-b.c".into()],
            vec!["".into(), "a=b".into(), "é".into(), "\t".into()],
        ),
        (
            "port",
            port_name,
            vec!["http".into(), "a-1".into()],
            vec!["".into(), "1".into(), "a--b".into(), "-a".into(), "A".into(), long(16)],
        ),
        ("percent", percent, vec!["25%".into()], vec!["%".into(), "25".into(), "-1%".into(), "1.5%".into()]),
        ("header", http_header, vec!["X-A".into()], vec!["".into(), "a b".into(), "a_b".into()]),
        (
            "path of a URL",
            http_path,
            vec!["c/d".into(), "%20~".into()],
            vec!["".into(), "b c".into(), "é".into()],
        ),
        (
            "address",
            ip,
            vec!["10.0.0.1".into(), "::1".into(), "FE80:0::1".into()],
            vec![
                "".into(),
                "10.0.0".into(),
                "010.0.0.1".into(),
                "::ffff:1.2.3.4".into(),
                "1.2.3.4/32".into(),
            ],
        ),
        (
            "canonical address",
            canonical_ip,
            vec!["2001:db8::1".into()],
            vec!["2001:0db8::1".into(), "x".into()],
        ),
        (
            "network",
            cidr,
            vec![
                "10.0.0.0/8".into(),
                "0.0.0.0/0".into(),
                "::/0".into(),
                "2001:db8::/32".into(),
                "1.2.3.4/32".into(),
            ],
            vec![
                "10.0.0.0".into(),
                "10.0.0.1/8".into(),
                "10.0.0.0/33".into(),
                "10.0.0.0/08".into(),
                "::/129".into(),
                "a/8".into(),
            ],
        ),
    ];
    for (what, rule, good, bad) in table {
        good.iter().for_each(|text| assert_eq!(rule(text), Vec::<String>::new(), "{what}: {text:?}"));
        bad.iter().for_each(|text| assert!(!rule(text).is_empty(), "{what}: {text:?}"));
    }
}

#[test]
fn refusals_say_what_a_name_must_be() {
    assert_eq!(
        dns_label("a.b"),
        ["must not contain dots"],
        "a good subdomain is told only what is wrong with it"
    );
    assert_eq!(dns_label(&"a".repeat(64)), ["must be no more than 63 characters"]);
    assert!(dns_label("A")[0].ends_with(
        "(e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
    ));
    assert_eq!(qualified_name("/a"), ["prefix part must be non-empty"]);
    assert_eq!(qualified_name("a/")[0], "name part must be non-empty");
    assert_eq!(port_number(0), ["must be between 1 and 65535, inclusive"]);
    assert_eq!(ip("010.0.0.1"), ["must not have leading 0s"]);
    assert_eq!(not_special_ip("127.0.0.1"), ["may not be in the loopback range (127.0.0.0/8, ::1/128)"]);
    assert_eq!(not_special_ip("fe80::1"), ["may not be in the link-local range (169.254.0.0/16, fe80::/10)"]);
    assert_eq!(of_prefix(dns_label, "web-"), Vec::<String>::new());
    assert!(!of_prefix(dns_label, "-").is_empty());
}

proptest! {
    #[test]
    fn the_shown_patterns_are_the_rules(text in "[a-zA-Z0-9._/%*-]{0,12}") {
        let full = |pattern: &str| regex::Regex::new(&format!("^(?:{pattern})$")).unwrap();
        prop_assert_eq!(dns_label(&text).is_empty(), full(LABEL).is_match(&text));
        let subdomain = full(&format!(r"{LABEL}(\.{LABEL})*"));
        prop_assert_eq!(dns_subdomain(&text).is_empty(), subdomain.is_match(&text));
        let rfc_1035 = full("[a-z]([-a-z0-9]*[a-z0-9])?");
        prop_assert_eq!(dns_1035_label(&text).is_empty(), rfc_1035.is_match(&text));
        let value = full(&format!("({QUALIFIED})?"));
        prop_assert_eq!(label_value(&text).is_empty(), value.is_match(&text));
        let wildcard = full(&format!(r"\*\.{LABEL}(\.{LABEL})*"));
        prop_assert_eq!(wildcard_subdomain(&text).is_empty(), wildcard.is_match(&text));
        let qualified = match text.split_once('/') {
            None => full(QUALIFIED).is_match(&text),
            Some((prefix, name)) => subdomain.is_match(prefix) && full(QUALIFIED).is_match(name),
        };
        prop_assert_eq!(qualified_name(&text).is_empty(), qualified);
    }

    #[test]
    fn narrower_rules_imply_wider_ones(text in "\\PC{0,80}|[a-z0-9.-]{0,80}") {
        if dns_1035_label(&text).is_empty() {
            prop_assert!(dns_label(&text).is_empty());
        }
        if dns_label(&text).is_empty() {
            prop_assert!(dns_subdomain(&text).is_empty());
            prop_assert!(label_value(&text).is_empty());
            prop_assert!(path_segment(&text).is_empty());
        }
    }

    #[test]
    fn every_network_of_an_address_is_good_and_canonical(bits: u32, length in 0u32..=32) {
        let network = bits.checked_shl(32 - length).unwrap_or(0);
        let address = std::net::Ipv4Addr::from(network);
        prop_assert_eq!(cidr(&format!("{address}/{length}")), Vec::<String>::new());
        prop_assert_eq!(canonical_ip(&address.to_string()), Vec::<String>::new());
    }
}
