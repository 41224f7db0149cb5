//! The relay as a receiver, held to the specifications of remote write [1.0] and [2.0].
//!
//! Each MUST, SHOULD and MAY that concerns a receiver has a letter and a number here, and the tests
//! of it begin with them.
//!
//! | | what is asked | tested |
//! |---|---|---|
//! | A1 | takes a POST, on any path | `a1_…`: here the path is `/api/v1/write` |
//! | A2 | the content type says which message it is, nothing else does | `a2_…` |
//! | A3 | content type and encoding are read as RFC 9110 has them | `a3_…`, and `receive::tests` |
//! | A4 | 2.0 is supported; 1.0 may be, on the same path | `a4_…` |
//! | A5 | 415 for any other type, message or encoding, whatever the body | `a5_…` |
//! | A6 | snappy's block format, never the framed one | `a6_…` |
//! | A7 | may tell its version in a header | it does not: senders must not look at it |
//! | A8 | the sender's version header may be missing or odd | `a8_…` |
//! | A9 | unknown fields are ignored; both drafts' start timestamps read | `a9_…`, `v2::tests` |
//! | A10 | bounds before memory is taken | `a10_…`, `remote_write::v2::tests::malformed` |
//! | B1 | 2xx if all was written, best 204 without a body | `b1_…` |
//! | B2 | never 2xx if anything was not; the body says how much and why | `b2_…` |
//! | B3 | what is written is the receiver's to say: queued, or dropped by a rule | `b3_…` |
//! | B4 | 400 if a sample is invalid; the valid ones may be written | `b4_…`: none is |
//! | B5 | 4xx only for what can never succeed, 5xx for the rest | `b5_…` |
//! | B6 | of all 4xx exactly 400 | `b4_…`, `b9_…` check for it |
//! | B7 | may answer 429, and say when to come back | it answers 503, and says so: `b5_…` |
//! | B8 | may ask for a partly written request again | no request is partly written |
//! | B9 | 400 for malformed snappy and protobuf | `b9_…`, `remote_write::v2::tests::malformed` |
//! | B10 | a histogram that does not add up is invalid | `b10_…`: of 2.0; 1.0's are passed on |
//! | C1 | three headers say exactly what was written, in success and failure | `c1_…` |
//! | C2 | not for 1.0 | `c2_…` |
//! | C3 | staleness markers and exemplars count, metadata does not | `c3_…` |
//! | D1 | symbols: the first empty, references within | `d1_…`; none twice: the sender's |
//! | D2 | `labels_refs` are there, in pairs | `d2_…` |
//! | D3 | the whole label set comes with each sample | the sender's part |
//! | D4 | a metric has a name | `d4_…`: of 2.0; in 1.0 a rule may give it one |
//! | D5 | labels: none twice, none without a name, sorted on the way out | `d5_…` |
//! | D6 | names and values are any UTF-8 | `d6_…` |
//! | D7 | names beginning with `__` should not be used | the sender's part: they are carried |
//! | D8 | may bound labels in number and length | `d8_…` |
//! | D9 | timestamps and values are 64 bits | `d9_…` |
//! | D10 | a series has samples or histograms, not both | the sender's part; read: `d10_…` |
//! | D11 | metadata of any type is accepted | `d11_…` |
//! | D12 | exemplars, with or without labels | `d12_…` |
//! | D13 | start timestamps; 0 is none | `a9_…` |
//! | D14 | integer, float and custom-bucket histograms | `d14_…` |
//! | E1, E3 | staleness markers are sent when a series ends | the sender's: `relay::scraping` |
//! | E2 | every NaN is carried bit for bit | `e2_…` |
//! | F1, F2 | samples of a series stay in order | `f1_…`, `relay::delivery` |
//!
//! [1.0]: https://prometheus.io/docs/specs/prw/remote_write_spec/
//! [2.0]: https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/

mod answers;
mod data;
mod negotiation;
mod requests;
