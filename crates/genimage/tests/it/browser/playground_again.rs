//! The playground again: from the page of any tool's job back to the form, as it was filled in.

use anyhow::ensure;

use super::{
    playground::{SEND, picture, shown},
    window::{Window, css, labelled},
};

type Fields<'a> = [(&'a str, &'a str)];

fn joined<'a>(some: &Fields<'a>, more: &Fields<'a>) -> Vec<(&'a str, &'a str)> {
    [some, more].concat()
}

/// Fills in a tool's form and sends it; from the page of its job, the form must come back as it was.
async fn goes_round(window: &Window, path: &str, fields: &Fields<'_>) -> anyhow::Result<()> {
    window.go(path).await?;
    for (field, value) in fields {
        window.fill(field, value).await?;
    }
    window.press(css(SEND)).await?;
    window.says("Timeline").await?;
    window.press(labelled("Reuse settings")).await?;
    for (field, value) in fields {
        let now = window.value(field).await?;
        ensure!(now == *value, "{path}: {field} was `{value}`, is `{now}`");
    }
    Ok(())
}

pub(crate) async fn a_picture_is_asked_for_again(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    let prompt = format!("again <b>{mark}</b> \"&amp;\" שלום");
    window.go("/playground").await?;
    let style = window.attribute("input[name=styles]", "value").await?;
    window.fill("#prompt", &prompt).await?;
    window.fill("#negative_prompt", "no & nothing").await?;
    window.fill("#width", "256").await?;
    window.fill("#height", "320").await?;
    window.fill("#seed", "18446744073709551615").await?;
    window.fill("#n", "2").await?;
    window.fill("#render_type", "smoke").await?;
    // As it was offered, the other way round.
    let enhance = !window.has("#enhance:checked").await?;
    for pick in [format!("input[name=styles][value='{style}']"), "#enhance".to_owned()] {
        window.tap(css(&pick)).await?;
    }
    window.press(css(SEND)).await?;
    window.says("Timeline").await?;
    window.press(labelled("Reuse settings")).await?;
    for (field, value) in [
        ("#prompt", prompt.as_str()),
        ("#negative_prompt", "no & nothing"),
        ("#width", "256"),
        ("#height", "320"),
        ("#seed", "18446744073709551615"),
        ("#n", "2"),
        ("#render_type", "smoke"),
    ] {
        let now = window.value(field).await?;
        ensure!(now == value, "{field} was `{value}`, is `{now}`");
    }
    let ticked = "return [...document.querySelectorAll('input[name=styles]:checked')].map((box) => box.value)";
    let ticked = window.ask(ticked, vec![]).await?;
    ensure!(ticked == serde_json::json!([style]), "the styles are now {ticked}");
    ensure!(window.has("#enhance:checked").await? == enhance, "whether to enhance is forgotten");
    Ok(())
}

pub(crate) async fn a_picture_is_worked_on_again(window: &Window) -> anyhow::Result<()> {
    picture(window, &window.mark()).await?;
    let image = shown(window).await?;
    let mark = window.mark();
    let words = format!("a blue hat {mark}");
    let with = |tool: &str| format!("/playground?tool={tool}&image={image}");
    let drawn = [("#image", image.as_str()), ("#prompt", &words), ("#negative_prompt", "blur"), ("#seed", "7")];
    let fields = |more| joined(&drawn, more);
    goes_round(window, &with("edit_image"), &fields(&[("#denoise", "0.35")])).await?;
    goes_round(window, &with("upscale_image"), &fields(&[("#denoise", "0.25")])).await?;
    // A box is kept as the mask that it made.
    window.go(&with("detail_image")).await?;
    window.fill("#region", "0.25, 0.25, 0.5, 0.5").await?;
    window.fill("#prompt", &words).await?;
    window.fill("#denoise", "0.5").await?;
    window.press(css(SEND)).await?;
    window.press(labelled("Reuse settings")).await?;
    for (field, begins) in [("#mask", "img_"), ("#image", &image), ("#prompt", &words), ("#denoise", "0.5")] {
        let now = window.value(field).await?;
        ensure!(now.starts_with(begins), "{field} is now `{now}`");
    }
    Ok(())
}

pub(crate) async fn words_are_asked_for_again(window: &Window) -> anyhow::Result<()> {
    picture(window, &window.mark()).await?;
    let image = shown(window).await?;
    let describe = format!("/playground?tool=describe_image&image={image}");
    goes_round(window, &describe, &[("#image", &image), ("#description_type", "natural"), ("#language", "fr")]).await?;
    let subject = format!("a lighthouse keeper {}", window.mark());
    window.go("/playground?tool=generate_prompt").await?;
    window.fill("#subject", &subject).await?;
    window.fill("#elements", "a storm\nan owl").await?;
    window.press(css(SEND)).await?;
    window.until(".job-state .tone-good").await?;
    // What was written is there to be drawn.
    window.press(labelled("Reuse settings")).await?;
    ensure!(!window.value("main form[action='/playground/generate_image'] #prompt").await?.is_empty(), "it is lost");
    Ok(())
}
