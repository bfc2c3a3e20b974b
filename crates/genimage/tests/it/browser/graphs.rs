//! Workflows as ComfyUI saves them, and what the pool can do with them.

use std::io::Cursor;

use anyhow::ensure;
use serde_json::Value;

use super::window::{Window, css, labelled};

/// The same small graph as the editor saves it and as a program sends it.
const BOTH: &str = include_str!("../../../../comfyui/tests/fixtures/graphs/ui_vs_api_format.json");
/// A graph of the editor's whose model nobody has.
const LACKING: &str = include_str!("../../../../comfyui/tests/fixtures/saved/text_to_image.json");
const IMPORT: &str = "form[action='/workflows'] button.primary";

/// The graph as the editor saves it, with this title on one node.
fn saved(title: &str) -> anyhow::Result<Value> {
    let mut graph = serde_json::from_str::<Value>(BOTH)?["ui_format"].take();
    graph["nodes"][1]["title"] = title.into();
    Ok(graph)
}

/// Imports what is in the file field, looks at the graph, and has a server of the page's run it.
async fn is_imported_and_runs(window: &Window, mark: &str) -> anyhow::Result<()> {
    window.fill("#name", mark).await?;
    window.press(css(IMPORT)).await?;
    window.says("Workflow imported").await?;
    let titles = "return [...document.querySelectorAll('.graph-drawing text')].map((text) => text.textContent)";
    let titles = window.ask(titles, vec![]).await?;
    ensure!(titles.to_string().contains(mark), "the drawing shows {titles}");
    window.says("2 of 2 servers can run this version").await?;
    window.choose("#server", "demo-2").await?;
    window.press(css("#test-run form:has(#server) button.primary")).await?;
    window.until("#workflow-run img[src^='/outputs/']").await?;
    window.says("Done").await?;
    window.says("on demo-2").await?;
    window.tap(css(".confirm summary")).await?;
    window.press(labelled("Yes, delete")).await?;
    window.says("Workflow deleted").await
}

pub(crate) async fn a_saved_workflow_is_imported_and_run(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    window.go("/workflows").await?;
    window.choose_file("#file", "saved.json", saved(&mark)?.to_string().as_bytes()).await?;
    is_imported_and_runs(window, &mark).await
}

/// A picture as ComfyUI writes it: its graph stands beside the pixels.
fn picture(keyword: &str, graph: &Value) -> anyhow::Result<Vec<u8>> {
    let mut file = Cursor::new(Vec::new());
    let mut encoder = png::Encoder::new(&mut file, 8, 8);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.add_text_chunk(keyword.to_owned(), graph.to_string())?;
    encoder.write_header()?.write_image_data(&[90; 64])?;
    Ok(file.into_inner())
}

pub(crate) async fn a_picture_brings_its_workflow(window: &Window) -> anyhow::Result<()> {
    // One of ComfyUI's own has the graph that ran; one that was only saved has the editor's.
    let mark = window.mark();
    window.go("/workflows").await?;
    window.choose_file("#file", "saved.png", &picture("workflow", &saved(&mark)?)?).await?;
    is_imported_and_runs(window, &mark).await?;

    let mark = window.mark();
    let mut graph = serde_json::from_str::<Value>(BOTH)?["api_format"].take();
    graph["2"]["_meta"]["title"] = mark.as_str().into();
    window.go("/workflows").await?;
    window.choose_file("#file", "made.png", &picture("prompt", &graph)?).await?;
    is_imported_and_runs(window, &mark).await?;

    // A picture of anything else brings nothing, and that is said.
    window.go("/workflows").await?;
    let mut other = Cursor::new(Vec::new());
    image::GrayImage::new(8, 8).write_to(&mut other, image::ImageFormat::Png)?;
    window.choose_file("#file", "photo.png", &other.into_inner()).await?;
    window.press(css(IMPORT)).await?;
    ensure!(window.has("#graph-fault").await?, "the fault does not stand beside its field");
    Ok(())
}

pub(crate) async fn a_workflow_that_no_server_can_run_says_why(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    let graph = serde_json::from_str::<Value>(LACKING)?["ui"].take();
    window.go("/workflows").await?;
    window.choose_file("#file", "lacking.json", graph.to_string().as_bytes()).await?;
    window.fill("#name", &mark).await?;
    window.press(css(IMPORT)).await?;
    window.says("Workflow imported").await?;
    window.says("0 of 2 servers can run this version").await?;
    window.says("my-model.safetensors").await?;
    ensure!(window.has("#test-run form:has(#server) button.primary:disabled").await?, "it can be run");
    window.press(labelled("Recheck demo-1")).await?;
    window.says("were read just now").await?;
    window.says("checked just now").await?;
    window.press(labelled("Recheck all servers")).await?;
    window.says("were read just now").await?;
    window.go("/workflows").await?;
    window.press(labelled(&mark)).await?;
    window.tap(css(".confirm summary")).await?;
    window.press(labelled("Yes, delete")).await?;
    window.says("Workflow deleted").await
}
