//! Pictures of what there is to choose, and pictures that are chosen among.

use anyhow::ensure;
use hub_sim::{ComfySim, Fault};

use super::{
    live::{cancel_all, ready},
    making::picture,
    window::{Window, css, labelled},
};

pub(crate) async fn a_render_type_shows_what_it_looks_like(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    window.go("/render-types/new").await?;
    window.fill("#name", &mark).await?;
    window.fill("#workflow", "smoke").await?;
    window.fill("#size-1", "256x256").await?;
    window.press(css("main form[data-guard] button.primary")).await?;
    window.press(labelled(&mark)).await?;
    window.press(labelled("Render a picture")).await?;
    window.until_reloaded("a.shot-canvas img[src^='/thumbs/']").await?;
    window.says("Render it again").await?;
    window.go("/render-types").await?;
    let shown = "return [...document.querySelectorAll('main li')].some((row) =>
        row.innerText.includes(arguments[0]) && row.querySelector('.row-shot img') !== null)";
    ensure!(window.ask(shown, vec![mark.as_str().into()]).await? == true, "the list does not show it");
    window.press(labelled(&mark)).await?;
    window.tap(css(".confirm summary")).await?;
    window.press(labelled("Yes, delete")).await?;
    window.says("Render type deleted").await
}

/// On a server of our own: the pictures of all styles are many.
pub(crate) async fn missing_pictures_of_styles_are_rendered(window: &Window, sim: &ComfySim) -> anyhow::Result<()> {
    ready(window, sim).await?;
    let mark = window.mark();
    window.go("/styles").await?;
    window.fill("#pictures #seed", "-1").await?;
    window.fill("#pictures #prompt", &format!("a scene {mark}")).await?;
    window.press(css("form[action='/styles/scene'] button[type=submit]")).await?;
    ensure!(window.has("#seed-fault").await?, "the fault does not stand beside its field");
    ensure!(window.value("#pictures #prompt").await? == format!("a scene {mark}"), "the scene is lost");
    window.fill("#pictures #seed", "7").await?;
    window.press(css("form[action='/styles/scene'] button[type=submit]")).await?;
    window.says("Pictures of another scene").await?;

    sim.inject(Fault::Hold.always());
    window.press(labelled("Render missing pictures")).await?;
    window.says("being made now").await?;
    sim.clear_faults();
    window.until_reloaded(".row-shot img[src^='/thumbs/']").await?;
    let ran = sim.stats().executed;
    ensure!(ran.iter().any(|run| run.graph.to_string().contains(&mark)), "no picture shows the scene");
    cancel_all(window).await
}

pub(crate) async fn the_gallery_is_narrowed_and_favourites_are_taken_back(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    let mut jobs = Vec::new();
    for animal in ["hen", "fox"] {
        jobs.push(picture(window, &format!("a {animal} {mark}")).await?);
    }
    let count = async |wanted: u64| {
        let shots = window.ask("return document.querySelectorAll('.gallery .shot').length", vec![]).await?;
        ensure!(shots == wanted, "{shots} pictures instead of {wanted}");
        anyhow::Ok(())
    };
    window.go("/gallery").await?;
    window.fill("#q", &mark).await?;
    window.press(labelled("Find")).await?;
    count(2).await?;
    window.tap(css("label[for=pick-1]")).await?;
    window.press(labelled("Keep as favourites")).await?;
    window.says("Kept as favourites").await?;
    window.tap(css("#favourites")).await?;
    window.press(labelled("Find")).await?;
    count(1).await?;
    // The newest came first.
    window.says(&format!("a fox {mark}")).await?;

    window.go(&format!("/gallery?q={mark}")).await?;
    window.tap(css("label[for=pick-2]")).await?;
    window.press(labelled("Keep as favourites")).await?;
    window.press(labelled("Undo")).await?;
    window.says("Taken back").await?;
    window.go(&format!("/gallery?q={mark}&favourites=on")).await?;
    count(1).await?;

    // By how they were made.
    window.go(&format!("/gallery?q={mark}")).await?;
    let other = "const menu = document.querySelector('#render_type');
        const used = document.querySelector('.shot-meta').innerText;
        menu.value = [...menu.options].find((option) => option.value && !used.includes(option.value)).value";
    window.ask(other, vec![]).await?;
    window.press(labelled("Find")).await?;
    window.says("No picture fits").await?;
    window.press(labelled("Show all")).await?;
    ensure!(window.has(".gallery .shot").await?, "nothing is shown");
    Ok(())
}
