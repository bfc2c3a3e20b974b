//! From an empty hub to the first picture, by forms alone.

use std::net::{Ipv4Addr, SocketAddr};

use axum::http::StatusCode;
use hub_core::server::NewServer;
use hub_engine::{EngineConfig, UsualPlaces};
use hub_sim::{
    ComfyConfig, ComfySim, Models,
    ollama::{OllamaConfig, OllamaSim},
};

use crate::hub::Hub;

const NOBODY: &str = "http://127.0.0.1:1";

async fn comfyui(models: Models) -> ComfySim {
    let config = ComfyConfig { run_ms: 20, models, ..ComfyConfig::default() };
    ComfySim::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), config).await.expect("a free port")
}

/// A hub that looks for servers at these addresses.
async fn hub(comfyui: &[&str], ollama: &[&str]) -> Hub {
    let urls = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("an address")).collect();
    let usual_places = UsualPlaces { comfyui: urls(comfyui), ollama: urls(ollama) };
    let hub = Hub::with_config(EngineConfig { usual_places, ..EngineConfig::default() }).await;
    hub.fill_catalogue().await;
    hub
}

/// The wizard, once all places have answered.
async fn start(hub: &Hub) -> String {
    loop {
        let page = hub.page("/start").await.text();
        if !page.contains("look again</a>") {
            return page;
        }
        hub.engine.look_nearby(None).await;
    }
}

fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[tokio::test]
async fn from_nothing_to_a_picture_by_forms_alone() {
    let sim = comfyui(Models::default()).await;
    let llm = OllamaSim::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), OllamaConfig::default()).await.expect("up");
    let hub = hub(&[&sim.url(), NOBODY], &[&llm.url()]).await;
    assert!(hub.page("/").await.text().contains("href=\"/start#server\""), "the dashboard leads there");

    let page = start(&hub).await;
    assert!(
        page.contains(&sim.url()) && page.contains("Use it") && page.contains("Needs the two steps before"),
        "{page}"
    );
    for time in ["first", "again"] {
        let added = hub.form("/start/servers", &form(&[("base_url", &sim.url())])).await;
        assert_eq!(added.status, StatusCode::SEE_OTHER, "{time}: {}", added.text());
        hub.press_another().await;
    }
    assert_eq!(hub.engine.servers().len(), 1, "sent twice, it is one server");

    // What it can make is known once it has told what it has.
    hub.ready().await;
    let page = start(&hub).await;
    assert!(page.contains("Ready on <bdi>comfyui</bdi>") && page.contains("Make it"), "{page}");
    let fault = hub.form("/start/picture", "prompt=&render_type=sd15").await;
    assert_eq!(fault.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(fault.text().contains("id=\"prompt-fault\""), "{}", fault.text());
    let made = hub.form("/start/picture", &form(&[("prompt", "a <b>fox</b>"), ("render_type", "sd15")])).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text());
    let location = made.header("location").to_owned();
    let id = location.strip_prefix("/start?job=").and_then(|rest| rest.strip_suffix("#picture")).expect("the wizard");
    assert_eq!(hub.ended(id).await["state"], "succeeded");
    let page = hub.page(&format!("/start?job={id}")).await.text();
    assert!(page.contains("/outputs/img_") && page.contains("Make another") && !page.contains("<b>fox"), "{page}");
    let live = hub.get(&format!("/start/live?job={id}")).await.text();
    assert!(live.contains("hx-target=\"#first-picture\"") && live.contains("event: done"), "{live}");

    for time in ["first", "again"] {
        let added = hub.form("/start/llm", &form(&[("base_url", &llm.url())])).await;
        assert_eq!(added.status, StatusCode::SEE_OTHER, "{time}: {}", added.text());
        hub.press_another().await;
    }
    assert!(hub.engine.catalogue().can_enhance, "it plays the role that nobody played");
    assert!(hub.page("/start?done=llm-connected").await.text().contains("Ollama connected"));
    let log = hub.get("/api/v1/audit").await.json();
    let entries = log["entries"].as_array().expect("a list");
    let told: Vec<_> = entries.iter().map(|entry| (entry["act"].as_str(), entry["subject"].as_str())).collect();
    let added = [("POST /start/llm", "ollama"), ("POST /start/servers", "comfyui")];
    assert_eq!(told, added.map(|(act, name)| (Some(act), Some(name))), "what is there already is not added");
}

#[tokio::test]
async fn what_is_missing_is_said_with_where_to_get_it() {
    let sim = comfyui(Models::none()).await;
    let hub = hub(&[NOBODY], &[NOBODY]).await;
    let page = start(&hub).await;
    for told in ["No ComfyUI answers at <bdi>http://127.0.0.1:1", "No Ollama answers"] {
        assert!(page.contains(told), "`{told}` is missing: {page}");
    }
    for (typed, said) in [("ftp://x", "base_url-fault"), ("http://a b", "base_url-fault"), ("", "base_url-fault")] {
        let refused = hub.form("/start/servers", &form(&[("base_url", typed)])).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{typed}");
        let text = refused.text();
        assert!(text.contains(said) && text.contains(&format!("value=\"{typed}\"")), "{typed}: {text}");
    }
    assert!(hub.engine.servers().is_empty(), "nothing half-written");

    hub.engine.server_add(NewServer::named("bare", sim.url().parse().expect("an address"))).await.expect("added");
    let id = hub.engine.servers()[0].id();
    hub.engine.server_settled(id, std::time::Duration::from_secs(20)).await.expect("there");
    let page = start(&hub).await;
    for told in [
        "<bdi>bare</bdi> lacks 1 model file (2.1 GB)",
        "v1-5-pruned-emaonly-fp16.safetensors",
        "Comfy-Org/stable-diffusion-v1-5-archive",
        "models/checkpoints",
        "Needs the two steps before",
    ] {
        assert!(page.contains(told), "`{told}` is missing: {page}");
    }
}

#[tokio::test]
async fn a_model_of_another_name_takes_the_place_of_the_shipped_one() {
    let sim = comfyui(Models::default()).await;
    let hub = hub(&[&sim.url()], &[]).await;
    hub.form("/start/servers", &form(&[("base_url", &sim.url())])).await;
    hub.ready().await;
    let file = hub.engine.checkpoints().into_iter().find(|file| !file.contains("v1-5")).expect("another checkpoint");
    let like = hub.engine.catalogue().render_types[0].id.to_string();
    let refused = hub.form("/start/types", &form(&[("file", &file), ("like", "rt_x")])).await;
    assert!(refused.text().contains("id=\"like-fault\""), "{}", refused.text());
    let made = hub.form("/start/types", &form(&[("file", &file), ("like", &like)])).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text());
    let catalogue = hub.engine.catalogue();
    let row = catalogue.default_for(hub_core::catalogue::Mode::Generate).expect("a default");
    assert!(file.contains(&row.name) && row.name != "sd15", "{row:?}");
    let graph = hub.engine.store().workflow_latest(&row.workflow).await.expect("reads").expect("there").graph;
    assert!(graph.to_string().contains(&file) && !graph.to_string().contains("v1-5-pruned"), "{graph}");
    hub.press_another().await;
    let twice = hub.form("/start/types", &form(&[("file", &file), ("like", &like)])).await;
    assert_eq!(twice.status, StatusCode::CONFLICT, "nothing is made twice");
    let sent = hub.form("/start/picture", "prompt=a+fox").await;
    let id = sent.header("location").split(['=', '#']).nth(1).expect("a job").to_owned();
    assert_eq!(hub.ended(&id).await["state"], "succeeded", "{id}");
}
