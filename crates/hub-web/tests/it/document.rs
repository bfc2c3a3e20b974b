//! The OpenAPI document against the router and its real answers.

use axum::{body::Body, http::StatusCode};
use serde_json::{Value, json};

use crate::hub::{Hub, request};

const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

async fn document(hub: &Hub) -> Value {
    let answer = hub.get("/api/v1/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"));
    answer.json()
}

/// Others build on this document: a change of it is looked at.
#[tokio::test]
async fn the_document_is_as_it_was() {
    let mut document = document(&Hub::empty().await).await;
    assert_eq!(document["openapi"], "3.1.0");
    document["info"]["version"] = json!("0.0.0");
    insta::assert_json_snapshot!("openapi", document);
}

/// A route that only the router or only the document has fails here.
#[tokio::test]
async fn the_document_and_the_router_have_the_same_routes() {
    let hub = Hub::empty().await;
    let document = document(&hub).await;
    let paths = document["paths"].as_object().expect("paths");
    let routed: Vec<String> = hub_web::route_paths().into_iter().filter(|path| path.starts_with("/api/")).collect();
    assert!(routed.len() > 20, "{routed:?}");
    for path in &routed {
        assert!(paths.contains_key(path), "{path} is not in the document");
    }
    for (path, operations) in paths {
        let filled: String =
            path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/");
        for method in METHODS {
            let sent = request(&method.to_uppercase(), &filled).body(Body::from("?")).expect("a request");
            let answer = hub.send(sent).await;
            let documented = operations.get(method).is_some();
            let routed =
                answer.status != StatusCode::METHOD_NOT_ALLOWED && !answer.text().contains("There is nothing at");
            assert_eq!(documented, routed, "{method} {path}: {} {}", answer.status, answer.text());
        }
    }
}

#[tokio::test]
async fn every_operation_says_who_may_ask_and_how_faults_are_told() {
    let document = document(&Hub::empty().await).await;
    assert!(document["security"].as_array().is_some_and(|ways| ways.len() == 3), "{}", document["security"]);
    let mut ids = Vec::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for method in METHODS.iter().filter_map(|method| operations.get(*method)) {
            let about = format!("{path}: {method}");
            ids.push(method["operationId"].as_str().expect(&about).to_owned());
            assert!(
                method["summary"].as_str().is_some_and(|text| text.ends_with(['.', '…']) || text.len() > 10),
                "{about}"
            );
            let problem = &method["responses"]["default"]["content"]["application/problem+json"];
            assert_eq!(problem["schema"]["$ref"], "#/components/schemas/Problem", "{about}");
            let named = path.matches('{').count();
            let in_path = method["parameters"]
                .as_array()
                .map_or(0, |parameters| parameters.iter().filter(|parameter| parameter["in"] == "path").count());
            assert_eq!(named, in_path, "{about}");
        }
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "operation ids are unique");
}

/// Real answers of every GET, held against the document; a field that the document does not know fails
/// as well.
#[tokio::test]
async fn real_answers_are_as_the_document_says() {
    let hub = Hub::with_server(10).await;
    let server = json!({"name": "headers", "base_url": "http://127.0.0.1:9", "enabled": false,
        "auth": {"kind": "headers", "headers": [["X-A", "env:A"]]}});
    assert_eq!(hub.json("POST", "/api/v1/servers", &server).await.status, StatusCode::CREATED);
    let llm = json!({"name": "ollama", "base_url": "127.0.0.1:9", "api_key": "hunter2"});
    assert_eq!(hub.json("POST", "/api/v1/llm-servers", &llm).await.status, StatusCode::CREATED);
    let key = hub.json("POST", "/api/v1/keys", &json!({"name": "bot", "rate_per_minute": 9})).await;
    assert_eq!(key.status, StatusCode::CREATED, "{}", key.text());
    let key_id = key.json()["id"].as_str().expect("an id").to_owned();
    let body = json!({"tool": "generate_image", "arguments": {"prompt": "a red fox", "seed": 7}});
    let submitted = hub.json("POST", "/api/v1/jobs", &body).await;
    let id = submitted.json()["id"].as_str().expect("an id").to_owned();
    let job = hub.ended(&id).await;
    hub.json("PUT", "/api/v1/llm-roles/enhance", &json!({"server": "ollama", "model": "m"})).await;
    let image = job["images"][0]["id"].as_str().expect("an image").to_owned();

    let document = document(&hub).await;
    let check = Checker::new(&document);
    check.answer("post", "/api/v1/jobs", "202", &submitted.json());
    check.answer("post", "/api/v1/keys", "201", &key.json());
    let filled = |path: &str| {
        let (prefix, name) = path.split_once('{').map_or((path, ""), |(prefix, rest)| (prefix, rest));
        let name = match prefix {
            "/api/v1/jobs/" => name.replacen("id}", &id, 1),
            "/api/v1/images/" => name.replacen("id}", &image, 1),
            "/api/v1/keys/" => name.replacen("id}", &key_id, 1),
            "/api/v1/servers/" => name.replacen("id}", "sim", 1),
            "/api/v1/workflows/" => name.replacen("id}", "txt2img-sd15", 1).replace("{version}", "1"),
            "/api/v1/render-types/" => name.replacen("id}", "sd15", 1),
            "/api/v1/styles/" => name.replacen("id}", "anime", 1),
            "/api/v1/llm-servers/" => name.replacen("id}", "ollama", 1),
            "/api/v1/llm-roles/" => name.replacen("role}", "enhance", 1),
            _ => name.to_owned(),
        };
        format!("{prefix}{name}")
    };
    let mut checked = 0;
    for (path, operations) in document["paths"].as_object().expect("paths") {
        let Some(get) = operations.get("get") else { continue };
        if get["responses"]["200"]["content"].get("application/json").is_none() {
            continue;
        }
        let answer = hub.get(&filled(path)).await;
        if path.ends_with("/models") {
            // Nobody listens there: the fault is what is checked.
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
            check.answer("get", path, "default", &answer.json());
            continue;
        }
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
        check.answer("get", path, "200", &answer.json());
        checked += 1;
    }
    assert!(checked >= 16, "only {checked} answers were checked");
    // The check itself is checked: it sees a field too many, deep down, and one of another type.
    let mut servers = hub.get("/api/v1/servers").await.json();
    servers["servers"][0]["auth"]["token"] = json!("hunter2");
    assert_ne!(check.faults("get", "/api/v1/servers", "200", &servers), Vec::<String>::new());
    let mut style = hub.get("/api/v1/styles/anime").await.json();
    style["surprise"] = json!(1);
    assert_ne!(check.faults("get", "/api/v1/styles/{id}", "200", &style), Vec::<String>::new());
    let missing = hub.get("/api/v1/servers/nobody").await;
    check.answer("get", "/api/v1/servers/{id}", "404", &missing.json());
}

/// Holds answers against the document's schemas, made strict: a field that is not described is a fault.
struct Checker {
    document: Value,
}

impl Checker {
    fn new(document: &Value) -> Self {
        let mut document = document.clone();
        for schema in document["components"]["schemas"].as_object_mut().expect("schemas").values_mut() {
            let open = schema.get("allOf").is_some() || schema.get("properties").is_some();
            if open && let Some(schema) = schema.as_object_mut() {
                // Unlike `additionalProperties` it sees the parts of `allOf`; those must be open themselves.
                schema.entry("unevaluatedProperties").or_insert(json!(false));
            }
        }
        let parts: Vec<String> = document["components"]["schemas"]
            .as_object()
            .expect("schemas")
            .values()
            .filter_map(|schema| schema["allOf"].as_array())
            .flatten()
            .filter_map(|part| part["$ref"].as_str())
            .filter_map(|part| part.rsplit('/').next())
            .map(str::to_owned)
            .collect();
        for part in parts {
            let schema = document["components"]["schemas"][&part].as_object_mut().expect("a schema");
            schema.shift_remove("unevaluatedProperties");
        }
        Self { document }
    }

    fn answer(&self, method: &str, path: &str, status: &str, body: &Value) {
        let faults = self.faults(method, path, status, body);
        assert!(faults.is_empty(), "{method} {path} {status}: {faults:#?}\n{body:#}");
    }

    fn faults(&self, method: &str, path: &str, status: &str, body: &Value) -> Vec<String> {
        let content = self.document["paths"][path][method]["responses"][status]["content"].as_object();
        let schema = &content.and_then(|content| content.values().next()).expect("a content")["schema"];
        let mut whole = json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [schema]});
        whole["components"] = self.document["components"].clone();
        let validator = jsonschema::validator_for(&whole).expect("a schema");
        validator.iter_errors(body).map(|error| format!("{} at {}", error, error.instance_path())).collect()
    }
}
