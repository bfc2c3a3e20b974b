//! The gallery: pictures that are found, kept, compared, downloaded and deleted.

use anyhow::ensure;
use serde_json::json;

use super::{
    playground::picture,
    window::{Window, css, labelled},
};

const DELETE_FOR_GOOD: &str = "form.ask button[type=submit]";

pub(crate) async fn the_playground_makes_and_the_gallery_keeps_and_deletes(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    let job = picture(window, &format!("a hen {mark}")).await?;
    window.says(&mark).await?;
    window.go(&format!("/gallery?q={mark}")).await?;
    window.tap(css(".shot-pick label")).await?;
    window.press(labelled("Keep as favourites")).await?;
    window.says("Kept as favourites").await?;
    window.tap(css(".shot-pick label")).await?;
    window.press(labelled("Delete…")).await?;
    window.says("Delete 1 picture?").await?;
    window.tap(css("label[for=favourites]")).await?;
    window.press(css(DELETE_FOR_GOOD)).await?;
    window.says("Deleted.").await?;
    window.says("No picture fits").await?;
    window.go(&job).await?;
    window.says("ended without a picture").await
}

pub(crate) async fn two_pictures_are_compared_and_downloaded(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    for animal in ["hen", "fox"] {
        picture(window, &format!("a {animal} {mark}")).await?;
    }
    // In the playground, the newest come first.
    window.go("/playground").await?;
    for pick in ["#compared-1", "#compared-2"] {
        window.tap(css(pick)).await?;
    }
    window.press(labelled("Compare")).await?;
    window.says("What differs").await?;
    for animal in ["hen", "fox"] {
        window.says(&format!("a {animal} {mark}")).await?;
    }
    let slider = window.ask("return document.querySelector('#share').checkVisibility()", vec![]).await?;
    ensure!(slider == json!(window.has_script()), "the slider is there exactly with script");

    window.go(&format!("/gallery?q={mark}")).await?;
    for pick in ["label[for=pick-1]", "label[for=pick-2]"] {
        window.tap(css(pick)).await?;
    }
    let archive = window.download(css("button[formaction='/gallery/zip']")).await?;
    ensure!(archive.starts_with(b"PK\x03\x04") && archive.len() > 1_000, "{} bytes of no archive", archive.len());
    Ok(())
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
