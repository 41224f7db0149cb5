//! Every key that belongs to somebody else is told from a typing error.

use super::problems;
use crate::config::foreign::KEYS;

#[test]
fn every_foreign_key_is_named_where_it_stands() {
    for (owner, keys, _) in KEYS {
        for key in *keys {
            let entry = "remote_write: [{url: 'http://a/b'";
            let job = "scrape_configs: [{job_name: j";
            let oauth2 = "oauth2: {client_id: i, client_secret: s, token_url: 'http://t/'";
            let text = match *owner {
                "File" => format!("{entry}}}]\n{key}: [1]\n"),
                "ScrapeConfig" => {
                    format!("{entry}}}]\nscrape_configs: [{{job_name: j, {key}: [1]}}]\n")
                }
                "Global" => format!("{entry}}}]\nglobal: {{{key}: [1]}}\n"),
                "RemoteWrite" => format!("{entry}, {key}: [1]}}]\n"),
                "Storage" => format!("{entry}}}]\nstorage: {{{key}: [1]}}\n"),
                "Queue" => format!("{entry}, queue: {{{key}: [1]}}}}]\n"),
                "QueueConfig" => format!("{entry}, queue_config: {{{key}: [1]}}}}]\n"),
                "BasicAuth" => format!("{entry}, basic_auth: {{{key}: [1]}}}}]\n"),
                "Authorization" => {
                    format!("{entry}, authorization: {{credentials: c, {key}: [1]}}}}]\n")
                }
                "OAuth2" => format!("{entry}}}]\n{job}, {oauth2}, {key}: [1]}}}}]\n"),
                "TlsConfig" => format!("{entry}}}]\n{job}, tls_config: {{{key}: [1]}}}}]\n"),
                other => panic!("no place for the keys of {other}"),
            };
            let told = problems(&text);
            assert_eq!(told.lines().count(), 1, "{text}{told}");
            assert!(told.contains(&format!(": `{key}` ")), "{text}{told}");
        }
    }
}
