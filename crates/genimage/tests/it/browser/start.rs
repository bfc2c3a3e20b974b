//! From an empty hub to the first picture.

use anyhow::ensure;
use hub_sim::ComfySim;

use super::{
    playground::PICTURE,
    window::{Window, css, labelled},
};

const ADD: &str = "#server form:has(#base_url) button[type=submit]";

pub(crate) async fn the_start_makes_a_first_picture(window: &Window) -> anyhow::Result<()> {
    window.go("/start").await?;
    window.key_in("#prompt", "a red fox, walked").await?;
    window.press(css("#picture form button[type=submit]")).await?;
    window.until(PICTURE).await?;
    window.says("Done").await
}

pub(crate) async fn an_empty_hub_comes_to_its_first_picture(window: &Window, sim: &ComfySim) -> anyhow::Result<()> {
    window.go("/").await?;
    window.says("Three steps to the first picture").await?;
    window.press(labelled("Step by step")).await?;
    window.says("Needs the two steps before").await?;
    // What is wrong is told beside the field, and stays to be mended.
    window.fill("#base_url", "ftp://nowhere").await?;
    window.press(css(ADD)).await?;
    ensure!(window.has("#base_url-fault").await?, "the fault does not stand beside its field");
    ensure!(window.value("#base_url").await? == "ftp://nowhere", "the address is lost");
    window.fill("#base_url", &sim.url()).await?;
    window.press(css(ADD)).await?;
    // What the server has is read behind the page, which does not follow.
    window.until_reloaded("#server.is-done").await?;
    window.until_reloaded("#types.is-done #file").await?;

    // Beside what is shipped: another model of the server's, under its own name.
    window.choose("#file", "sd_xl_refiner_1.0.safetensors").await?;
    window.choose("#like", "SDXL, Pony, Illustrious").await?;
    window.press(css("form[action='/start/types'] button[type=submit]")).await?;
    window.until_reloaded("#types.is-done").await?;
    window.says("sd_xl_refiner_1.0").await?;

    let mark = window.mark();
    window.key_in("#prompt", &format!("a first fox {mark}")).await?;
    let made_with = "const menu = document.querySelector('#render_type');
        return [...menu.options].find((option) => option.value === menu.value).text";
    let made_with = window.ask(made_with, vec![]).await?;
    ensure!(made_with.as_str().is_some_and(|name| name.contains("refiner")), "made with {made_with}");
    window.press(css("#picture form button[type=submit]")).await?;
    window.until(&format!("#picture {}", PICTURE.trim_start_matches("main "))).await?;
    window.says("Done").await?;
    let ran = sim.stats().executed.last().map(|run| run.graph.to_string()).unwrap_or_default();
    ensure!(ran.contains(&mark) && ran.contains("sd_xl_refiner_1.0"), "something else was made: {ran}");

    window.go("/start").await?;
    ensure!(window.has("#picture.is-done").await?, "the picture does not count");
    window.press(labelled("For Claude, Python")).await?;
    window.says(&format!("{}/mcp", window.hub())).await?;
    window.go("/").await?;
    ensure!(!window.text().await?.contains("Three steps to the first picture"), "the steps are still asked for");
    Ok(())
}
