//! The curl of a job's page, as somebody copies it: what it asks is done, on an open hub as it stands and on a closed one
//! with a key in its place.

#[path = "../../../../hub-web/tests/it/shell.rs"]
mod shell;

use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode, header};
use serde_json::{Value, json};

use self::shell::words;
use super::{Bed, KEY, told};

fn ask(bed: &Bed, key: Option<&str>, method: Method, path: &str) -> RequestBuilder {
    let request = bed.ask(method, path);
    match key {
        Some(key) => request.bearer_auth(key),
        None => request,
    }
}

/// The curl of a job that is over.
async fn shown(bed: &Bed, key: Option<&str>) -> String {
    let job = json!({"tool": "generate_image", "arguments": {"prompt": "it's $HOME & a \"fox\"", "seed": 7}});
    let (status, made) = told(ask(bed, key, Method::POST, "/api/v1/jobs").json(&job).send().await.unwrap()).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{made}");
    let id = made["id"].as_str().unwrap();
    bed.hub.engine.wait(id.parse().unwrap(), Duration::from_mins(1)).await.unwrap();
    let page = ask(bed, key, Method::GET, &format!("/jobs/{id}")).header(header::ACCEPT, "text/html");
    let page = page.send().await.unwrap().text().await.unwrap();
    let curl = page.split("id=\"call-curl\">").nth(1).and_then(|rest| rest.split("</code>").next()).expect("a curl");
    let signs = [("&#x2f;", "/"), ("&#x27;", "'"), ("&quot;", "\""), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    signs.iter().fold(curl.to_owned(), |text, (entity, sign)| text.replace(entity, sign))
}

/// What curl would send, sent.
async fn sent(bed: &Bed, words: &[String]) -> (StatusCode, Value) {
    let mut words = words.iter().map(String::as_str);
    assert_eq!(words.next(), Some("-s"));
    let mut request = bed.http.post(words.next().expect("an address"));
    while let (Some(flag), Some(value)) = (words.next(), words.next()) {
        request = match (flag, value.split_once(": ")) {
            ("-H", Some((name, value))) => request.header(name, value),
            ("-d", _) => request.body(value.to_owned()),
            _ => panic!("{flag} {value}"),
        };
    }
    told(request.send().await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_curl_of_a_jobs_page_comes_in_at_open_and_closed_hubs() {
    for (bed, key) in [(Bed::start(|_| {}).await, None), (Bed::closed().await, Some(KEY))] {
        let curl = shown(&bed, key).await;
        assert_eq!(curl.contains("YOUR_KEY"), key.is_some(), "{curl}");
        if let Some(words) = words(&curl.replace("YOUR_KEY", KEY)) {
            let (status, answer) = sent(&bed, &words).await;
            assert_eq!((status, &answer["result"]["isError"]), (StatusCode::OK, &json!(false)), "{answer}");
        }
        bed.end().await;
    }
}
