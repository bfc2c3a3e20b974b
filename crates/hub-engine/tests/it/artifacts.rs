use std::{net::SocketAddr, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hub_core::{error::ErrorCode, request::ImageRef};
use hub_engine::{EngineConfig, InputPolicy, PreviewBudget};
use image::ImageFormat;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::hub::{Hub, picture};

const LARGE: PreviewBudget = PreviewBudget { max_side_px: 1024, max_bytes: 10_000_000 };

fn allowing(hosts: &[&str]) -> EngineConfig {
    let input =
        InputPolicy { allowed_hosts: hosts.iter().map(|host| (*host).to_owned()).collect(), ..InputPolicy::default() };
    EngineConfig { input, ..EngineConfig::default() }
}

/// Answers every connection by the path that is asked for.
async fn web(answer: impl Fn(&str, SocketAddr) -> Option<Vec<u8>> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..read]).into_owned();
            let path = text.split(' ').nth(1).unwrap_or("/").to_owned();
            match answer(&path, address) {
                // A client that hangs up early is the client's affair.
                Some(bytes) => drop(stream.write_all(&bytes).await),
                None => silent.push(stream),
            }
        }
    });
    address
}

fn ok(content_type: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn redirect(to: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn a_picture_by_data_uri_or_id_becomes_the_jobs_input() {
    let hub = Hub::start(EngineConfig::default()).await;
    let bytes = picture(40, 30, ImageFormat::Png);
    let uri = format!("data:image/jpeg;base64,{}", STANDARD.encode(&bytes));
    let (recipe, _) = hub.recipe("upscale_image", json!({"image": uri})).await;
    let artifact = hub.engine.artifact(recipe.input.unwrap()).await.unwrap();
    assert_eq!((artifact.mime.as_str(), artifact.width_px, artifact.height_px), ("image/png", 40, 30));
    assert_eq!(hub.engine.artifact_bytes(&artifact).await.unwrap(), bytes, "stored by content, not by declared type");
    for image in [
        artifact.id.to_string(),
        artifact.resource_uri(),
        format!("http://127.0.0.1:8001/outputs/{}", artifact.file_name()),
    ] {
        let (again, _) = hub.recipe("upscale_image", json!({"image": image})).await;
        assert_eq!(again.input, Some(artifact.id), "{image}");
    }
}

#[tokio::test]
async fn the_stored_request_names_the_picture_and_does_not_hold_it() {
    let hub = Hub::start(EngineConfig::default()).await;
    let uri = format!("data:image/png;base64,{}", STANDARD.encode(picture(8, 8, ImageFormat::Png)));
    let job = hub.call("upscale_image", json!({"image": uri})).await.unwrap().job;
    let hub_core::request::JobRequest::Image(request) = job.request else { panic!("an image request") };
    assert!(matches!(request.input, Some(ImageRef::Artifact(_))));
}

#[tokio::test]
async fn unknown_and_unfinished_sources_are_refused_by_name() {
    let hub = Hub::start(EngineConfig::default()).await;
    let unfinished = hub.call("generate_image", json!({"prompt": "x"})).await.unwrap().job.id;
    for (image, code) in [
        (hub_core::ids::ArtifactId::new().to_string(), ErrorCode::UnknownImage),
        (hub_core::ids::JobId::new().to_string(), ErrorCode::UnknownJob),
        (unfinished.to_string(), ErrorCode::InputImage),
    ] {
        let error = hub.call("upscale_image", json!({"image": image})).await.expect_err("refused");
        assert_eq!(error.code, code, "{}", error.message);
        assert!(error.message.contains(&image), "{}", error.message);
    }
}

#[tokio::test]
async fn pictures_are_fetched_from_allowed_hosts_and_judged_by_content() {
    let png = picture(16, 16, ImageFormat::Png);
    let address = web(move |path, at| match path {
        "/a.png" | "/final" => Some(ok("text/html", &png)),
        "/hop" => Some(redirect("/final")),
        "/page" => Some(ok("image/png", b"<!doctype html><p>hello")),
        "/loop" => Some(redirect("/loop")),
        "/inside" => Some(redirect(&format!("http://127.0.0.1:{}/a.png", at.port()))),
        "/file" => Some(redirect("file:///etc/passwd")),
        "/huge" => Some(b"HTTP/1.1 200 OK\r\ncontent-length: 999999999\r\n\r\n".to_vec()),
        "/endless" => Some([&b"HTTP/1.1 200 OK\r\n\r\n"[..], &vec![7; 33 << 20]].concat()),
        "/gone" => Some(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec()),
        _ => None,
    })
    .await;
    let hub = Hub::start(allowing(&["localhost"])).await;
    let upscale =
        |path: &str| hub.call("upscale_image", json!({"image": format!("http://localhost:{}{path}", address.port())}));
    for path in ["/a.png", "/hop"] {
        assert!(upscale(path).await.unwrap().job.recipe.unwrap().input.is_some(), "{path}");
    }
    for (path, said) in [
        ("/page", "HTML"),
        ("/loop", "redirects more than"),
        ("/inside", "private network"),
        ("/file", "`file:`"),
        ("/huge", "larger than"),
        ("/endless", "larger than"),
        ("/gone", "404"),
    ] {
        let error = upscale(path).await.expect_err(path);
        assert_eq!(error.code, ErrorCode::InputImage);
        assert!(error.message.contains(said), "{path}: {}", error.message);
    }
}

#[tokio::test]
async fn who_does_not_answer_in_time_is_told_of() {
    let address = web(|_, _| None).await;
    let mut config = allowing(&["localhost"]);
    config.input.timeout = Duration::from_millis(300);
    let hub = Hub::start(config).await;
    let image = format!("http://localhost:{}/silent", address.port());
    let error = hub.call("upscale_image", json!({"image": image})).await.expect_err("silent");
    assert_eq!(error.code, ErrorCode::InputImage);
    // Either of the two limits may be the first to notice.
    let told = ["did not answer in time", "did not arrive within"];
    assert!(told.iter().any(|told| error.message.contains(told)), "{}", error.message);
}

#[tokio::test]
async fn names_that_lead_into_private_networks_are_refused() {
    let address = web(|_, _| Some(ok("image/png", &picture(4, 4, ImageFormat::Png)))).await;
    let hub = Hub::start(EngineConfig::default()).await;
    for host in ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        let image = format!("http://{host}:{}/a.png", address.port());
        let error = hub.call("upscale_image", json!({"image": image})).await.expect_err(host);
        assert!(error.message.contains("private network"), "{host}: {}", error.message);
    }
}

#[tokio::test]
async fn previews_keep_their_budget_and_thumbnails_are_kept() {
    let hub = Hub::start(EngineConfig::default()).await;
    let bytes = picture(1600, 800, ImageFormat::Png);
    let artifact =
        hub.engine.store_input(&hub_core::caller::Caller::local(), Bytes::from(bytes.clone())).await.unwrap();
    let small = hub.engine.preview(&artifact, PreviewBudget { max_side_px: 512, max_bytes: 60_000 }).await.unwrap();
    assert_eq!(small.mime, "image/jpeg");
    assert!(small.bytes.len() <= 60_000 && small.width_px <= 512);
    assert!(small.width_px.abs_diff(small.height_px * 2) <= 2);
    let own = hub.engine.preview(&artifact, PreviewBudget { max_side_px: 1600, ..LARGE }).await.unwrap();
    assert_eq!((own.mime.as_str(), own.bytes.as_ref()), ("image/png", bytes.as_slice()), "the original fits");
    let first = hub.engine.thumbnail(&artifact).await.unwrap();
    assert_eq!((first.width_px, first.height_px), (384, 192));
    assert_eq!(hub.engine.thumbnail(&artifact).await.unwrap(), first, "read back as it was made");
}

#[tokio::test]
async fn uploads_that_are_no_pictures_are_refused() {
    let hub = Hub::start(EngineConfig::default()).await;
    for bytes in [&b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..], b"GIF89a", b"", b"%PDF-1.7"] {
        let error = hub
            .engine
            .store_input(&hub_core::caller::Caller::local(), Bytes::from_static(bytes))
            .await
            .expect_err("refused");
        assert_eq!(error.code, ErrorCode::InputImage);
    }
}

#[tokio::test]
async fn print_colours_and_turned_photos_are_accepted_and_shown_upright() {
    let hub = Hub::start(EngineConfig::default()).await;
    let own = PreviewBudget { max_side_px: 12, ..LARGE };
    // CMYK, as print shops save it.
    let bytes = Bytes::from_static(include_bytes!("../fixtures/cmyk.jpg"));
    let cmyk = hub.engine.store_input(&hub_core::caller::Caller::local(), bytes.clone()).await.unwrap();
    assert_eq!((cmyk.mime.as_str(), cmyk.width_px, cmyk.height_px), ("image/jpeg", 24, 16), "in RGB");
    let preview = hub.engine.preview(&cmyk, own).await.unwrap();
    let pixel = *image::load_from_memory(&preview.bytes).unwrap().to_rgb8().get_pixel(6, 4);
    assert!(pixel[0] > 200 && pixel[1] < 120 && pixel[2] < 120, "a red, not its opposite: {pixel:?}");
    // 32 × 16 as stored, left half blue, to be turned by a quarter: blue is on top.
    let turned = hub
        .engine
        .store_input(&hub_core::caller::Caller::local(), Bytes::from_static(include_bytes!("../fixtures/turned.jpg")))
        .await
        .unwrap();
    let preview = hub.engine.preview(&turned, own).await.unwrap();
    let upright = image::load_from_memory(&preview.bytes).unwrap().to_rgb8();
    assert_eq!(upright.dimensions(), (6, 12));
    let (top, bottom) = (*upright.get_pixel(3, 1), *upright.get_pixel(3, 10));
    assert!(top[2] > top[0] && bottom[0] > bottom[2], "{top:?} above {bottom:?}");
}
