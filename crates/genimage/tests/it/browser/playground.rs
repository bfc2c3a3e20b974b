//! The playground: from a prompt or a picture to what a tool makes of it.

use anyhow::ensure;
use serde_json::json;

use super::window::{Window, css, labelled};

/// What sends the form of a tool.
pub(crate) const SEND: &str = "main form.playground button.primary";
pub(crate) const PICTURE: &str = "main img[src^='/outputs/']";
/// What must come back as it was typed.
const ODD_WORDS: &str = "kept words <b>{{ 7*7 }} שלום 🦊 \"'&amp;";

/// Asks for a picture in the playground; answers the path of its job once the picture is there.
pub(crate) async fn picture(window: &Window, prompt: &str) -> anyhow::Result<String> {
    window.go("/playground").await?;
    window.fill("#prompt", prompt).await?;
    window.press(css(SEND)).await?;
    window.until(PICTURE).await?;
    Ok(window.path().await)
}

/// The id of the picture that a job's page shows.
pub(crate) async fn shown(window: &Window) -> anyhow::Result<String> {
    let path = window.attribute(PICTURE, "src").await?;
    let id = path.trim_start_matches("/outputs/").split('.').next().unwrap_or_default();
    Ok(id.to_owned())
}

pub(crate) async fn a_picture_that_was_given_is_picked_again(window: &Window) -> anyhow::Result<()> {
    window.go("/playground?tool=upscale_image").await?;
    let mut given = std::io::Cursor::new(Vec::new());
    let shade = if window.has_script() { 10 } else { 20 };
    image::RgbImage::from_pixel(24, 24, image::Rgb([shade, 90, 120])).write_to(&mut given, image::ImageFormat::Png)?;
    window.choose_file("#file", "given.png", &given.into_inner()).await?;
    window.press(css(SEND)).await?;
    window.until(PICTURE).await?;
    window.go("/playground?tool=upscale_image").await?;
    let image = window.value("#given-1").await?;
    window.tap(css("#given-1")).await?;
    window.fill("#denoise", "0.4").await?;
    window.press(css(SEND)).await?;
    window.until(PICTURE).await?;
    ensure!(window.has(&format!("main [src*='{image}'], main [href*='{image}']")).await?, "another picture was taken");
    Ok(())
}

pub(crate) async fn a_picture_is_dropped_or_pasted(window: &Window) -> anyhow::Result<()> {
    let mut picture = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(24, 24, image::Rgb([30, 60, 90])).write_to(&mut picture, image::ImageFormat::Png)?;
    let picture = picture.into_inner();
    for how in ["drop", "paste"] {
        window.go("/playground?tool=describe_image").await?;
        // Beside the field: the whole place takes it.
        window.give_file(how, "[data-drop] legend", "dropped.png", &picture).await?;
        let held = window.file_of("#file").await?;
        ensure!(held == Some(("dropped.png".to_owned(), picture.len() as u64)), "{how}: the field holds {held:?}");
    }
    window.press(css(SEND)).await?;
    window.until("main [src^='/thumbs/'], main [src^='/outputs/']").await
}

pub(crate) async fn a_plan_is_shown_and_nothing_made(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    window.go("/playground").await?;
    window.fill("#prompt", &mark).await?;
    window.press(labelled("Only show the plan")).await?;
    window.says("nothing was made").await?;
    ensure!(window.value("#prompt").await? == mark, "the prompt is lost");
    window.go(&format!("/jobs?q={mark}")).await?;
    window.says("No job fits this filter").await
}

pub(crate) async fn a_picture_is_edited_upscaled_and_redrawn(window: &Window) -> anyhow::Result<()> {
    picture(window, &window.mark()).await?;
    let image = shown(window).await?;
    window.press(labelled("Upscale")).await?;
    ensure!(window.value("#image").await? == image, "the picture does not go along");
    window.press(css(SEND)).await?;
    window.until(PICTURE).await?;
    for (tool, more) in [("edit_image", None), ("detail_image", Some(("#region", "0.25, 0.25, 0.5, 0.5")))] {
        window.go(&format!("/playground?tool={tool}&image={image}")).await?;
        window.fill("#prompt", "a blue hat").await?;
        if let Some((field, value)) = more {
            window.fill(field, value).await?;
        }
        window.press(css(SEND)).await?;
        window.until(PICTURE).await?;
    }
    Ok(())
}

pub(crate) async fn a_picture_is_described(window: &Window) -> anyhow::Result<()> {
    window.go("/playground?tool=describe_image").await?;
    let mut picture = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(32, 32, image::Rgb([180, 90, 20])).write_to(&mut picture, image::ImageFormat::Png)?;
    window.choose_file("#file", "a fox.png", &picture.into_inner()).await?;
    window.press(css(SEND)).await?;
    window.until("#result-text").await
}

pub(crate) async fn a_prompt_is_written(window: &Window) -> anyhow::Result<()> {
    window.go("/playground?tool=generate_prompt").await?;
    window.fill("#subject", "a lighthouse keeper").await?;
    window.press(css(SEND)).await?;
    window.says("lighthouse").await?;
    ensure!(!window.has("[role=alert]").await?, "it complains: {}", window.text().await?);
    Ok(())
}

pub(crate) async fn a_fault_keeps_what_was_typed(window: &Window) -> anyhow::Result<()> {
    window.go("/playground").await?;
    window.fill("#prompt", ODD_WORDS).await?;
    window.fill("#negative_prompt", ODD_WORDS).await?;
    window.fill("#seed", "-5").await?;
    window.press(css(SEND)).await?;
    window.says("one field needs another look").await?;
    for (field, kept) in [("#prompt", ODD_WORDS), ("#negative_prompt", ODD_WORDS), ("#seed", "-5")] {
        let now = window.value(field).await?;
        ensure!(now == kept, "{field} is now `{now}`");
    }
    let said = window.ask("return document.querySelector('#seed-fault')?.checkVisibility()", vec![]).await?;
    ensure!(said == json!(true), "the fault does not stand beside its field");
    Ok(())
}

pub(crate) async fn what_was_typed_goes_along_to_another_tool(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    window.go("/playground").await?;
    window.fill("#prompt", &mark).await?;
    window.press(labelled("Edit")).await?;
    ensure!(window.value("#prompt").await? == mark, "the prompt is lost");
    window.go("/playground").await?;
    ensure!(window.value("#prompt").await?.is_empty(), "it comes back unasked");
    Ok(())
}
