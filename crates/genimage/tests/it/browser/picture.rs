//! The picture to work on: seen as soon as it is chosen, with a box or a mask drawn on it; and questions in a dialog.

use anyhow::ensure;
use serde_json::json;

use super::window::{Window, css, labelled};

const RUN: &str = "main form.playground button.primary";
const PICTURE: &str = "main img[src^='/outputs/']";

fn png() -> anyhow::Result<Vec<u8>> {
    let mut picture = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(96, 64, image::Rgb([90, 120, 60])).write_to(&mut picture, image::ImageFormat::Png)?;
    Ok(picture.into_inner())
}

/// Draws with the pointer over the shown picture, between two places in parts of its sides.
async fn drag(window: &Window, from: (f64, f64), to: (f64, f64)) -> anyhow::Result<()> {
    let draw = "
        const stage = document.querySelector('.picked-stage');
        stage.setPointerCapture = () => {};
        const area = stage.getBoundingClientRect();
        const at = (kind, [x, y]) => stage.dispatchEvent(new PointerEvent(kind, { bubbles: true, cancelable: true,
            pointerId: 1, clientX: area.left + x * area.width, clientY: area.top + y * area.height }));
        at('pointerdown', arguments[0]);
        at('pointermove', arguments[1]);
        at('pointerup', arguments[1]);";
    window.ask(draw, vec![json!([from.0, from.1]), json!([to.0, to.1])]).await?;
    Ok(())
}

pub(crate) async fn a_chosen_picture_is_seen_and_drawn_on(window: &Window) -> anyhow::Result<()> {
    if !window.has_script() {
        return Ok(());
    }
    window.go("/playground?tool=detail_image").await?;
    window.choose_file("#file", "field.png", &png()?).await?;
    window.until("[data-picked] img[src^='blob:']").await?;
    window.becomes("return document.querySelector('.picked-stage img').naturalWidth === 96", vec![]).await?;
    drag(window, (0.25, 0.25), (0.75, 0.5)).await?;
    let region = window.value("#region").await?;
    let sides: Vec<f64> = region.split(", ").map(str::parse).collect::<Result<_, _>>()?;
    let near = |side: f64, meant: f64| (side - meant).abs() < 0.02;
    ensure!(
        sides.len() == 4 && near(sides[0], 0.25) && near(sides[1], 0.25) && near(sides[2], 0.5) && near(sides[3], 0.25),
        "the box is {region}"
    );
    // A mask takes the box's place.
    window.tap(labelled("Paint a mask")).await?;
    drag(window, (0.4, 0.4), (0.6, 0.6)).await?;
    ensure!(window.value("#region").await?.is_empty(), "the box is still meant");
    window.becomes("return document.querySelector('#mask_file').files.length === 1", vec![]).await?;
    window.fill("#prompt", "a pond").await?;
    window.press(css(RUN)).await?;
    window.until(PICTURE).await?;
    // What was painted can be picked again, and is none of the pictures to work on.
    window.go("/playground?tool=detail_image").await?;
    ensure!(window.has("#masks-1").await?, "the mask cannot be picked again");
    Ok(())
}

pub(crate) async fn a_mask_is_given_as_a_file(window: &Window) -> anyhow::Result<()> {
    window.go("/playground?tool=detail_image").await?;
    window.choose_file("#file", "field.png", &png()?).await?;
    let mut mask = std::io::Cursor::new(Vec::new());
    let shade = if window.has_script() { 250 } else { 255 };
    image::GrayImage::from_pixel(96, 64, image::Luma([shade])).write_to(&mut mask, image::ImageFormat::Png)?;
    window.choose_file("#mask_file", "mask.png", &mask.into_inner()).await?;
    window.fill("#prompt", "a pond").await?;
    window.press(css(RUN)).await?;
    window.until(PICTURE).await
}

pub(crate) async fn what_was_typed_goes_along_to_another_tool(window: &Window) -> anyhow::Result<()> {
    if !window.has_script() {
        return Ok(());
    }
    let mark = window.mark();
    window.go("/playground").await?;
    window.fill("#prompt", &mark).await?;
    window.press(labelled("Edit")).await?;
    ensure!(window.value("#prompt").await? == mark, "the prompt is lost");
    window.go("/playground").await?;
    ensure!(window.value("#prompt").await?.is_empty(), "it comes back unasked");
    Ok(())
}

pub(crate) async fn a_description_is_drawn(window: &Window) -> anyhow::Result<()> {
    window.go("/playground?tool=describe_image").await?;
    window.choose_file("#file", "field.png", &png()?).await?;
    window.press(css(RUN)).await?;
    window.until("#result-text").await?;
    window.press(labelled("Make a picture of it")).await?;
    ensure!(!window.value("#prompt").await?.is_empty(), "the words do not go along");
    window.press(css(RUN)).await?;
    window.until(PICTURE).await
}

pub(crate) async fn a_question_is_asked_in_a_dialog_and_can_be_left(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    window.go("/styles/new").await?;
    window.fill("#name", &mark).await?;
    window.fill("#prompt_template", "asked, {prompt}").await?;
    window.press(css("main form[data-guard] button.primary")).await?;
    window.press(labelled(&mark)).await?;
    if window.has_script() {
        for _ in 0..2 {
            window.tap(css(".confirm summary")).await?;
            window.until("dialog[open]").await?;
            let held = window.ask("return document.activeElement.closest('dialog') !== null", vec![]).await?;
            ensure!(held == json!(true), "the focus is not in the dialog");
            window.tap(labelled("Leave it")).await?;
            window.becomes("return document.querySelector('dialog') === null", vec![]).await?;
            let back = window.ask("return document.activeElement.matches('.confirm summary')", vec![]).await?;
            ensure!(back == json!(true), "the focus is lost");
        }
        window.tap(css(".confirm summary")).await?;
    } else {
        window.tap(css(".confirm summary")).await?;
    }
    window.press(labelled("Yes, delete")).await?;
    window.says("Style deleted").await
}
