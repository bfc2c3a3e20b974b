//! Resources: listed in pages, read, followed; and what is told when the catalogue changes.

use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::StreamExt as _;
use hub_core::{
    access::KeyRights,
    caller::Caller,
    job::JobStateKind,
    request::ToolCall,
    server::{LlmRole, NewServer},
};
use serde_json::{Value, json};

use crate::{
    current_era::{ask, quick, request},
    harness::{DEADLINE, TestHub, job_of, record},
    older_eras::Session,
};

/// Everything that can be listed, page by page.
async fn list_all(hub: &TestHub) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let params = cursor.map_or_else(|| json!({}), |cursor: Value| json!({"cursor": cursor}));
        let mut result = ask(hub, "resources/list", params).await["result"].take();
        assert!(result["resources"].as_array().unwrap().len() <= 60, "a page is bounded");
        all.append(result["resources"].as_array_mut().unwrap());
        match result.get("nextCursor") {
            Some(next) => cursor = Some(next.clone()),
            None => return all,
        }
    }
}

async fn read(hub: &TestHub, uri: &str) -> Value {
    let mut answer = ask(hub, "resources/read", json!({"uri": uri})).await;
    assert!(answer.get("error").is_none(), "{uri}: {answer}");
    assert_eq!(answer["result"]["cacheScope"], "private", "{uri}");
    answer["result"].take()
}

fn text(result: &Value) -> Value {
    assert_eq!(result["contents"][0]["mimeType"], "application/json");
    serde_json::from_str(result["contents"][0]["text"].as_str().unwrap()).unwrap()
}

/// Reads an event stream until it holds all of `wanted`, doing `act` once it holds `begun`.
async fn hear(body: Body, begun: &str, act: impl AsyncFnOnce(), wanted: &[&str]) -> String {
    let mut events = body.into_data_stream();
    let mut heard = String::new();
    let mut act = Some(act);
    let listen = async {
        loop {
            if heard.contains(begun)
                && let Some(act) = act.take()
            {
                act().await;
            }
            if act.is_none() && wanted.iter().all(|text| heard.contains(text)) {
                break;
            }
            let chunk = events.next().await.expect("the stream goes on").unwrap();
            heard.push_str(&String::from_utf8_lossy(&chunk));
        }
    };
    let in_time = tokio::time::timeout(DEADLINE, listen).await.is_ok();
    assert!(in_time, "not all of {wanted:?}: {heard}");
    heard
}

async fn listen(hub: &TestHub, notifications: Value) -> Body {
    listen_as(hub, &Caller::local(), notifications).await
}

async fn listen_as(hub: &TestHub, caller: &Caller, notifications: Value) -> Body {
    let (body, headers) = request("subscriptions/listen", json!({"notifications": notifications}), &json!({}));
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    hub.send_as(caller, "/mcp", &headers, body).await.into_body()
}

#[tokio::test]
async fn everything_is_listed_once_and_each_can_be_read() {
    let hub = TestHub::start(0).await;
    let made = ask(&hub, "tools/call", quick(&json!({}))).await;
    let image = record(&made["result"])["images"][0]["id"].as_str().unwrap().to_owned();
    let all = list_all(&hub).await;
    let mut uris: Vec<&str> = all.iter().map(|one| one["uri"].as_str().unwrap()).collect();
    let catalogue = hub.engine.catalogue();
    for wanted in [
        "genimage://images",
        "genimage://styles",
        "genimage://render-types",
        &format!("genimage://images/{image}"),
        &format!("genimage://recipes/{}", job_of(&made["result"])),
        &format!("genimage://styles/{}", catalogue.styles[0].name),
        "genimage://render-types/sd15",
    ] {
        assert!(uris.contains(&wanted), "{wanted}: {uris:?}");
    }
    for uri in &uris {
        let result = read(&hub, uri).await;
        assert_eq!(result["contents"][0]["uri"], **uri);
        assert!(result["ttlMs"].is_u64(), "{uri}");
    }
    let count = uris.len();
    uris.sort_unstable();
    uris.dedup();
    assert_eq!(uris.len(), count, "each once");
    let bad = ask(&hub, "resources/list", json!({"cursor": "nonsense"})).await;
    assert_eq!(bad["error"]["code"], -32602);
}

#[tokio::test]
async fn a_job_its_recipe_and_its_pictures_can_be_read() {
    let hub = TestHub::start(0).await;
    let made = ask(&hub, "tools/call", quick(&json!({}))).await["result"].take();
    let job = job_of(&made);
    assert_eq!(&text(&read(&hub, &format!("genimage://jobs/{job}")).await), record(&made));
    let recipe = text(&read(&hub, &format!("genimage://recipes/{job}")).await);
    assert_eq!((&recipe["recipe"]["seed"], &recipe["recipe"]["render_type"]), (&json!(7), &json!("sd15")), "{recipe}");
    let id = record(&made)["images"][0]["id"].as_str().unwrap();
    let small = read(&hub, &format!("genimage://previews/{id}")).await;
    let small = STANDARD.decode(small["contents"][0]["blob"].as_str().unwrap()).unwrap();
    let small = image::load_from_memory(&small).unwrap();
    assert!(small.width().max(small.height()) <= 384);
    let newest = text(&read(&hub, "genimage://images").await);
    assert_eq!((&newest["images"][0]["id"], &newest["images"][0]["seed"]), (&json!(id), &json!(7)));
    let style = text(&read(&hub, &format!("genimage://styles/{}", hub.engine.catalogue().styles[0].name)).await);
    assert!(style["prompt_template"].is_string(), "{style}");
    let templates = ask(&hub, "resources/templates/list", json!({})).await;
    for template in templates["result"]["resourceTemplates"].as_array().unwrap() {
        let template = template["uriTemplate"].as_str().unwrap();
        let value = match template {
            "genimage://jobs/{id}" | "genimage://recipes/{id}" => job.to_string(),
            "genimage://styles/{name}" => hub.engine.catalogue().styles[0].name.clone(),
            "genimage://render-types/{name}" => "sd15".to_owned(),
            _ => id.to_owned(),
        };
        read(&hub, &template.replace("{id}", &value).replace("{name}", &value)).await;
    }
}

#[tokio::test]
async fn a_running_job_must_not_be_kept_and_an_ended_one_may() {
    let hub = TestHub::start(60_000).await;
    let handle = ask(&hub, "tools/call", quick(&json!({"wait_s": 0}))).await["result"].take();
    let uri = format!("genimage://jobs/{}", job_of(&handle));
    let running = read(&hub, &uri).await;
    assert_eq!((&running["ttlMs"], &text(&running)["status"]), (&json!(0), &json!("running")));
    hub.engine.cancel(job_of(&handle)).await.unwrap();
    hub.becomes(job_of(&handle), JobStateKind::Cancelled).await;
    let ended = read(&hub, &uri).await;
    assert!(ended["ttlMs"].as_u64().unwrap() > 0);
    assert_eq!(text(&ended)["status"], "cancelled");
}

#[tokio::test]
async fn both_eras_hear_of_tools_and_resources_when_a_server_a_render_type_or_an_llm_changes() {
    let hub = TestHub::start(0).await;
    let session = Session::begin(&hub, "2025-11-25").await;
    let told = ["notifications/tools/list_changed", "notifications/resources/list_changed"];
    for change in ["server", "render type", "style", "llm"] {
        let act = async || match change {
            "server" => {
                let url = format!("http://127.0.0.1:9/{}", hub.engine.catalogue().version);
                hub.engine.server_add(NewServer::named("gpu-2", url.parse().unwrap())).await.map(drop).unwrap();
            }
            "render type" => {
                let mut kind = hub.engine.catalogue().render_type("sd15").unwrap().clone();
                kind.visible = false;
                hub.engine.render_type_save(kind).await.map(drop).unwrap();
            }
            "style" => {
                let mut style = hub.engine.catalogue().styles[0].clone();
                style.enabled = false;
                hub.engine.style_save(style).await.map(drop).unwrap();
            }
            _ => hub.engine.llm_assign(LlmRole::Enhance, None).await.unwrap(),
        };
        let older = session.hear().await;
        let current = listen(&hub, json!({"toolsListChanged": true, "resourcesListChanged": true})).await;
        let ((), heard) = tokio::join!(
            async { drop(hear(older, "", async || (), &told).await) },
            hear(current, "subscriptions/acknowledged", act, &told),
        );
        assert!(heard.contains("io.modelcontextprotocol/subscriptionId"), "{heard}");
    }
}

#[tokio::test]
async fn a_stream_hears_only_what_it_asked_for() {
    let hub = TestHub::start(0).await;
    let act = async || {
        let mut style = hub.engine.catalogue().styles[0].clone();
        style.enabled = false;
        hub.engine.style_save(style).await.map(drop).unwrap();
    };
    let followed = json!({"resourceSubscriptions": ["genimage://styles", "genimage://nothing"]});
    let body = listen(&hub, followed).await;
    let heard = hear(body, "subscriptions/acknowledged", act, &["notifications/resources/updated"]).await;
    assert!(heard.contains("genimage://styles") && !heard.contains("genimage://nothing"), "{heard}");
    assert!(!heard.contains("list_changed"), "{heard}");
}

#[tokio::test]
async fn only_its_owner_follows_a_job() {
    let hub = TestHub::start(60_000).await;
    let (owner, other) = (Caller::named("owner"), Caller::named("other"));
    let rights = [&owner, &other].map(|caller| (caller.clone(), KeyRights::default()));
    hub.engine.set_callers(rights.into()).await.unwrap();
    let quick = quick(&json!({}))["arguments"].as_object().unwrap().clone();
    let call = ToolCall::parse("generate_image", &quick).unwrap();
    let job = hub.engine.submit(&owner, call).await.unwrap().job.id;
    let uris = json!([format!("genimage://jobs/{job}"), format!("genimage://recipes/{job}"), "genimage://styles"]);
    let followed = json!({"resourceSubscriptions": uris});
    let (its, others) = (listen_as(&hub, &owner, followed.clone()).await, listen_as(&hub, &other, followed).await);
    let updated = "notifications/resources/updated";
    // The owner heard of it, so whoever else follows would have; the style's change comes after.
    let (job_told, style_told) = (format!("\"uri\":\"genimage://jobs/{job}\""), "\"uri\":\"genimage://styles\"");
    hear(its, "subscriptions/acknowledged", async || (), &[updated, &job_told]).await;
    let act = async || {
        let mut style = hub.engine.catalogue().styles[0].clone();
        style.enabled = false;
        hub.engine.style_save(style).await.map(drop).unwrap();
    };
    let heard = hear(others, "subscriptions/acknowledged", act, &[updated, style_told]).await;
    assert!(!heard.contains(&job_told), "{heard}");
    assert!(!heard.contains(&format!("\"uri\":\"genimage://recipes/{job}\"")), "{heard}");
}

#[tokio::test]
async fn a_followed_job_is_told_until_its_end_in_both_eras() {
    let hub = TestHub::start(100).await;
    let sim = hub.sim.as_ref().unwrap();
    let session = Session::begin(&hub, "2025-06-18").await;
    // The job does not end before it is followed.
    sim.freeze();
    let handle = ask(&hub, "tools/call", quick(&json!({"wait_s": 0}))).await["result"].take();
    let uri = format!("genimage://jobs/{}", job_of(&handle));
    let ended = async || {
        let value = text(&read(&hub, &uri).await);
        value["status"] == "succeeded"
    };
    // Whoever reads at each notification sees the end in the last one.
    let current = listen(&hub, json!({"resourceSubscriptions": [uri], "resourcesListChanged": true})).await;
    let older = session.hear().await;
    assert_eq!(session.ask("resources/subscribe", json!({"uri": uri})).await["result"], json!({}));
    let follow = async |body: Body| {
        let mut events = body.into_data_stream();
        loop {
            let chunk = events.next().await.expect("the stream goes on").unwrap();
            let told = String::from_utf8_lossy(&chunk).contains("notifications/resources/updated");
            if told && ended().await {
                return;
            }
        }
    };
    sim.thaw();
    let both = async { tokio::join!(follow(current), follow(older)) };
    tokio::time::timeout(DEADLINE, both).await.expect("the end is told");
    assert_eq!(session.ask("resources/unsubscribe", json!({"uri": uri})).await["result"], json!({}));
}

#[tokio::test]
async fn new_pictures_are_told_to_those_who_follow_the_list() {
    let hub = TestHub::start(0).await;
    let session = Session::begin(&hub, "2025-11-25").await;
    assert_eq!(session.ask("resources/subscribe", json!({"uri": "genimage://images"})).await["result"], json!({}));
    let make = async || drop(hub.call("generate_image", quick(&json!({}))["arguments"].clone()).await);
    let wanted = ["notifications/resources/updated", "genimage://images", "notifications/resources/list_changed"];
    hear(session.hear().await, "", make, &wanted).await;
}

#[tokio::test]
async fn what_does_not_exist_cannot_be_followed() {
    let hub = TestHub::start(0).await;
    let session = Session::begin(&hub, "2025-11-25").await;
    for uri in ["genimage://nothing", "genimage://styles/none", "genimage://jobs/job_00000000000000000000000000000001"]
    {
        let answer = session.ask("resources/subscribe", json!({"uri": uri})).await;
        assert_eq!((&answer["error"]["code"], &answer["error"]["data"]["uri"]), (&json!(-32002), &json!(uri)));
    }
}

#[tokio::test]
async fn more_than_can_be_followed_is_refused_with_the_number() {
    let hub = TestHub::start(0).await;
    let session = Session::begin(&hub, "2025-11-25").await;
    let mut uris = vec!["genimage://styles".to_owned(), "genimage://images".to_owned()];
    while uris.len() < 65 {
        // Another seed each, or the call would find its twin.
        let handle = ask(&hub, "tools/call", quick(&json!({"wait_s": 0, "seed": uris.len()}))).await["result"].take();
        uris.push(format!("genimage://jobs/{}", job_of(&handle)));
    }
    let refused = |answer: &Value| {
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(answer["error"]["code"] == -32602 && message.contains("at most 64"), "{answer}");
    };
    for uri in &uris[..64] {
        assert_eq!(session.ask("resources/subscribe", json!({"uri": uri})).await["result"], json!({}), "{uri}");
    }
    refused(&session.ask("resources/subscribe", json!({"uri": uris[64]})).await);
    assert_eq!(session.ask("resources/subscribe", json!({"uri": uris[0]})).await["result"], json!({}), "it has it");
    assert_eq!(session.ask("resources/unsubscribe", json!({"uri": uris[0]})).await["result"], json!({}));
    assert_eq!(session.ask("resources/subscribe", json!({"uri": uris[64]})).await["result"], json!({}));

    let body = listen(&hub, json!({"resourceSubscriptions": uris})).await;
    hear(body, "subscriptions/acknowledged", async || (), &["-32602", "at most 64"]).await;
}
