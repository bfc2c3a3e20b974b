//! The playground's picture to work on: seen as soon as it is chosen, with a box or a mask drawn on it.

use anyhow::ensure;
use serde_json::json;

use super::{
    playground::{PICTURE, SEND},
    pointer::Spot,
    window::{Window, css, labelled},
};

/// Whether the mask in its field is white at these spots, and black at those.
const PAINTED: &str = "const file = document.querySelector('#mask_file').files[0];
    if (!file) return false;
    const [white, black] = arguments;
    return createImageBitmap(file).then((mask) => {
      const pen = new OffscreenCanvas(mask.width, mask.height).getContext('2d');
      pen.drawImage(mask, 0, 0);
      const at = ([x, y]) => pen.getImageData(Math.floor(x * mask.width), Math.floor(y * mask.height), 1, 1).data[0];
      return white.every((spot) => at(spot) === 255) && black.every((spot) => at(spot) === 0);
    })";

fn png() -> anyhow::Result<Vec<u8>> {
    let mut picture = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(96, 64, image::Rgb([90, 120, 60])).write_to(&mut picture, image::ImageFormat::Png)?;
    Ok(picture.into_inner())
}

/// Draws on the shown picture.
async fn draw(window: &Window, spots: &[Spot]) -> anyhow::Result<()> {
    window.drag(".picked-stage", spots).await
}

/// Waits until the picture is there, to be drawn on.
async fn seen(window: &Window) -> anyhow::Result<()> {
    let seen = "const stage = document.querySelector('.picked-stage');
        return stage.querySelector('img').naturalWidth === 96 && stage.querySelector('canvas').width === 96";
    window.becomes(seen, vec![]).await
}

/// Waits until a mask is in its field that is white at these spots, and black at those.
async fn is_painted(window: &Window, white: &[Spot], black: &[Spot]) -> anyhow::Result<()> {
    window.becomes(PAINTED, vec![json!(white), json!(black)]).await
}

/// The four sides in the field of the box.
async fn region(window: &Window) -> anyhow::Result<Vec<f64>> {
    let region = window.value("#region").await?;
    let sides: Vec<f64> = region.split(", ").map(str::parse).collect::<Result<_, _>>()?;
    ensure!(sides.len() == 4, "the box is {region}");
    Ok(sides)
}

/// Sends the form, which the hub must take.
async fn runs(window: &Window) -> anyhow::Result<()> {
    window.press(css(SEND)).await?;
    let path = window.path().await;
    ensure!(path.starts_with("/jobs/"), "it is refused: {}", window.text().await?);
    window.until(PICTURE).await
}

pub(crate) async fn a_chosen_picture_is_seen_and_drawn_on(window: &Window) -> anyhow::Result<()> {
    window.go("/playground?tool=detail_image").await?;
    window.choose_file("#file", "field.png", &png()?).await?;
    window.until("[data-picked] img[src^='blob:']").await?;
    seen(window).await?;
    // A finger that scrolls over the picture draws nothing.
    draw(window, &[(0.25, 0.25), (0.75, 0.5)]).await?;
    ensure!(window.value("#region").await?.is_empty(), "it draws before a tool was chosen");
    window.tap(labelled("Draw a box")).await?;
    draw(window, &[(0.25, 0.25), (0.75, 0.5)]).await?;
    // Neither does a tap, or what has no height.
    draw(window, &[(0.5, 0.5)]).await?;
    draw(window, &[(0.1, 0.5), (0.9, 0.5)]).await?;
    let sides = region(window).await?;
    let near = |side: f64, meant: f64| (side - meant).abs() < 0.02;
    ensure!(
        near(sides[0], 0.25) && near(sides[1], 0.25) && near(sides[2], 0.5) && near(sides[3], 0.25),
        "the box is {sides:?}"
    );
    // A mask takes the box's place. Sent before it has become a file, it is waited for.
    window.fill("#prompt", "a pond").await?;
    window.tap(labelled("Paint a mask")).await?;
    let slow = "const quick = HTMLCanvasElement.prototype.toBlob;
        HTMLCanvasElement.prototype.toBlob = function (...given) { setTimeout(() => quick.apply(this, given), 500); };";
    window.ask(slow, vec![]).await?;
    draw(window, &[(0.4, 0.4), (0.6, 0.6)]).await?;
    ensure!(window.value("#region").await?.is_empty(), "the box is still meant");
    runs(window).await?;
    a_box_takes_the_place_of_the_mask(window).await?;
    // What was painted can be picked again, and is none of the pictures to work on.
    window.go("/playground?tool=detail_image").await?;
    ensure!(window.has("#masks-1").await?, "the mask cannot be picked again");
    ensure!(window.has("#masks-none:checked").await?, "a mask is picked unasked");
    Ok(())
}

/// From the page of a job with a mask, a box is drawn instead, to beyond the picture's edge.
async fn a_box_takes_the_place_of_the_mask(window: &Window) -> anyhow::Result<()> {
    window.press(labelled("Reuse settings")).await?;
    seen(window).await?;
    ensure!(window.value("#mask").await?.starts_with("img_"), "the mask is forgotten");
    window.tap(labelled("Draw a box")).await?;
    // Its sides, each rounded for itself, would be a thousandth too long.
    draw(window, &[(0.0625, 0.0625), (1.1, 1.1)]).await?;
    let sides = region(window).await?;
    let most = 1.000_001;
    ensure!(sides[0] + sides[2] < most && sides[1] + sides[3] < most, "{sides:?} reaches beyond the picture");
    ensure!(window.value("#mask").await?.is_empty(), "the mask is still named");
    ensure!(window.has("#masks-none:checked").await?, "the mask is still picked");
    runs(window).await
}

pub(crate) async fn a_picture_is_dragged_in_and_a_mask_dabbed_on_it(window: &Window) -> anyhow::Result<()> {
    let picture = png()?;
    window.go("/playground?tool=detail_image").await?;
    // Beside the field: the whole place takes it.
    window.drop_file("[data-drop] legend", "dragged.png", &picture).await?;
    window.until("[data-picked] img[src^='blob:']").await?;
    let held = window.file_of("#file").await?;
    ensure!(held == Some(("dragged.png".to_owned(), picture.len() as u64)), "the field holds {held:?}");
    ensure!(!window.has("[data-drop].is-over").await?, "the place still shows that it would take a file");
    seen(window).await?;

    // A tap is a dot. Dots and strokes add up.
    window.tap(labelled("Paint a mask")).await?;
    draw(window, &[(0.25, 0.25)]).await?;
    is_painted(window, &[(0.25, 0.25)], &[(0.5, 0.25), (0.75, 0.25), (0.5, 0.75)]).await?;
    draw(window, &[(0.75, 0.25)]).await?;
    draw(window, &[(0.25, 0.75), (0.5, 0.75), (0.75, 0.75)]).await?;
    let white = [(0.25, 0.25), (0.75, 0.25), (0.4, 0.75), (0.6, 0.75)];
    is_painted(window, &white, &[(0.5, 0.25), (0.5, 0.5)]).await?;
    window.tap(labelled("Clear")).await?;
    let held = window.file_of("#mask_file").await?;
    ensure!(held.is_none(), "what was cleared is still held: {held:?}");
    draw(window, &[(0.5, 0.5)]).await?;
    is_painted(window, &[(0.5, 0.5)], &white).await?;
    window.fill("#prompt", "a pond").await?;
    runs(window).await
}

pub(crate) async fn a_mask_is_given_as_a_file(window: &Window) -> anyhow::Result<()> {
    window.go("/playground?tool=detail_image").await?;
    window.choose_file("#file", "field.png", &png()?).await?;
    let mut mask = std::io::Cursor::new(Vec::new());
    let shade = if window.has_script() { 250 } else { 255 };
    image::GrayImage::from_pixel(96, 64, image::Luma([shade])).write_to(&mut mask, image::ImageFormat::Png)?;
    window.choose_file("#mask_file", "mask.png", &mask.into_inner()).await?;
    window.fill("#prompt", "a pond").await?;
    runs(window).await?;
    // With the settings the mask comes back; it can be left out again.
    window.press(labelled("Reuse settings")).await?;
    ensure!(window.value("#mask").await?.starts_with("img_"), "the mask is forgotten");
    window.tap(css("#masks-none")).await?;
    window.fill("#region", "0.25, 0.25, 0.5, 0.5").await?;
    runs(window).await
}

pub(crate) async fn a_description_is_drawn(window: &Window) -> anyhow::Result<()> {
    window.go("/playground?tool=describe_image").await?;
    window.choose_file("#file", "field.png", &png()?).await?;
    window.press(css(SEND)).await?;
    window.until("#result-text").await?;
    window.press(labelled("Make a picture of it")).await?;
    ensure!(!window.value("#prompt").await?.is_empty(), "the words do not go along");
    window.press(css(SEND)).await?;
    window.until(PICTURE).await
}
