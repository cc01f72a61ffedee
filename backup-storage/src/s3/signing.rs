//! Signatures of requests: AWS Signature Version 4, as Amazon's *Authenticating Requests: Using the Authorization Header*
//! has it. Pure.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What is not written as it is; in keys, slashes are.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// As whom requests are signed, and where they lead.
pub struct Signer<'a> {
    pub access_key: &'a str,
    pub secret_key: &'a str,
    /// Of temporary credentials.
    pub session_token: Option<&'a str>,
    pub region: &'a str,
}

/// A request before it is signed.
pub struct Unsigned<'a> {
    pub method: &'a str,
    /// As it is sent in `Host`.
    pub host: &'a str,
    /// Encoded.
    pub path: &'a str,
    /// Not encoded.
    pub query: &'a [(&'a str, &'a str)],
    /// More headers that are signed: lowercase names, sorted.
    pub headers: &'a [(&'a str, &'a str)],
    /// The SHA-256 of the body.
    pub body: &'a str,
}

/// A path as it is sent.
pub fn path(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

/// A query as it is sent and signed: sorted by name.
pub fn query(pairs: &[(&str, &str)]) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, QUERY).to_string();
    let mut pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.sort();
    pairs.join("&")
}

/// The SHA-256 of bytes, hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

impl Signer<'_> {
    /// The headers that are sent with a request: name and value.
    pub fn headers(&self, request: &Unsigned<'_>, now: Timestamp) -> Vec<(&'static str, String)> {
        let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = &time[..8];
        let mut signed: Vec<(&str, &str)> = request.headers.to_vec();
        signed.extend([
            ("host", request.host),
            ("x-amz-content-sha256", request.body),
            ("x-amz-date", &time),
        ]);
        signed.extend(self.session_token.map(|token| ("x-amz-security-token", token)));
        signed.sort_unstable();
        let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: String = signed.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let canonical = format!(
            "{}\n{}\n{}\n{lines}\n{names}\n{}",
            request.method,
            request.path,
            query(request.query),
            request.body
        );
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", sha256(canonical.as_bytes()));
        let key = [day, self.region, "s3", "aws4_request"]
            .iter()
            .fold(format!("AWS4{}", self.secret_key).into_bytes(), |key, part| mac(&key, part));
        let signature = hex(&mac(&key, &text));
        let access = self.access_key;
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={access}/{scope},SignedHeaders={names},Signature={signature}"
        );
        let mut headers = vec![
            ("authorization", authorization),
            ("x-amz-content-sha256", request.body.to_owned()),
            ("x-amz-date", time.clone()),
        ];
        headers.extend(self.session_token.map(|token| ("x-amz-security-token", token.to_owned())));
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The SHA-256 of nothing.
    const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// The examples of Amazon's *Signature Calculations for the Authorization Header*.
    #[test]
    fn signatures_are_those_of_the_standards_examples() {
        let signer = Signer {
            access_key: "AKIAIOSFODNN7EXAMPLE",
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            session_token: None,
            region: "us-east-1",
        };
        let now: Timestamp = "2013-05-24T00:00:00Z".parse().unwrap();
        let written = sha256(b"Welcome to Amazon S3.");
        let (date, class) =
            (("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY"));
        type Example<'a> =
            (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [(&'a str, &'a str)], &'a str, &'a str);
        let table: [Example<'_>; 4] = [
            (
                "GET",
                "/test.txt",
                &[],
                &[("range", "bytes=0-9")],
                NOTHING,
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                "PUT",
                "/test$file.text",
                &[],
                &[date, class],
                &written,
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            ),
            (
                "GET",
                "/",
                &[("lifecycle", "")],
                &[],
                NOTHING,
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                "GET",
                "/",
                &[("max-keys", "2"), ("prefix", "J")],
                &[],
                NOTHING,
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ];
        for (method, target, query, headers, body, expected) in table {
            let path = path(target);
            let host = "examplebucket.s3.amazonaws.com";
            let request = Unsigned { method, host, path: &path, query, headers, body };
            let sent = signer.headers(&request, now);
            let (_, authorization) = &sent[0];
            assert!(authorization.ends_with(&format!("Signature={expected}")), "{target}: {authorization}");
        }
    }

    #[test]
    fn temporary_credentials_are_signed_too() {
        let signer =
            Signer { access_key: "a", secret_key: "s", session_token: Some("token"), region: "eu-central-1" };
        let request =
            Unsigned { method: "GET", host: "h", path: "/", query: &[], headers: &[], body: NOTHING };
        let sent = signer.headers(&request, "2026-11-22T03:00:00Z".parse().unwrap());
        assert!(sent.contains(&("x-amz-security-token", "token".to_owned())));
        assert!(sent[0].1.contains("x-amz-date;x-amz-security-token,"), "{}", sent[0].1);
    }
}
