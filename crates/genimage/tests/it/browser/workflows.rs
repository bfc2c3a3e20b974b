//! Workflows: from a file, as ComfyUI saves them or out of a picture; corrected, and run.

use std::io::Cursor;

use anyhow::ensure;
use serde_json::Value;

use super::window::{Window, css, labelled};

const GRAPH: &str = include_str!("../../../../../workflows/smoke.json");
/// The same small graph as the editor saves it and as a program sends it.
const BOTH: &str = include_str!("../../../../comfyui/tests/fixtures/graphs/ui_vs_api_format.json");
/// A graph of the editor's whose model nobody has.
const LACKING: &str = include_str!("../../../../comfyui/tests/fixtures/saved/text_to_image.json");
const IMPORT: &str = "form[action='/workflows'] button.primary";

pub(crate) async fn a_workflow_is_imported_corrected_compared_and_brought_back(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    window.go("/workflows").await?;
    window.choose_file("#file", &format!("{mark}.json"), b"{\"a\": 1}").await?;
    window.press(labelled("Import")).await?;
    window.says("not accepted").await?;
    window.choose_file("#file", &format!("{mark}.json"), GRAPH.as_bytes()).await?;
    window.fill("#name", &mark).await?;
    window.press(css("form[action='/workflows'] button.primary")).await?;
    window.says("Workflow imported").await?;

    // A slot is taken away: a new version, with what differs.
    window.fill("#target-1", "").await?;
    window.press(labelled("Save as a new version")).await?;
    window.says("Slots saved as a new version").await?;
    window.says("version 2").await?;
    ensure!(window.has(".version-list a[aria-current]").await?, "it is not said which version this is");
    window.tap(thirtyfour::By::XPath("//details[.//ul[contains(@class, 'difference-list')]]/summary")).await?;

    // Another graph under the same name: the difference is told.
    window.go("/workflows").await?;
    window.fill("#graph", &GRAPH.replace("\"a red fox\"", "\"a blue fox\"")).await?;
    window.fill("#name", &mark).await?;
    window.press(css("form[action='/workflows'] button.primary")).await?;
    window.says("version 3").await?;
    window.tap(thirtyfour::By::XPath("//details[.//ul[contains(@class, 'difference-list')]]/summary")).await?;
    window.says("a blue fox").await?;
    window.press(labelled("Restore version 1")).await?;
    window.says("That version is the newest again").await?;
    window.confirm("//main").await?;
    window.says("Workflow deleted").await
}

pub(crate) async fn a_slot_is_given_another_node_in_the_drawing(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    // A second text, which could be the prompt as well as the first.
    let graph =
        GRAPH.replacen('{', r#"{"11": {"class_type": "PrimitiveString", "inputs": {"value": "a blue hen"}},"#, 1);
    window.go("/workflows").await?;
    window.fill("#graph", &graph).await?;
    window.fill("#name", &mark).await?;
    window.press(css("form[action='/workflows'] button.primary")).await?;
    window.says("Workflow imported").await?;
    let before = window.value("#target-1").await?;
    ensure!(before == "1.value", "the first slot is at {before}");

    // A fault stands beside its row; what was typed stays.
    window.fill("#target-1", "99.text").await?;
    window.press(labelled("Save as a new version")).await?;
    window.says("no node 99").await?;
    ensure!(window.has("#target-1-fault").await?, "the fault does not stand beside its row");
    ensure!(window.value("#target-1").await? == "99.text", "what was typed is lost");

    // The row's button marks the places; one of them is taken.
    window.press(labelled("Pick the place of Prompt in the drawing")).await?;
    window.says("Pick the place of Prompt").await?;
    ensure!(!window.has(".graph-place[aria-label^='Use 3.width']").await?, "a width could be no prompt");
    window.press(css(".graph-place[aria-label^='Use 11.value']")).await?;
    window.says("the place was picked in the drawing").await?;
    ensure!(window.value("#target-1").await? == "11.value", "the place is not in its row");
    window.press(labelled("Save as a new version")).await?;
    window.says("Slots saved as a new version").await?;
    ensure!(window.value("#target-1").await? == "11.value", "the new version has another place");

    // A node tells what its inputs could be.
    window.press(css("a.graph-node[href*='node=1#']")).await?;
    window.says("instead of 11.value").await?;
    window.press(css(".graph-uses a[href*='at=1.value']")).await?;
    ensure!(window.value("#target-1").await? == "1.value", "the node's link does not lead into the row");
    Ok(())
}

/// Without script the browser's own field takes what is dropped on it.
pub(crate) async fn a_workflow_is_dropped_or_pasted(window: &Window) -> anyhow::Result<()> {
    for how in ["drop", "paste"] {
        let mark = window.mark();
        window.go("/workflows").await?;
        let taken = window.give_file(how, "#file", &format!("{mark}.json"), GRAPH.as_bytes()).await?;
        ensure!(taken == (how == "drop"), "the browser would open what is dropped");
        let held = window.file_of("#file").await?;
        ensure!(held == Some((format!("{mark}.json"), GRAPH.len() as u64)), "{how}: the field holds {held:?}");
        window.press(css("form[action='/workflows'] button.primary")).await?;
        window.says("Workflow imported").await?;
        window.says(&mark).await?;
    }
    Ok(())
}

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
    window.confirm("//main").await?;
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
    window.confirm("//main").await?;
    window.says("Workflow deleted").await
}
