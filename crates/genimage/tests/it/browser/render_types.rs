//! Render types, and what they look like.

use anyhow::ensure;

use super::{
    styles::SAVE,
    window::{Window, css, labelled},
};

pub(crate) async fn a_render_type_is_made_changed_and_deleted(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    window.go("/render-types").await?;
    window.press(labelled("New render type")).await?;
    window.fill("#name", &mark).await?;
    window.fill("#workflow", "smoke").await?;
    window.fill("#size-1", "big").await?;
    window.press(css(SAVE)).await?;
    ensure!(window.has("#sizes-fault").await?, "the fault does not stand beside its field");
    ensure!(window.value("#size-1").await? == "big", "the size is lost");
    window.fill("#size-1", "256x256").await?;
    window.press(css(SAVE)).await?;
    window.says("Render type added").await?;
    window.press(labelled(&mark)).await?;
    window.fill("#title", &format!("Titled {mark}")).await?;
    window.press(css(SAVE)).await?;
    window.says("Render type saved").await?;
    window.confirm("//main").await?;
    window.says("Render type deleted").await
}

pub(crate) async fn a_render_type_shows_what_it_looks_like(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    window.go("/render-types/new").await?;
    window.fill("#name", &mark).await?;
    window.fill("#workflow", "smoke").await?;
    window.fill("#size-1", "256x256").await?;
    window.press(css(SAVE)).await?;
    window.press(labelled(&mark)).await?;
    window.press(labelled("Render a picture")).await?;
    window.until_reloaded("a.shot-canvas img[src^='/thumbs/']").await?;
    window.says("Render it again").await?;
    window.go("/render-types").await?;
    let shown = "return [...document.querySelectorAll('main li')].some((row) =>
        row.innerText.includes(arguments[0]) && row.querySelector('.row-shot img') !== null)";
    ensure!(window.ask(shown, vec![mark.as_str().into()]).await? == true, "the list does not show it");
    window.press(labelled(&mark)).await?;
    window.confirm("//main").await?;
    window.says("Render type deleted").await
}

pub(crate) async fn render_types_go_through_a_table(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    let table = format!("name,workflow,mode,sizes\n{mark},smoke,generate,1:1=256x256\n");
    window.go("/render-types").await?;
    window.tap(labelled("Import CSV")).await?;
    window.choose_file("#file", "render-types.csv", table.as_bytes()).await?;
    window.press(labelled("Show what would change")).await?;
    window.says("This would change 1 render type").await?;
    window.press(labelled("Import these")).await?;
    window.says("Render types imported").await?;
    window.says(&mark).await?;
    let file = String::from_utf8(window.download(labelled("Export CSV")).await?)?;
    ensure!(file.contains(&format!("{mark},smoke,generate")), "it is not in the file: {file}");
    Ok(())
}
