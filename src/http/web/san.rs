//! The names in a certificate's `subjectAltName`, as Go lists them: DNS names, addresses of
//! e-mail, IP addresses and URIs.
//!
//! Reads as much of a certificate's DER as leads there ([RFC 5280], section 4.1 and 4.2.1.6), and
//! nothing that is not DER: lengths have to be definite and to fit.
//!
//! [RFC 5280]: https://www.rfc-editor.org/rfc/rfc5280

use std::net::{Ipv4Addr, Ipv6Addr};

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
/// `extensions [3] EXPLICIT` of a `TBSCertificate`.
const EXTENSIONS: u8 = 0xa3;
/// 2.5.29.17
const SUBJECT_ALT_NAME: [u8; 3] = [0x55, 0x1d, 0x11];

/// `GeneralName`'s choices that are texts or addresses.
const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const URI: u8 = 0x86;
const IP: u8 = 0x87;

/// The names; `None` if this is no certificate.
pub(super) fn names(certificate: &[u8]) -> Option<Vec<String>> {
    let (certificate, rest) = expect(certificate, SEQUENCE)?;
    if !rest.is_empty() {
        return None;
    }
    let (to_be_signed, _) = expect(certificate, SEQUENCE)?;
    let Some(extensions) = find(to_be_signed, EXTENSIONS)? else {
        return Some(Vec::new());
    };
    let (mut extensions, _) = expect(extensions, SEQUENCE)?;
    let mut names = Vec::new();
    while !extensions.is_empty() {
        let (extension, rest) = expect(extensions, SEQUENCE)?;
        extensions = rest;
        let (identifier, _) = expect(extension, OBJECT_IDENTIFIER)?;
        if identifier == SUBJECT_ALT_NAME {
            let value = find(extension, OCTET_STRING)??;
            let (mut general_names, _) = expect(value, SEQUENCE)?;
            while !general_names.is_empty() {
                let (tag, name, rest) = element(general_names)?;
                general_names = rest;
                names.extend(text(tag, name));
            }
        }
    }
    Some(names)
}

/// A name as Go writes it; none of a kind that it does not list.
fn text(tag: u8, name: &[u8]) -> Option<String> {
    match tag {
        EMAIL | DNS | URI => std::str::from_utf8(name).ok().map(str::to_owned),
        IP => match name.len() {
            4 => <[u8; 4]>::try_from(name)
                .ok()
                .map(|bytes| Ipv4Addr::from(bytes).to_string()),
            16 => <[u8; 16]>::try_from(name)
                .ok()
                .map(|bytes| Ipv6Addr::from(bytes).to_canonical().to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// The content of the first element with this tag. Outside is `None` if this is no DER.
#[expect(
    clippy::option_option,
    reason = "nothing found and no DER are not the same"
)]
fn find(mut der: &[u8], wanted: u8) -> Option<Option<&[u8]>> {
    while !der.is_empty() {
        let (tag, content, rest) = element(der)?;
        if tag == wanted {
            return Some(Some(content));
        }
        der = rest;
    }
    Some(None)
}

/// The content of the first element, which has this tag, and what follows it.
fn expect(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(der)?;
    (found == tag).then_some((content, rest))
}

/// The first element: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    // Tags of more than one byte do not occur in certificates.
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = bytes
                .iter()
                .fold(0, |length, byte| (length << 8) | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}
