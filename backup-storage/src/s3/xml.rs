//! What S3 answers: the few elements that are asked for. No reader of XML at large. Pure.

/// The texts of all elements of a name, in their order. Elements of one name are not in each other in any answer.
pub fn all<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(&open) {
        rest = &rest[start + open.len()..];
        let Some(end) = rest.find(&close) else { break };
        found.push(&rest[..end]);
        rest = &rest[end + close.len()..];
    }
    found
}

/// The text of the first element of a name.
pub fn first(text: &str, name: &str) -> Option<String> {
    all(text, name).first().map(|inner| unescaped(inner))
}

/// A text as it was before it was put into XML.
pub fn unescaped(text: &str) -> String {
    const NAMED: &[(&str, char)] = &[("lt", '<'), ("gt", '>'), ("amp", '&'), ("quot", '"'), ("apos", '\'')];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.find(';').unwrap_or(0);
        let name = rest.get(1..end).unwrap_or("");
        let numbered = name.strip_prefix("#x").map(|hex| u32::from_str_radix(hex, 16));
        let numbered = numbered.or_else(|| name.strip_prefix('#').map(str::parse));
        let letter = NAMED.iter().find(|(known, _)| *known == name).map(|(_, letter)| *letter);
        match letter.or_else(|| numbered.and_then(Result::ok).and_then(char::from_u32)) {
            Some(letter) => {
                out.push(letter);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn elements_are_found_by_their_names() {
        let text = "<?xml version=\"1.0\"?>\n<L xmlns=\"x\"><C><Key>a&amp;b</Key><Size>1</Size></C><C><Key>&#x63;&#100;&quot;</Key></C>\
            <IsTruncated>false</IsTruncated><Key>cut";
        let keys: Vec<String> = all(text, "Key").into_iter().map(unescaped).collect();
        assert_eq!(keys, ["a&b", "cd\""]);
        assert_eq!(first(text, "IsTruncated").as_deref(), Some("false"));
        assert_eq!(all(text, "C").len(), 2);
        assert_eq!(first(text, "Message"), None);
        for same in ["&", "&;", "&nbsp;", "a & b", "&#xzz;", "&#1114112;"] {
            assert_eq!(unescaped(same), same);
        }
    }

    proptest! {
        #[test]
        fn anything_is_read(text in "[<>&;#a-zA-Z/é]{0,60}") {
            all(&text, "a");
            unescaped(&text);
        }
    }
}
