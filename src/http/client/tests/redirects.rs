//! Claims about redirects, above all who does not get the credentials.

use std::net::SocketAddr;
use std::path::Path;

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{Seen, client, get, header, start};
use crate::http::Server;
use crate::http::client::{Client, RequestError};

/// Each way to give a secret, with an open header beside it.
const SECRETS: [&str; 4] = [
    "{basic_auth: {username: u, password: s3cr3t}, http_headers: {X-Open: {values: [o]}}}",
    "{authorization: {credentials: s3cr3t}, http_headers: {X-Open: {values: [o]}}}",
    "{bearer_token: s3cr3t, http_headers: {X-Open: {values: [o]}}}",
    "{http_headers: {X-Token: {secrets: [s3cr3t]}, Cookie: {secrets: [s3cr3t]}, \
      X-Open: {values: [o]}}}",
];

/// Answers `/redirect/STATUS/LOCATION`; a location without a scheme is a path.
pub(super) fn answer(path: &str) -> Response {
    let redirect = path.strip_prefix("/redirect/").unwrap();
    let (status, location) = redirect.split_once('/').unwrap();
    let status: StatusCode = status.parse().unwrap();
    let location = if location.contains("://") {
        location.to_owned()
    } else {
        format!("/{location}")
    };
    (status, [("location", location)]).into_response()
}

/// The same machine by another name, which is another host.
fn elsewhere(address: SocketAddr) -> String {
    format!("http://localhost:{}", address.port())
}

async fn post(client: &Client, server: &Server, path: &str) -> Result<StatusCode, RequestError> {
    let url = format!("http://{}{path}", server.address());
    let body = Bytes::from_static(b"the body");
    let posted = client.post(&url, HeaderMap::new(), body).await;
    posted.map(|response| response.status())
}

fn has_secrets(headers: &HeaderMap) -> bool {
    ["authorization", "x-token", "cookie", "proxy-authorization"]
        .iter()
        .any(|name| headers.contains_key(*name))
}

fn only(seen: &Seen) -> HeaderMap {
    let mut requests = seen.take();
    assert_eq!(requests.len(), 1, "{requests:?}");
    requests.remove(0).1
}

#[tokio::test]
async fn what_is_fetched_from_another_host_is_fetched_without_credentials() {
    let (other, others) = start();
    let (server, seen) = start();
    let away = elsewhere(other.address());
    for yaml in SECRETS {
        let client = client(yaml, Path::new(""));
        let status = get(&client, &server, "/redirect/302/end").await.unwrap();
        assert_eq!(status, 200);
        let requests = seen.take();
        assert_eq!(requests.len(), 2, "{yaml}");
        assert!(
            requests.iter().all(|(_, headers, _)| has_secrets(headers)),
            "{yaml}"
        );
        let path = format!("/redirect/307/{away}/end");
        assert_eq!(get(&client, &server, &path).await.unwrap(), 200);
        assert!(has_secrets(&only(&seen)), "{yaml}");
        let headers = only(&others);
        assert!(!has_secrets(&headers), "{yaml}: {headers:?}");
        assert_eq!(header(&headers, "x-open"), Some("o"));
    }
}

/// The other host could choose what is asked in the user's name.
#[tokio::test]
async fn whoever_comes_back_from_another_host_has_no_credentials_any_more() {
    let (other, others) = start();
    let (server, seen) = start();
    let client = client(SECRETS[0], Path::new(""));
    let back = format!("redirect/302/http://{}/end", server.address());
    let path = format!("/redirect/302/{}/{back}", elsewhere(other.address()));
    assert_eq!(get(&client, &server, &path).await.unwrap(), 200);
    assert!(!has_secrets(&only(&others)));
    let requests = seen.take();
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert!(has_secrets(&requests[0].1) && !has_secrets(&requests[1].1));
}

#[tokio::test]
async fn what_is_posted_with_credentials_stays_with_its_host() {
    let (other, others) = start();
    let (server, seen) = start();
    let path = format!("/redirect/308/{}/end", elsewhere(other.address()));
    for yaml in SECRETS {
        let client = client(yaml, Path::new(""));
        assert_eq!(post(&client, &server, &path).await.unwrap(), 308, "{yaml}");
        assert_eq!(
            post(&client, &server, "/redirect/307/end").await.unwrap(),
            200
        );
        let requests = seen.take();
        assert_eq!(requests.len(), 3);
        assert!(
            requests.iter().all(|(_, headers, _)| has_secrets(headers)),
            "{yaml}"
        );
        assert_eq!(requests[2].2, "the body");
    }
    let plain = client("{}", Path::new(""));
    let url = format!("http://u:s3cr3t@{}{path}", server.address());
    let posted = plain.post(&url, HeaderMap::new(), Bytes::new()).await;
    assert_eq!(posted.unwrap().status(), 308);
    assert!(has_secrets(&only(&seen)), "userinfo is sent");
    assert!(others.take().is_empty());
    let open = client("{http_headers: {X-Open: {values: [o]}}}", Path::new(""));
    for client in [plain, open] {
        assert_eq!(post(&client, &server, &path).await.unwrap(), 200);
        assert_eq!(others.take().remove(0).2, "the body");
    }
}

#[tokio::test]
async fn redirects_end_and_a_post_is_not_made_a_get() {
    let (server, seen) = start();
    let client = client("{}", Path::new(""));
    for status in [301, 302, 303, 304] {
        let path = format!("/redirect/{status}/end");
        assert_eq!(post(&client, &server, &path).await.unwrap(), status);
        assert_eq!(seen.take().len(), 1);
    }
    let eleven = "/redirect/307".repeat(11) + "/end";
    for result in [
        get(&client, &server, &eleven).await,
        post(&client, &server, &eleven).await,
    ] {
        assert!(matches!(result, Err(RequestError::Redirects)), "{result:?}");
    }
    assert_eq!(seen.take().len(), 22);
    let ten = "/redirect/307".repeat(10) + "/end";
    assert_eq!(get(&client, &server, &ten).await.unwrap(), 200);
    let file = get(&client, &server, "/redirect/302/file:///etc/passwd").await;
    assert!(matches!(file, Err(RequestError::Url)), "{file:?}");
    let stays = super::client("follow_redirects: false", Path::new(""));
    assert_eq!(
        get(&stays, &server, "/redirect/302/end").await.unwrap(),
        302
    );
}
