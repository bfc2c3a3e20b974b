//! The list of render types as a table.

use std::collections::BTreeMap;

use axum::{
    extract::{Request, State},
    response::Response,
};
use hub_core::{
    catalogue::{Mode, RenderDefaults, RenderType, SizeLimits},
    error::UserError,
    request::{AspectRatio, ImageSize},
};
use serde_json::{Value, json};

use super::{
    super::{
        form::{Done, Fault, lines, refused, shown},
        see_other,
        table::{Import, Row, Table, yes_or_no},
    },
    page,
};
use crate::{
    attachment,
    audit::{about_import, nothing_done},
    error::WebError,
    router::App,
};

const TABLE: Table = Table {
    columns: &[
        "name",
        "workflow",
        "mode",
        "title",
        "description",
        "workflow_version",
        "visible",
        "is_default",
        "sizes",
        "aspect",
        "min_side_px",
        "max_side_px",
        "side_multiple_px",
        "steps",
        "cfg",
        "denoise",
        "prompt_guide",
        "prompt_examples",
    ],
    needed: 3,
};
/// Between several sizes in one cell, each written as `16:9=1344x768`.
const LIST_SEPARATOR: &str = "; ";

/// All render types as a file.
pub(crate) async fn download(State(app): State<App>) -> Result<Response, WebError> {
    let table = write(&app.engine.catalogue().render_types).map_err(|error| WebError::internal(&error))?;
    Ok(attachment::answer("render-types.csv", "text/csv; charset=utf-8", table))
}

/// Shows what a table would change, or changes it.
pub(crate) async fn upload(State(app): State<App>, request: Request) -> Result<Response, WebError> {
    match Import::of(&app, request, "render_types", read).await? {
        Import::Done(report) => Ok(about_import(see_other("/render-types?done=render-types-imported"), &report)),
        Import::Shown(report) => {
            let mut page = page(&app, &Done::default()).await?;
            page.report = Some(report);
            shown(&app, &page).map(nothing_done)
        }
        Import::Refused(error) => {
            let mut page = page(&app, &Done::default()).await?;
            page.fault = Some(Fault::of(&error));
            refused(&app, &error, &page)
        }
    }
}

fn write(rows: &[RenderType]) -> Result<String, Box<dyn std::error::Error>> {
    TABLE.write(rows.iter().map(|row| {
        let size = |(ratio, size): (&AspectRatio, &ImageSize)| {
            format!("{}={}x{}", ratio.as_str(), size.width_px, size.height_px)
        };
        [
            row.name.clone(),
            row.workflow.clone(),
            row.mode.as_str().to_owned(),
            row.title.clone(),
            row.description.clone(),
            text_of(row.workflow_version),
            yes_or_no(row.visible),
            yes_or_no(row.is_default),
            row.sizes.iter().map(size).collect::<Vec<_>>().join(LIST_SEPARATOR),
            text_of(row.defaults.aspect.map(AspectRatio::as_str)),
            row.limits.min_side_px.to_string(),
            row.limits.max_side_px.to_string(),
            row.limits.side_multiple_px.to_string(),
            text_of(row.defaults.steps),
            text_of(row.defaults.cfg),
            text_of(row.defaults.denoise),
            row.prompt_guide.clone(),
            row.prompt_examples.join("\n"),
        ]
    }))
}

fn text_of<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// The rows as render types of a configuration file.
fn read(text: &str) -> Result<Vec<Value>, UserError> {
    TABLE.read(text)?.iter().map(entry).collect()
}

fn entry(row: &Row) -> Result<Value, UserError> {
    let standard = SizeLimits::default();
    let limits = SizeLimits {
        min_side_px: row.number("min_side_px")?.unwrap_or(standard.min_side_px),
        max_side_px: row.number("max_side_px")?.unwrap_or(standard.max_side_px),
        side_multiple_px: row.number("side_multiple_px")?.unwrap_or(standard.side_multiple_px),
    };
    let defaults = RenderDefaults {
        aspect: ratio(row, "aspect", row.cell("aspect"))?,
        steps: row.number("steps")?,
        cfg: finite(row, "cfg")?,
        denoise: finite(row, "denoise")?,
    };
    let name = row.needed("name")?;
    let title = row.cell("title").trim();
    Ok(json!({
        "name": name,
        "workflow": row.needed("workflow")?,
        "mode": mode(row)?,
        "title": if title.is_empty() { name } else { title },
        "description": row.cell("description").trim(),
        "workflow_version": row.number::<u32>("workflow_version")?,
        "visible": row.flag("visible")?.unwrap_or(true),
        "is_default": row.flag("is_default")?.unwrap_or(false),
        "sizes": sizes(row)?,
        "limits": limits,
        "defaults": defaults,
        "prompt_guide": row.cell("prompt_guide").replace("\r\n", "\n").trim(),
        "prompt_examples": lines(row.cell("prompt_examples")),
    }))
}

fn mode(row: &Row) -> Result<Mode, UserError> {
    let given = row.needed("mode")?;
    let known = Mode::ALL.into_iter().find(|mode| mode.as_str() == given);
    known.ok_or_else(|| row.wrong("mode").with_valid(Mode::ALL.map(Mode::as_str)))
}

/// A ratio that stands in a cell; `None` for none.
fn ratio(row: &Row, column: &str, text: &str) -> Result<Option<AspectRatio>, UserError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let known = AspectRatio::ALL.into_iter().find(|ratio| ratio.as_str() == text);
    known.map(Some).ok_or_else(|| row.wrong(column).with_valid(AspectRatio::ALL.map(AspectRatio::as_str)))
}

fn sizes(row: &Row) -> Result<BTreeMap<AspectRatio, ImageSize>, UserError> {
    let given = row.cell("sizes").split([';', '\n']).map(str::trim).filter(|size| !size.is_empty());
    let wrong = || row.wrong("sizes").with_valid(["1:1=1024x1024; 16:9=1344x768"]);
    let size = |text: &str| {
        let (name, sides) = text.split_once('=').ok_or_else(wrong)?;
        let (width, height) = sides.split_once(['x', '×']).ok_or_else(wrong)?;
        let side = |text: &str| text.trim().parse::<u32>().map_err(|_| wrong());
        let ratio = ratio(row, "sizes", name)?.ok_or_else(wrong)?;
        Ok((ratio, ImageSize { width_px: side(width)?, height_px: side(height)? }))
    };
    given.map(size).collect()
}

/// JSON knows no other numbers.
fn finite(row: &Row, column: &str) -> Result<Option<f64>, UserError> {
    match row.number::<f64>(column)? {
        Some(number) if !number.is_finite() => Err(row.wrong(column)),
        number => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_as_the_same_render_types() {
        let mut row = RenderType::new("a, \"quoted\" 🦊", "wf; x", Mode::Edit);
        row.title = "Its title".to_owned();
        row.description = "for agents, too".to_owned();
        row.workflow_version = Some(3);
        row.visible = false;
        row.is_default = true;
        row.sizes = AspectRatio::ALL
            .into_iter()
            .zip([(1024, 1024), (1344, 768)])
            .map(|(ratio, (width_px, height_px))| (ratio, ImageSize { width_px, height_px }))
            .collect();
        row.limits = SizeLimits { min_side_px: 128, max_side_px: 4096, side_multiple_px: 16 };
        row.defaults =
            RenderDefaults { aspect: Some(AspectRatio::ALL[1]), steps: Some(20), cfg: Some(6.5), denoise: Some(0.25) };
        row.prompt_guide = "Short.\nPlain.".to_owned();
        row.prompt_examples = vec!["a fox".to_owned(), "a hen, brown".to_owned()];
        let plain = RenderType::new("plain", "smoke", Mode::Upscale);
        let entries = read(&write(&[row.clone(), plain.clone()]).unwrap()).unwrap();
        for (mut entry, row) in entries.into_iter().zip([row, plain]) {
            entry["id"] = json!(row.id);
            assert_eq!(serde_json::from_value::<RenderType>(entry).unwrap(), row);
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_row_and_column() {
        for (table, said) in [
            ("name,workflow\na,b", "no column `mode`"),
            ("name,workflow,mode\na,b,generate\na,,generate", "Row 3 has nothing in `workflow`"),
            ("name,workflow,mode\na,b,draw", "Row 2: `draw` in `mode`"),
            ("name,workflow,mode,sizes\na,b,generate,1:1=big", "Row 2: `1:1=big` in `sizes`"),
            ("name,workflow,mode,sizes\na,b,generate,7:5=64x64", "Row 2: `7:5=64x64` in `sizes`"),
            ("name,workflow,mode,aspect\na,b,generate,wide", "Row 2: `wide` in `aspect`"),
            ("name,workflow,mode,steps\na,b,generate,-1", "Row 2: `-1` in `steps`"),
            ("name,workflow,mode,cfg\na,b,generate,NaN", "Row 2: `NaN` in `cfg`"),
            ("name,workflow,mode,visible\na,b,generate,perhaps", "Row 2: `perhaps` in `visible`"),
        ] {
            let error = read(table).unwrap_err();
            assert!(error.message.contains(said), "{table}: {}", error.message);
            assert_eq!(error.argument.as_deref(), Some("file"));
        }
        let few = read("mode;name;workflow\nedit;a;b").unwrap();
        assert_eq!(
            (&few[0]["title"], &few[0]["visible"], &few[0]["mode"]),
            (&json!("a"), &json!(true), &json!("edit"))
        );
    }
}
